//! Backups and restores that were interrupted, and others of another scope after them.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{backup_of, fails, held, put, small};
use crate::support::{Instance, named_like};

const STATE: &str = "data/backups/.arc-backup";

/// Makes of a backup what a killed one leaves: files, a journal, and a log of the files.
fn interrupt(instance: &Instance, id: &str, scope: &[&str]) {
    let folder = instance.backup_folder(id);
    let mut log = String::new();
    for line in crate::support::inventory_of(&folder).lines() {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        // A log has the entity tags of local files too.
        if let Some(key) = line["path"].as_str().unwrap().strip_prefix("data/") {
            let live = instance.path("data/arc").join(key).metadata().unwrap();
            let modified = i128::from(live.mtime()) * 1_000_000_000 + i128::from(live.mtime_nsec());
            let tag = format!("{:x}-{:x}-{modified:x}", live.ino(), live.len());
            line["etag"] = tag.into();
        }
        log.push_str(&format!("{line}\n"));
    }
    for file in ["manifest.json", "inventory.jsonl.zst"] {
        std::fs::remove_file(folder.join(file)).unwrap();
    }
    let mut journal = serde_json::json!({
        "operation": "backup", "backup_id": id, "operation_id": "20270115-030000-0a1b2c3d",
        "pid": 1, "host": "elsewhere", "started_at": "2027-01-15T03:00:00Z",
    });
    if !scope.is_empty() {
        journal["scope"] = serde_json::json!(scope);
    }
    let journals = instance.path(STATE).join("journal");
    std::fs::create_dir_all(journals.join(id)).unwrap();
    std::fs::write(journals.join(id).join("0000-00000000.jsonl"), log).unwrap();
    std::fs::write(journals.join(format!("{id}.json")), journal.to_string()).unwrap();
}

fn made(instance: &Instance, arguments: &[&str]) -> (String, u64) {
    let (code, done) = instance.json(arguments);
    assert_eq!(code, 0, "{done}");
    let reused = done["reused_files"].as_u64().unwrap_or_default();
    (done["backup_id"].as_str().unwrap().to_owned(), reused)
}

/// Guards against: a backup of one database that removes what the interrupted one of all has
/// stored, so that everything is copied again.
#[test]
fn a_scoped_backup_reuses_an_interrupted_one_and_leaves_it() {
    let instance = small();
    let whole = instance.backup();
    let files = held(&instance, &whole).len() as u64;
    interrupt(&instance, &whole, &[]);
    let (scoped, reused) = made(&instance, &["backup", "--database", "iot"]);
    assert_eq!(reused, 6);
    assert_eq!(held(&instance, &scoped).len(), 6);
    assert_eq!(held(&instance, &whole).len() as u64, files);
    // One of the same scope, or of less, has no more use.
    interrupt(&instance, &scoped, &["iot"]);
    let (again, reused) = made(&instance, &["backup", "--database", "iot"]);
    assert_eq!(reused, 6);
    assert!(!instance.backup_folder(&scoped).exists());
    assert_eq!(held(&instance, &whole).len() as u64, files);
    instance.ok(&["verify", &again]);
    let (last, reused) = made(&instance, &["backup"]);
    assert_eq!(reused, files);
    assert!(!instance.backup_folder(&whole).exists());
    instance.ok(&["verify", &last]);
    let journals = std::fs::read_dir(instance.path(STATE).join("journal"));
    assert_eq!(journals.map_or(0, Iterator::count), 0);
}

/// Writes the marker of a restore that was killed while it changed live data.
fn mark(instance: &Instance, id: &str, databases: &[&str]) {
    let marker = serde_json::json!({
        "operation_id": "20270115-040000-0a1b2c3d", "backup_id": id, "sections": ["data"],
        "databases": databases, "phase": "applying", "written_at": "2027-01-15T04:00:00Z",
        "target": "local",
    });
    let path = instance.path(STATE).join("restore-in-progress.json");
    std::fs::write(path, marker.to_string()).unwrap();
}

fn is_marked(instance: &Instance) -> bool {
    let marks = ["restore-in-progress.json", "arc-backup-restore.json"];
    !named_like(&instance.path("data"), &marks).is_empty()
}

