//! `<database>.pending-restore`, which Arc puts in the database's place at its next start.

use crate::disk::{Disk, run};
use crate::scene::small;
use crate::support::{self, Instance, change_live, database_rows, named_like, text};

/// What Arc does at a start: a staged database takes the place of the current one.
fn start_arc(instance: &Instance) {
    let database = instance.path("data/arc.db");
    let staged = instance.path("data/arc.db.pending-restore");
    if staged.exists() {
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(instance.path(&format!("data/arc.db{suffix}")));
        }
        std::fs::rename(&database, instance.path("data/arc.db.before-restore")).unwrap();
        std::fs::rename(staged, database).unwrap();
    }
}

/// A restore that Arc has staged: the sample's database without tokens.
fn stage(instance: &Instance) -> Vec<u8> {
    let staged = instance.path("data/arc.db.pending-restore");
    std::fs::copy(instance.path("data/arc.db"), &staged).unwrap();
    let connection = rusqlite::Connection::open(&staged).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = DELETE; DELETE FROM api_tokens")
        .unwrap();
    drop(connection);
    std::fs::read(staged).unwrap()
}

/// Guards against a restored database that Arc replaces by another one at its next start.
#[test]
fn a_staged_restore_is_moved_away_before_the_database_is_restored() {
    let instance = small();
    let (id, rows) = (
        instance.backup(),
        database_rows(&instance.path("data/arc.db")),
    );
    let mut kept = Vec::new();
    for round in 0..2 {
        change_live(&instance);
        let staged = stage(&instance);
        let output = instance.run(&["restore", &id, "--yes", "--no-data"]);
        assert!(output.status.success(), "{}", text(&output));
        let preview = text(&output)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let warned = preview
            .matches("Arc has staged a restore of its own in")
            .count();
        assert!(
            warned >= 1 && preview.contains("arc.db.pending-restore"),
            "{preview}"
        );
        start_arc(&instance);
        assert!(
            database_rows(&instance.path("data/arc.db")) == rows,
            "round {round}"
        );
        let (_, done) = instance.json(&["history", "--limit", "1"]);
        let all = done["operations"][0]["kept"].as_array().unwrap();
        let moved = all.iter().filter_map(|path| path.as_str());
        let moved: Vec<_> = moved
            .filter(|path| path.contains(".pending-restore."))
            .collect();
        assert_eq!(moved.len(), 1, "{done}");
        assert!(std::fs::read(moved[0]).unwrap() == staged, "round {round}");
        kept.push(staged);
    }
    // The first one got another name, and still has its bytes.
    let all = named_like(&instance.path("data"), &[".pending-restore.before-restore"]);
    assert_eq!(all.len(), 2, "{all:?}");
    for bytes in kept {
        assert!(all.iter().any(|path| std::fs::read(path).unwrap() == bytes));
    }
}

/// Guards against a restore that completes and is undone by Arc, as the staged file had to stay.
#[test]
fn a_staged_restore_that_can_not_be_moved_refuses_the_restore_before_its_first_change() {
    let instance = small();
    // The database is a link: Arc stages beside the link, in a folder where nothing can be made.
    std::fs::create_dir(instance.path("linked")).unwrap();
    std::os::unix::fs::symlink("../data/arc.db", instance.path("linked/arc.db")).unwrap();
    let config = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    assert!(config.contains("./data/arc.db"));
    let config = config.replace("./data/arc.db", "./linked/arc.db");
    std::fs::write(instance.path("arc.toml"), config).unwrap();
    let id = instance.backup();
    change_live(&instance);
    let bytes = stage(&instance);
    let pending = instance.path("linked/arc.db.pending-restore");
    std::fs::rename(instance.path("data/arc.db.pending-restore"), &pending).unwrap();
    let before = database_rows(&instance.path("data/arc.db"));
    let arguments = ["restore", &id, "--yes", "--no-data"];
    let output = run(&instance, &Disk::Closed("linked"), &arguments);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("linked/arc.db.pending-restore") && said.contains("nothing was changed"),
        "{said}"
    );
    assert!(database_rows(&instance.path("data/arc.db")) == before);
    assert!(std::fs::read(&pending).unwrap() == bytes);
    // Where it can be moved, the same restore runs.
    instance.ok(&arguments);
    assert!(!pending.exists());
    let kept = support::kept(&pending);
    assert!(std::fs::read(&kept[0]).unwrap() == bytes);
}

/// Guards against a staged database that is copied, set aside or removed as data.
#[test]
fn a_staged_restore_in_the_storage_is_not_data() {
    let instance = Instance::with_config(
        "[storage]\nlocal_path = \"./data\"\n[auth]\ndb_path = \"./data/arc.db\"\nenabled = false\n[backup]\nlocal_path = \"./backups\"\n",
    );
    std::fs::create_dir_all(instance.path("data/iot/cpu")).unwrap();
    std::fs::write(instance.path("data/iot/cpu/a.parquet"), "a").unwrap();
    let connection = rusqlite::Connection::open(instance.path("data/arc.db")).unwrap();
    connection.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(connection);
    let names = [
        "arc.db.pending-restore",
        "arc.db.pending-restore.rejected",
        "arc.db.rejected",
    ];
    let write = || {
        for name in names {
            std::fs::write(instance.path("data").join(name), name).unwrap();
        }
    };
    write();
    let id = instance.backup();
    let (_, files) = instance.json(&["show", &id]);
    assert_eq!(
        files["total_files"].as_u64().unwrap() + files["auxiliary_files"].as_u64().unwrap_or(0),
        1,
        "{files}"
    );
    instance.ok(&[
        "restore",
        &id,
        "--yes",
        "--no-metadata",
        "--extra-files",
        "remove",
    ]);
    instance.ok(&["sweep", "--apply"]);
    for name in names {
        let bytes = std::fs::read_to_string(instance.path("data").join(name)).unwrap();
        assert_eq!(bytes, name);
    }
}

/// Guards against an operator who does not know of a restore that waits for Arc's next start.
#[test]
fn doctor_reports_a_staged_restore() {
    let instance = small();
    let checks = |instance: &Instance| {
        let (_, report) = instance.json(&["doctor"]);
        let all = report["checks"].as_array().unwrap().clone();
        all.into_iter()
            .filter(|check| check["check"] == "pending restore")
            .collect::<Vec<_>>()
    };
    assert_eq!(checks(&instance), Vec::<serde_json::Value>::new());
    stage(&instance);
    let found = checks(&instance);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["status"], "warn");
    let detail = found[0]["detail"].as_str().unwrap();
    assert!(
        detail.contains(
            "Arc has staged a restore of its own: it is put in force at Arc's next start"
        ),
        "{detail}"
    );
}
