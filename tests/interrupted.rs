//! Backups that did not end: the next one goes on from there; what could be read of a source is kept for emergencies.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/faults/mod.rs"]
mod faults;
#[path = "support/scene.rs"]
mod scene;
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use faults::faulty;
use libtest_mimic::{Arguments, Trial};
use scene::{all_verify, listed, live, small, strays};
use serde_json::Value;
use support::{Instance, files, named_like, text};

fn main() -> ExitCode {
    if let Some(code) = faults::child() {
        return code;
    }
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let trials = vec![
        trial("a_killed_backup_is_continued", a_killed_backup_is_continued),
        trial("a_failed_backup_is_continued", a_failed_backup_is_continued),
        trial(
            "a_source_that_gives_no_answer_is_no_source_with_broken_files",
            a_source_that_gives_no_answer_is_no_source_with_broken_files,
        ),
        trial(
            "what_was_continued_and_failed_again_is_continued_whole",
            what_was_continued_and_failed_again_is_continued_whole,
        ),
        trial(
            "an_incomplete_copy_of_another_instance_stays",
            an_incomplete_copy_of_another_instance_stays,
        ),
        trial(
            "a_full_disk_has_its_room_back_at_once",
            a_full_disk_has_its_room_back_at_once,
        ),
        trial(
            "what_has_lost_its_journal_is_swept_when_it_is_asked_for",
            what_has_lost_its_journal_is_swept_when_it_is_asked_for,
        ),
        trial(
            "what_could_be_read_is_kept_for_emergencies",
            what_could_be_read_is_kept_for_emergencies,
        ),
        trial(
            "an_incomplete_copy_ends_with_the_next_backup_or_a_deletion",
            an_incomplete_copy_ends_with_the_next_backup_or_a_deletion,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
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

/// Lost otherwise: hours of a backup that was nearly done; or, worse, its bytes are taken over as they are.
fn a_killed_backup_is_continued() {
    let instance = small();
    many(&instance);
    let (output, _) = faulty(&instance, "die:before:1100", "target.begin", &["backup"]);
    assert_eq!(output.status.code(), None, "{}", text(&output));
    let frozen = named_like(&instance.path("data"), &["-freeze-"]);
    assert!(!frozen.is_empty(), "nothing was frozen");
    assert_eq!(listed(&instance, "killed"), Vec::<String>::new());
    let left = folders(&instance);
    assert_eq!(left.len(), 1, "{left:?}");
    let stored = files(&left[0]).len();
    assert!(stored > 1000, "{stored}");
    // One that was damaged since, one that is another file by now, and one that is gone from the source.
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
    assert_eq!(strays(&instance, false, "continued"), Vec::<String>::new());
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
    // No backup shares a file with another, or with what is live.
    let path = instance
        .backup_folder(id)
        .join(format!("{hour}0500.parquet"));
    let links = std::os::unix::fs::MetadataExt::nlink(&std::fs::metadata(path).unwrap());
    assert_eq!(links, 1);
}

/// Lost otherwise: what a backup stored before its target failed, or before it was cancelled.
fn a_failed_backup_is_continued() {
    let instance = small();
    let (output, _) = faulty(&instance, "error:6", "target.commit", &["backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(listed(&instance, "failed"), Vec::<String>::new());
    // Twice, and the second gets further.
    let (output, _) = faulty(&instance, "error:9", "target.commit", &["backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let done = operation(&instance);
    assert!(done["reused_files"].as_u64().unwrap() > 0, "{done}");
    all_verify(&instance, "continued");
    assert_eq!(strays(&instance, false, "continued"), Vec::<String>::new());
    // What is swept is not continued.
    let (output, _) = faulty(&instance, "error:9", "target.commit", &["backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    instance.ok(&["sweep", "--apply"]);
    assert_eq!(folders(&instance).len(), 1);
    let done = operation(&instance);
    assert_eq!(done.get("reused_files"), None, "{done}");
}

/// Lost otherwise: what was stored, to a network that was away for a minute, or a store that was busy: no file is at fault.
fn a_source_that_gives_no_answer_is_no_source_with_broken_files() {
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

/// Lost otherwise: all that the first of two interrupted backups stored.
fn what_was_continued_and_failed_again_is_continued_whole() {
    let instance = small();
    many(&instance);
    let (output, _) = faulty(&instance, "die:before:700", "target.begin", &["backup"]);
    assert_eq!(output.status.code(), None, "{}", text(&output));
    // Files before those that are stored already, in the order of keys, and more behind them than before.
    let first = instance.path("data/arc/iot/a/2026/11/24/00");
    std::fs::create_dir_all(&first).unwrap();
    for n in 0..100 {
        std::fs::write(first.join(format!("a_{n:03}.parquet")), format!("rows {n}")).unwrap();
    }
    let (output, _) = faulty(&instance, "error:400", "target.commit", &["backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let done = operation(&instance);
    let reused = done["reused_files"].as_u64().unwrap();
    // 500 that the first had told of, and nearly 400 of the second.
    assert!((850..950).contains(&reused), "{done}");
    all_verify(&instance, "continued twice");
    assert_eq!(
        strays(&instance, false, "continued twice"),
        Vec::<String>::new()
    );
}

/// Lost otherwise: what could be read of a dying disk, to the backup of another instance in the same target.
fn an_incomplete_copy_of_another_instance_stays() {
    let instance = small();
    let (id, _) = incomplete(&instance);
    let folder = instance.path("data/backups/.arc-backup/incomplete");
    let other = small();
    let shared = format!(
        "[backup.targets.shared]\ntype = \"local\"\nlocal_path = \"{}\"",
        instance.path("data/backups").display()
    );
    other.configure(&shared);
    other.ok(&["backup", "--target", "shared"]);
    assert!(folder.join(&id).exists());
    // A backup of less than it holds does not stand for it: without databases, or of a volume that is not mounted.
    instance.ok(&["backup", "--no-metadata"]);
    assert!(folder.join(&id).exists());
    std::fs::rename(instance.path("data/arc"), instance.path("data/away")).unwrap();
    std::fs::create_dir(instance.path("data/arc")).unwrap();
    operation(&instance);
    assert!(folder.join(&id).exists());
    std::fs::remove_dir(instance.path("data/arc")).unwrap();
    std::fs::rename(instance.path("data/away"), instance.path("data/arc")).unwrap();
    operation(&instance);
    assert!(!folder.join(&id).exists());
}

/// Lost otherwise: the room of the disk, to backups that can't end on it.
fn a_full_disk_has_its_room_back_at_once() {
    let instance = small();
    let (output, _) = faulty(&instance, "error:9", "target.commit", &["backup"]);
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

/// A backup of which one file could not be read; its id.
fn incomplete(instance: &Instance) -> (String, String) {
    let (output, trace) = faulty(instance, "error:3", "storage.get", &["--json", "backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done["status"], "failed");
    assert_eq!(done["problem_count"], 1, "{done}");
    let missing = trace[2].rsplit('\t').next().unwrap().to_owned();
    assert_eq!(done["problems"][0]["path"], format!("data/{missing}"));
    assert_eq!(done["problems"][0]["kind"], "unreadable");
    let id = done["backup_id"].as_str().unwrap().to_owned();
    let copy = done["incomplete_copy"].as_str().unwrap();
    assert!(copy.contains(&id), "{copy}");
    (id, missing)
}

/// Lost otherwise: all of a dying disk that could still be read; or the truth, to a copy that is taken for a backup.
fn what_could_be_read_is_kept_for_emergencies() {
    let instance = small();
    let before = live(&instance);
    let (id, missing) = incomplete(&instance);
    assert_eq!(listed(&instance, "incomplete"), Vec::<String>::new());
    assert_eq!(folders(&instance), Vec::<PathBuf>::new());
    let folder = instance
        .path("data/backups/.arc-backup/incomplete")
        .join(&id);
    assert!(folder.join("incomplete.json").exists());
    assert!(!folder.join("manifest.json").exists());
    assert!(!folder.join("data").join(&missing).exists());
    let (code, list) = instance.json(&["list", "--all"]);
    assert_eq!(code, 0, "{list}");
    assert_eq!(list["incomplete"][0]["backup_id"], id.as_str());
    assert_eq!(list["incomplete"][0]["missing_files"], 1);
    let named = list["incomplete"][0]["missing"][0].as_str().unwrap();
    assert!(named.starts_with(&format!("data/{missing}: ")), "{named}");
    let human = instance.ok(&["list", "--all"]);
    assert!(human.contains("1 files are missing"), "{human}");
    let (_, plain) = instance.json(&["list"]);
    assert_eq!(plain.get("incomplete"), None);
    for command in [&["show", &*id][..], &["verify", &id]] {
        assert_eq!(instance.run(command).status.code(), Some(1), "{command:?}");
    }
    let refused = instance.run(&["restore", &id, "--yes"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused).contains("--allow-incomplete"),
        "{}",
        text(&refused)
    );
    assert_eq!(live(&instance), before);
    // The disk has died.
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    std::fs::remove_file(instance.path("data/arc.db")).unwrap();
    let arguments = ["restore", &id, "--allow-incomplete", "--yes"];
    let (code, restored) = instance.json(&arguments);
    assert_eq!(code, 0, "{restored}");
    let warnings = restored["warnings"].to_string();
    assert!(warnings.contains(&missing), "{warnings}");
    let (mut expected, rows) = before;
    assert!(expected.remove(&missing).is_some());
    assert_eq!(live(&instance), (expected, rows));
    // A byte of it that is wrong fails it, as it fails a backup.
    let victim = files(&folder.join("data")).into_iter().next().unwrap();
    let path = folder.join("data").join(&victim);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (code, failed) = instance.json(&arguments);
    assert_eq!(code, 1, "{failed}");
    assert_eq!(failed["problems"][0]["path"], format!("data/{victim}"));
}

/// Lost otherwise: the room of what nothing names any more; or a copy that is on its way here from another target.
fn what_has_lost_its_journal_is_swept_when_it_is_asked_for() {
    let instance = small();
    let own = instance.path("data/backups/.arc-backup");
    let id = "backup-20260101-000000-0badc0de";
    let nameless = [
        own.join("incomplete").join(id).join("data/x"),
        own.join("journal").join(id).join("0000-00000000.jsonl"),
    ];
    for path in &nameless {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }
    operation(&instance);
    assert!(instance.ok(&["sweep"]).contains(id));
    assert!(nameless.iter().all(|path| path.exists()));
    assert!(instance.ok(&["sweep", "--apply"]).contains(id));
    assert!(!nameless.iter().any(|path| path.exists()));
    assert!(!instance.ok(&["sweep"]).contains(id));
}

/// Lost otherwise: the disk's room, to copies that nobody needs any more.
fn an_incomplete_copy_ends_with_the_next_backup_or_a_deletion() {
    let instance = small();
    let (id, _) = incomplete(&instance);
    let folder = instance
        .path("data/backups/.arc-backup/incomplete")
        .join(&id);
    instance.ok(&["sweep", "--apply"]);
    assert!(
        folder.exists(),
        "a sweep removes what nothing names as unfinished"
    );
    instance.ok(&["delete", &id, "--yes"]);
    assert!(!folder.exists());
    assert_eq!(
        instance.run(&["delete", &id, "--yes"]).status.code(),
        Some(1)
    );
    let (id, _) = incomplete(&instance);
    let folder = instance
        .path("data/backups/.arc-backup/incomplete")
        .join(&id);
    assert!(folder.exists());
    operation(&instance);
    assert!(!folder.exists());
    assert_eq!(
        strays(&instance, false, "a backup since"),
        Vec::<String>::new()
    );
}
