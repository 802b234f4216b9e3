//! Backups that were interrupted: the next one resumes them.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/faults/mod.rs"]
mod faults;
#[path = "interrupted/legs.rs"]
mod legs;
#[path = "support/scene.rs"]
mod scene;
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use faults::{by_name, faulty};
use legs::{
    a_backup_over_two_targets_that_dies_is_whole_or_no_backup,
    a_dead_leg_that_cannot_be_removed_is_a_warning,
    a_deletion_over_two_targets_that_dies_leaves_nothing_that_passes_for_a_backup,
    a_leg_stays_where_nothing_proves_that_its_backup_died,
    a_sweep_removes_the_legs_of_a_backup_that_died,
};
use scene::{all_verify, leftovers, listed, small};
use serde_json::Value;
use support::{Instance, files, named_like, text};

fn main() -> ExitCode {
    faults::main(by_name![
        a_killed_backup_is_resumed,
        a_failed_backup_is_resumed,
        a_source_that_does_not_answer_is_not_a_source_with_unreadable_files,
        a_resumed_backup_that_failed_again_is_resumed_completely,
        a_full_disk_gets_its_space_back_at_once,
        a_backup_that_timed_out_is_resumed,
        files_that_the_disk_did_not_store_are_not_reused,
        leftovers_without_a_journal_are_swept_on_request,
        a_sweep_reports_its_removals_and_its_failures,
        a_backup_over_two_targets_that_dies_is_whole_or_no_backup,
        a_leg_stays_where_nothing_proves_that_its_backup_died,
        a_sweep_removes_the_legs_of_a_backup_that_died,
        a_dead_leg_that_cannot_be_removed_is_a_warning,
        a_deletion_over_two_targets_that_dies_leaves_nothing_that_passes_for_a_backup
    ])
}

fn many(instance: &Instance) {
    let folder = instance.path("data/arc/iot/temperature/2026/11/24/00");
    std::fs::create_dir_all(&folder).unwrap();
    for n in 0..1_200 {
        let name = format!("temperature_{n:04}.parquet");
        std::fs::write(folder.join(name), format!("rows of file {n}")).unwrap();
    }
}

/// The folders in the target that have the name of a backup.
fn folders(instance: &Instance) -> Vec<PathBuf> {
    let Ok(children) = std::fs::read_dir(instance.path("data/backups")) else {
        return Vec::new();
    };
    let mut found: Vec<_> = (children.map(|child| child.unwrap().path()))
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("backup-")
        })
        .collect();
    found.sort();
    found
}

fn operation(instance: &Instance) -> Value {
    let (code, operation) = instance.json(&["backup"]);
    assert_eq!(code, 0, "{operation}");
    operation
}

/// Guards against losing hours of a nearly complete backup, and against reusing damaged files of
/// it.
fn a_killed_backup_is_resumed() {
    let instance = small();
    many(&instance);
    let (output, _) = faulty(&instance, "die:before:1100", "target.begin", &["backup"]);
    assert_eq!(output.status.code(), None, "{}", text(&output));
    let kept = named_like(&instance.path("data"), &["-freeze-"]);
    assert!(!kept.is_empty(), "no snapshot was kept");
    assert_eq!(listed(&instance, "killed"), Vec::<String>::new());
    let left = folders(&instance);
    assert_eq!(left.len(), 1, "{left:?}");
    let stored = files(&left[0]).len();
    assert!(stored > 1000, "{stored}");
    // One file that was damaged since, one that has changed, and one that is gone from the source.
    let hour = "data/iot/temperature/2026/11/24/00/temperature_";
    let damaged = left[0].join(format!("{hour}0007.parquet"));
    std::fs::write(&damaged, b"rows of file 8").unwrap();
    let live_hour = "data/arc/iot/temperature/2026/11/24/00/temperature_";
    std::fs::write(
        instance.path(&format!("{live_hour}0009.parquet")),
        b"rows of file 8",
    )
    .unwrap();
    std::fs::remove_file(instance.path(&format!("{live_hour}0011.parquet"))).unwrap();
    let done = operation(&instance);
    let reused = done["reused_files"].as_u64().unwrap();
    assert!((900..1100).contains(&reused), "{done}");
    let id = done["backup_id"].as_str().unwrap();
    let (_, manifest) = instance.json(&["show", id]);
    assert_eq!(manifest["reused_files"], done["reused_files"]);
    assert_eq!(manifest["consistency"]["method"], "hard-links");
    assert_eq!(all_verify(&instance, "continued"), [id]);
    assert_eq!(
        leftovers(&instance, false, "continued"),
        Vec::<String>::new()
    );
    assert_eq!(
        named_like(&instance.path("data"), &["-freeze-"]),
        Vec::<String>::new()
    );
    let of = |n: &str| {
        let path = instance
            .backup_folder(id)
            .join(format!("{hour}{n}.parquet"));
        std::fs::read_to_string(path).ok()
    };
    assert_eq!(of("0007").as_deref(), Some("rows of file 7"));
    assert_eq!(of("0009").as_deref(), Some("rows of file 8"));
    assert_eq!(of("0011"), None);
    // No backup shares a file with another, or with the live data.
    let path = instance
        .backup_folder(id)
        .join(format!("{hour}0500.parquet"));
    let links = std::os::unix::fs::MetadataExt::nlink(&std::fs::metadata(path).unwrap());
    assert_eq!(links, 1);
}

