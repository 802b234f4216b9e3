//! Incremental backups: what is reused, and what is copied.

use crate::stores;

mod bases;
mod changes;
mod held;
mod rehash;
mod shared_damage;
mod targets;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::{Instance, files, inventory_of};

/// Makes an incremental backup, which must succeed, and returns its document.
fn incremental(instance: &Instance, more: &[&str]) -> Value {
    let (code, made) = instance.json(&[&["backup", "--incremental"], more].concat());
    assert_eq!(code, 0, "{made}");
    made
}

fn id_of(made: &Value) -> &str {
    made["backup_id"].as_str().unwrap()
}

/// The data files of a backup that are no other names of files of any other backup.
fn copied(instance: &Instance, id: &str) -> BTreeSet<String> {
    let folder = instance.backup_folder(id).join("data");
    let is_alone = |path: &String| folder.join(path).metadata().unwrap().nlink() == 1;
    files(&folder).into_iter().filter(is_alone).collect()
}

/// The lines of a backup's inventory.
fn lines(instance: &Instance, id: &str) -> Vec<Value> {
    (inventory_of(&instance.backup_folder(id)).lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Every file of the data is in the backup, as it is now.
fn assert_holds_the_data(instance: &Instance, id: &str, case: &str) {
    let (live, held) = (
        instance.path("data/arc"),
        instance.backup_folder(id).join("data"),
    );
    assert_eq!(files(&live), files(&held), "{case}");
    for path in files(&live) {
        let bytes = |root: &Path| std::fs::read(root.join(&path)).unwrap();
        assert!(bytes(&live) == bytes(&held), "{case}: {path} differs");
    }
    instance.ok(&["verify", id]);
}

fn warnings(made: &Value) -> String {
    made["warnings"].to_string()
}

fn modified(path: &Path) -> SystemTime {
    path.metadata().unwrap().modified().unwrap()
}

fn set_modified(path: &Path, moment: SystemTime) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(moment).unwrap();
}

/// Writes other bytes of the same length into a file, in place.
fn rewrite(path: &Path) {
    use std::io::Write as _;
    let mut bytes = std::fs::read(path).unwrap();
    for byte in &mut bytes {
        *byte ^= 0x55;
    }
    let mut file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all(&bytes).unwrap();
}

/// A moment long before any backup of these tests.
fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789)
}

/// Guards against: an incremental backup that copies what did not change, or that needs its base.
#[test]
fn unchanged_files_are_links_and_the_backup_stands_alone() {
    let instance = Instance::new();
    let full = instance.backup();
    let made = incremental(&instance, &[]);
    let id = id_of(&made);
    assert_eq!(
        (&made["backup_type"], &made["base_backup_id"]),
        (&"incremental".into(), &full.as_str().into()),
        "{made}"
    );
    assert_eq!(made["reused_files"], 105, "{made}");
    assert_eq!(made["processed_files"], made["total_files"], "{made}");
    assert_eq!(copied(&instance, id), BTreeSet::new());
    let folder = instance.backup_folder(id);
    assert!(!folder.join("manifest-files.json").exists());
    let (_, shown) = instance.json(&["show", id]);
    assert_eq!(
        (
            &shown["backup_type"],
            &shown["base_backup_id"],
            &shown["format"],
            &shown["inventory"]["compression"],
            &shown["reused_files"]
        ),
        (
            &"incremental".into(),
            &full.as_str().into(),
            &2.into(),
            &"zstd".into(),
            &105.into()
        ),
        "{shown}"
    );
    assert!(shown.get("stored_in").is_none(), "{shown}");
    let data = |line: &&Value| line["path"].as_str().unwrap().starts_with("data/");
    for line in lines(&instance, id).iter().filter(data) {
        assert!(line["inode"].is_u64() && line["device"].is_u64(), "{line}");
        assert!(
            line.get("etag").is_none() && line.get("stored_in").is_none(),
            "{line}"
        );
    }
    assert_holds_the_data(&instance, id, "with its base");
    // Databases are copied each time.
    assert!(folder.join("metadata/arc.db").metadata().unwrap().nlink() == 1);

    // A third on top of the second, and then both others go.
    let third = incremental(&instance, &[]);
    assert_eq!(third["base_backup_id"], id);
    assert_eq!(third["reused_files"], 105, "{third}");
    for gone in [&*full, id] {
        instance.ok(&["delete", gone, "--yes"]);
    }
    let before = instance.live();
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    std::fs::create_dir(instance.path("data/arc")).unwrap();
    instance.ok(&["restore", id_of(&third), "--yes"]);
    assert!(instance.live() == before, "the restored data differs");
}

/// Guards against: a type of backup that is another one than asked for.
#[test]
fn the_type_is_that_of_the_request_or_of_the_configuration() {
    let instance = Instance::new();
    let made = |arguments: &[&str]| instance.json(&[&["backup"], arguments].concat()).1;
    assert_eq!(made(&[])["backup_type"], "full");
    assert_eq!(made(&[])["backup_type"], "full");
    instance.configure("[arc_backup]\nmode = \"incremental\"\n");
    assert_eq!(made(&[])["backup_type"], "incremental");
    assert_eq!(made(&["--full"])["backup_type"], "full");
    let service = instance.serve();
    for (body, expected) in [
        ("{}", "incremental"),
        (r#"{"type":"full"}"#, "full"),
        (r#"{"type":"incremental","rehash":true}"#, "incremental"),
    ] {
        let ended = stores::done(&service, "/api/v1/backup", body);
        assert_eq!(ended["backup_type"], expected, "{body}: {ended}");
    }
    let refused = service.post("/api/v1/backup", r#"{"type":"differential"}"#);
    assert_eq!(refused.status, 400, "{}", refused.text);
    let output = instance.run(&["backup", "--full", "--incremental"]);
    assert_eq!(output.status.code(), Some(2));
}