/// Guards against: half a database that no restore completes, as one of another database has taken
/// the marker away.
#[test]
fn an_interrupted_scoped_restore_is_completed_by_one_that_covers_it() {
    let instance = small();
    let whole = instance.backup();
    let (iot, web) = (backup_of(&instance, "iot"), backup_of(&instance, "web"));
    mark(&instance, &iot, &["iot"]);
    put(&instance, "iot/cpu/half.parquet", b"half");
    put(&instance, "web/cpu/2027/01/14/00/a.parquet", b"newer");
    // What the interrupted restore has staged is of use to the one that completes it.
    let staged = "iot/cpu/2027/01/14/00/.arc-backup-20270115-040000-0a1b2c3d-0123456789abcdef.tmp";
    put(&instance, staged, b"rows");
    let before = instance.live();
    let said = fails(&instance, &["restore", &web, "--yes"], 2);
    assert!(said.contains("data of other databases"), "{said}");
    assert!(
        said.contains(&format!("arc-backup restore {iot}")),
        "{said}"
    );
    assert!(said.contains("(databases iot)"), "{said}");
    assert!(instance.live() == before && is_marked(&instance));
    assert!(instance.path("data/arc").join(staged).exists());
    // Before any preview, and before a 202.
    assert!(!said.contains("other database is touched"), "{said}");
    let service = instance.serve();
    let body = format!(r#"{{"backup_id":"{web}","confirm":true}}"#);
    let answer = service.post("/api/v1/backup/restore", &body);
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(
        answer.text.contains("data of other databases"),
        "{}",
        answer.text
    );
    assert!(instance.path("data/arc").join(staged).exists());
    drop(service);
    // A backup has half of it where it has something of the database, and nowhere else.
    for (database, is_half) in [("web", false), ("iot", true)] {
        let (_, made) = instance.json(&["backup", "--database", database]);
        let said = made["warnings"].to_string();
        assert_eq!(said.contains("partially restored"), is_half, "{made}");
    }
    let (_, status) = instance.json(&["status"]);
    let marker = &status["restore_in_progress"];
    assert_eq!(marker["databases"], serde_json::json!(["iot"]), "{status}");

    instance.ok(&["restore", &iot, "--yes", "--no-metadata"]);
    assert!(!is_marked(&instance));
    let newer = std::fs::read(instance.path("data/arc/web/cpu/2027/01/14/00/a.parquet"));
    assert_eq!(newer.unwrap(), b"newer", "the other database is as it was");
    assert!(!instance.path("data/arc/iot/cpu/half.parquet").exists());

    // One of all databases covers it too; an older marker is of all.
    mark(&instance, &iot, &["iot"]);
    instance.ok(&["restore", &whole, "--yes", "--no-metadata"]);
    assert!(!is_marked(&instance));
    mark(&instance, &whole, &[]);
    let said = fails(&instance, &["restore", &iot, "--yes"], 2);
    assert!(said.contains("data of other databases"), "{said}");
    assert!(Path::new(&instance.backup_folder(&iot)).exists());
}

/// Guards against: a remedy that is refused, for ever, where two restores were interrupted.
#[test]
fn two_interrupted_restores_are_completed_by_one_backup_of_both() {
    let instance = small();
    let (iot, web) = (backup_of(&instance, "iot"), backup_of(&instance, "web"));
    let both = instance.ok(&["backup", "--database", "iot", "--database", "web"]);
    mark(&instance, &iot, &["iot"]);
    let state = instance.path(STATE).join("restore-in-progress.json");
    let text = std::fs::read_to_string(&state).unwrap();
    let other = (text.replace(&iot, &web))
        .replace(r#"["iot"]"#, r#"["web"]"#)
        .replace("20270115-040000", "20270115-030000");
    std::fs::write(instance.path("data/arc.arc-backup-restore.json"), other).unwrap();
    let said = fails(&instance, &["restore", &iot, "--yes"], 1);
    assert!(
        said.contains("one backup of iot, web or of all databases"),
        "{said}"
    );
    assert!(!said.contains("arc-backup restore"), "{said}");
    instance.ok(&["restore", &both, "--yes"]);
    assert!(!is_marked(&instance));
}