/// Guards against losing the stored files of a backup whose target failed, or which was cancelled.
fn a_failed_backup_is_resumed() {
    let instance = small();
    let (output, _) = faulty(&instance, "unavailable:6", "target.commit", &["backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(listed(&instance, "failed"), Vec::<String>::new());
    // Twice, and the second gets further.
    let (output, _) = faulty(&instance, "unavailable:9", "target.commit", &["backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let done = operation(&instance);
    assert!(done["reused_files"].as_u64().unwrap() > 0, "{done}");
    all_verify(&instance, "continued");
    assert_eq!(
        leftovers(&instance, false, "continued"),
        Vec::<String>::new()
    );
    // A swept backup is not resumed.
    let (output, _) = faulty(&instance, "unavailable:9", "target.commit", &["backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    instance.ok(&["sweep", "--apply"]);
    assert_eq!(folders(&instance).len(), 1);
    let done = operation(&instance);
    assert_eq!(done.get("reused_files"), None, "{done}");
}

/// Guards against losing hours of a backup that exceeded its timeout.
fn a_backup_that_timed_out_is_resumed() {
    let instance = small();
    instance.configure("timeout = \"1s\"");
    let arguments = ["--json", "backup"];
    let (output, _) = faulty(&instance, "delay:2500:7", "target.commit", &arguments);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("`backup.timeout` (1 s)"),
        "{}",
        text(&output)
    );
    let done = operation(&instance);
    assert!(done["reused_files"].as_u64().unwrap() >= 3, "{done}");
    all_verify(&instance, "continued");
    assert_eq!(
        leftovers(&instance, false, "continued"),
        Vec::<String>::new()
    );
}

/// Guards against losing stored files to a network failure or a busy store: no file is at fault.
fn a_source_that_does_not_answer_is_not_a_source_with_unreadable_files() {
    for fault in ["unavailable:5", "throttled:5"] {
        let instance = small();
        let arguments = ["--json", "backup"];
        let (output, _) = faulty(&instance, fault, "storage.get", &arguments);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        let failed: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(failed.get("incomplete_copy"), None, "{failed}");
        let done = operation(&instance);
        assert!(done["reused_files"].as_u64().unwrap() >= 3, "{done}");
        all_verify(&instance, fault);
    }
}

/// Guards against losing the files of the first of two interrupted backups.
fn a_resumed_backup_that_failed_again_is_resumed_completely() {
    let instance = small();
    many(&instance);
    let (output, _) = faulty(&instance, "die:before:700", "target.begin", &["backup"]);
    assert_eq!(output.status.code(), None, "{}", text(&output));
    // New files that sort before the stored ones, and more after them.
    let first = instance.path("data/arc/iot/a/2026/11/24/00");
    std::fs::create_dir_all(&first).unwrap();
    for n in 0..100 {
        std::fs::write(first.join(format!("a_{n:03}.parquet")), format!("rows {n}")).unwrap();
    }
    let (output, _) = faulty(&instance, "unavailable:400", "target.commit", &["backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let done = operation(&instance);
    let reused = done["reused_files"].as_u64().unwrap();
    // 500 that the first had recorded, and nearly 400 of the second.
    assert!((850..950).contains(&reused), "{done}");
    all_verify(&instance, "continued twice");
    assert_eq!(
        leftovers(&instance, false, "continued twice"),
        Vec::<String>::new()
    );
}

/// Guards against a full disk that stays full with backups that can't be completed on it.
fn a_full_disk_gets_its_space_back_at_once() {
    let instance = small();
    let (output, _) = faulty(&instance, "unavailable:9", "target.commit", &["backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(folders(&instance).len(), 1);
    let (output, _) = faulty(&instance, "no-space:4", "target.write", &["backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("no space left"), "{}", text(&output));
    assert_eq!(folders(&instance), Vec::<PathBuf>::new());
    let journals = instance.path("data/backups/.arc-backup/journal");
    let left = std::fs::read_dir(journals).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

/// Guards against reusing files that are only in the page cache: the disk reports their loss only
/// once.
fn files_that_the_disk_did_not_store_are_not_reused() {
    for (fault, call) in [("error:4", "target.commit"), ("error:1", "target.sync")] {
        let instance = small();
        let (output, _) = faulty(&instance, "unavailable:3", "target.commit", &["backup"]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert_eq!(folders(&instance).len(), 1);
        let (output, _) = faulty(&instance, fault, call, &["backup"]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert_eq!(folders(&instance), Vec::<PathBuf>::new(), "{call}");
        let done = operation(&instance);
        assert_eq!(done.get("reused_files"), None, "{call}: {done}");
        all_verify(&instance, call);
    }
}

/// Guards against leftovers that stay for ever, and removing a copy that is arriving from another
/// target.
fn leftovers_without_a_journal_are_swept_on_request() {
    let instance = small();
    let own = instance.path("data/backups/.arc-backup");
    let id = "backup-20260101-000000-0badc0de";
    let files = [
        own.join("incomplete").join(id).join("data/x"),
        own.join("journal").join(id).join("0000-00000000.jsonl"),
    ];
    for path in &files {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }
    operation(&instance);
    assert!(instance.ok(&["sweep"]).contains(id));
    assert!(files.iter().all(|path| path.exists()));
    assert!(instance.ok(&["sweep", "--apply"]).contains(id));
    assert!(!files.iter().any(|path| path.exists()));
    assert!(!instance.ok(&["sweep"]).contains(id));
}

/// Guards against losing the report of a sweep because one file beside the data can't be removed.
fn a_sweep_reports_its_removals_and_its_failures() {
    let instance = small();
    let (output, _) = faulty(&instance, "unavailable:6", "target.commit", &["backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let state = instance.path("data/backups/.arc-backup");
    let mark = r#"{"operation_id":"x","backup_id":"y","phase":"staging","written_at":"2026-11-24T00:00:00Z"}"#;
    std::fs::write(state.join("restore-in-progress.json"), mark).unwrap();
    let in_the_way = instance.path("data/.arc-backup-x-arc.db.tmp");
    std::fs::create_dir(&in_the_way).unwrap();
    let staged = instance.path("data/arc/iot/temperature/.arc-backup-x-1-a.parquet.tmp");
    std::fs::write(&staged, "rows").unwrap();
    // Made by a restore that was killed before it set anything aside.
    let aside = instance.path("data/arc.before-restore/x");
    std::fs::create_dir_all(&aside).unwrap();
    let (code, shown) = instance.json(&["sweep"]);
    assert_eq!((code, &shown["staged_files"]), (0, &2.into()), "{shown}");
    assert!(staged.exists());
    let (code, swept) = instance.json(&["sweep", "--apply"]);
    assert_eq!((code, &swept["staged_files"]), (1, &1.into()), "{swept}");
    assert!(!aside.parent().unwrap().exists());
    assert_eq!(
        swept["targets"][0]["unfinished"][0].as_str().map(str::len),
        Some(31),
        "{swept}"
    );
    assert!(
        swept["faults"][0]
            .as_str()
            .unwrap()
            .contains(".arc-backup-x-arc.db.tmp"),
        "{swept}"
    );
    assert_eq!(folders(&instance), Vec::<PathBuf>::new());
    assert!(!staged.exists());
    // It does not prevent a backup, which warns about it.
    let warned = operation(&instance)["warnings"].to_string();
    assert!(warned.contains(".arc-backup-x-arc.db.tmp"), "{warned}");
    std::fs::remove_dir(&in_the_way).unwrap();
    let (code, swept) = instance.json(&["sweep", "--apply"]);
    assert_eq!(
        (code, &swept["faults"]),
        (0, &serde_json::json!([])),
        "{swept}"
    );
    assert!(!state.join("restore-in-progress.json").exists());
}
