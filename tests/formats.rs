//! Backups of earlier formats stay readable.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use std::path::Path;

use arc_backup::testing::{Manifest, seal};
use support::{Instance, copy_tree, database_rows, files, inventory_of};

/// Guards against a change of the format that makes older backups unreadable.
#[test]
fn a_backup_of_format_1_verifies_and_restores() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let id = std::fs::read_dir(fixtures.join("format-1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|name| name.starts_with("backup-"))
        .unwrap();
    let instance = Instance::new();
    copy_tree(
        &fixtures.join("format-1").join(&id),
        &instance.backup_folder(&id),
    );
    let manifest = std::fs::read_to_string(instance.backup_folder(&id).join("manifest.json"));
    assert!(manifest.unwrap().contains("\"format\": 1"));
    let (code, verified) = instance.json(&["verify", &id]);
    assert_eq!((code, &verified["has_checksums"]), (0, &true.into()));
    assert_eq!(verified["processed_files"], 6, "{verified}");

    // Another state of the instance, so that everything has to be restored.
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    std::fs::create_dir(instance.path("data/arc")).unwrap();
    std::fs::write(instance.path("data/arc/extra.parquet"), b"PAR1").unwrap();
    let flags = ["--with-config", "--yes", "--into-other-instance"];
    instance.ok(&[&["restore", &*id][..], &flags].concat());
    let (data, original) = (
        instance.path("data/arc"),
        fixtures.join("instance/data/arc"),
    );
    let restored = files(&data);
    assert_eq!(restored.len(), 4, "{restored:?}");
    for path in restored {
        let bytes = |root: &Path| std::fs::read(root.join(&path)).unwrap();
        assert!(bytes(&data) == bytes(&original), "{path} differs");
    }
    let rows = |path: &Path| database_rows(path);
    let copy = instance.path("original.db");
    std::fs::copy(fixtures.join("instance/data/arc.db"), &copy).unwrap();
    assert_eq!(rows(&instance.path("data/arc.db")), rows(&copy));
    assert_eq!(
        std::fs::read(instance.path("arc.toml")).unwrap(),
        std::fs::read(fixtures.join("instance/arc.toml")).unwrap()
    );
}

/// Guards against: backups of format 2 from before its inventory was compressed, which can't be
/// read any more.
#[test]
fn a_backup_of_format_2_without_compression_verifies_and_restores() {
    let instance = Instance::new();
    let id = instance.ok(&["backup", "--database", "iot"]);
    let folder = instance.backup_folder(&id);
    let lines = inventory_of(&folder);
    std::fs::remove_file(folder.join("inventory.jsonl.zst")).unwrap();
    std::fs::write(folder.join("inventory.jsonl"), lines).unwrap();
    let path = folder.join("manifest.json");
    let mut manifest: Manifest = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(manifest.format, Some(2));
    manifest.inventory.as_mut().unwrap().compression = None;
    std::fs::write(&path, seal(&mut manifest).unwrap()).unwrap();
    let (code, verified) = instance.json(&["verify", &id]);
    assert_eq!(code, 0, "{verified}");
    let before = instance.live();
    std::fs::remove_dir_all(instance.path("data/arc/iot")).unwrap();
    instance.ok(&["restore", &id, "--yes"]);
    assert!(instance.live() == before, "the restored data differs");
    instance.ok(&["delete", &id, "--yes", "--even-last"]);
    assert!(!folder.exists());
}
