//! Databases that a backup was asked for, and of which it has no data file.

use serde_json::Value;

use super::{ARCS, is_of, put, small, small_files, write_arcs};
use crate::support::Instance;

fn warnings(done: &Value) -> String {
    done["warnings"].to_string()
}

/// Restores with this policy.
fn restored(instance: &Instance, id: &str, policy: &str) -> (i32, Value) {
    instance.json(&["restore", id, "--yes", "--extra-files", policy])
}

/// Guards against: a database that is taken away, or removed, as it was lost or not written yet
/// when the backup was made, and no line that names it.
#[test]
fn a_database_that_the_backup_has_nothing_of_is_named_and_never_removed() {
    let instance = small();
    // Companions are no rows.
    put(&instance, "_schema/later/cpu.parquet", b"columns");
    std::fs::create_dir_all(instance.path("data/arc/later")).unwrap();
    let (code, made) = instance.json(&["backup", "--database", "iot", "--database", "later"]);
    assert_eq!(code, 0, "{made}");
    let said = warnings(&made);
    assert!(
        said.contains("later") && said.contains("has no data files"),
        "{said}"
    );
    let ours = made["backup_id"].as_str().unwrap().to_owned();
    let mut files = small_files();
    files.retain(|key, _| is_of(key, &["iot"]));
    write_arcs(&instance.path("data/backups"), &["iot", "later"], &files);
    let rows = "later/cpu/2027/01/14/00/a.parquet";
    for id in [&*ours, ARCS] {
        put(&instance, rows, b"rows");
        let before = instance.live();
        let (code, refused) = restored(&instance, id, "remove");
        assert_eq!(code, 1, "{refused}");
        let error = refused["error"].to_string();
        assert!(
            error.contains("no data files of later") && error.contains("nothing was changed"),
            "{error}"
        );
        assert!(instance.live() == before);

        let preview = instance.run(&["restore", id]);
        let preview = crate::support::text(&preview);
        assert!(preview.contains("no data files of later"), "{preview}");
        let (code, done) = restored(&instance, id, "set-aside");
        assert_eq!(code, 0, "{done}");
        let said = warnings(&done);
        assert!(said.contains("no data files of later"), "{said}");
        assert!(!said.contains("iot"), "{said}");
        assert!(!instance.path("data/arc").join(rows).exists());
    }
}
