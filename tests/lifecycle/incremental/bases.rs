//! Which backup is the base.

use std::path::Path;

use arc_backup::testing::{Manifest, seal};
use serde_json::json;

use super::{assert_holds_the_data, copied, id_of, incremental, warnings};
use crate::support::{Instance, files, inventory_of, write_inventory};

/// Changes the manifest of a backup, and seals it again.
fn reseal(folder: &Path, change: impl Fn(&mut Manifest)) {
    let path = folder.join("manifest.json");
    let mut manifest: Manifest = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    std::fs::write(&path, seal(&mut manifest).unwrap()).unwrap();
}

/// Guards against: an incremental backup that fails, or reuses what it must not, for want of a
/// base.
#[test]
fn without_a_base_it_is_a_full_one_and_says_so() {
    type Spoil = fn(&Instance, &str);
    let cases: [(&str, Spoil); 6] = [
        ("no backup", |instance, id| {
            instance.ok(&["delete", id, "--yes", "--even-last"]);
        }),
        ("of another instance", |instance, _| {
            let id = instance.path("data/backups/.arc-backup/instance-id");
            std::fs::write(id, "0123456789abcdef0123456789abcdef").unwrap();
        }),
        ("of a newer format", |instance, id| {
            reseal(&instance.backup_folder(id), |manifest| {
                manifest.format = Some(3);
            });
        }),
        ("its manifest is damaged", |instance, id| {
            std::fs::write(instance.backup_folder(id).join("manifest.json"), b"{").unwrap();
        }),
        ("its inventory is damaged", |instance, id| {
            let folder = instance.backup_folder(id);
            let lines = inventory_of(&folder).replacen("\"size\":", "\"size\":1", 1);
            write_inventory(&folder, &lines);
        }),
        ("noted as damaged", |instance, id| {
            let folder = instance.backup_folder(id).join("data");
            let name = files(&folder).pop().unwrap();
            std::fs::write(folder.join(name), b"damaged").unwrap();
            assert!(!instance.run(&["verify", id]).status.success());
        }),
    ];
    for (case, spoil) in cases {
        let instance = Instance::new();
        std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
        let id = instance.backup();
        spoil(&instance, &id);
        let made = incremental(&instance, &[]);
        let said = warnings(&made);
        assert!(said.contains("this backup is a full one"), "{case}: {said}");
        assert_eq!(said.contains(&id), case.contains("inventory"), "{said}");
        assert_eq!(made["backup_type"], "full", "{case}: {made}");
        assert_eq!(made.get("base_backup_id"), None, "{case}: {made}");
        assert_eq!(copied(&instance, id_of(&made)).len(), 105, "{case}");
        let folder = instance.backup_folder(id_of(&made));
        assert!(folder.join("manifest-files.json").exists(), "{case}");
        assert_holds_the_data(&instance, id_of(&made), case);
    }
}

/// Guards against: a newer format that is called damaged, without a word of what to do.
#[test]
fn a_newer_format_is_refused_by_name() {
    let instance = Instance::new();
    let id = instance.backup();
    let folder = instance.backup_folder(&id);
    reseal(&folder, |manifest| manifest.format = Some(3));
    let (_, list) = instance.json(&["list"]);
    let detail = list["damaged"][0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("has format 3") && detail.contains("use a newer arc-backup"),
        "{detail}"
    );
    reseal(&folder, |manifest| {
        manifest.format = Some(2);
        let inventory = manifest.inventory.as_mut().unwrap();
        inventory.compression = Some("brotli".to_owned());
    });
    let (code, verified) = instance.json(&["verify", &id]);
    assert_eq!(code, 1, "{verified}");
    let said = verified["problems"].to_string();
    assert!(
        said.contains("brotli") && said.contains("newer arc-backup"),
        "{said}"
    );
}

/// Guards against: a damaged base that costs a whole backup while an older one is there.
#[test]
fn the_next_older_one_is_the_base_where_the_newest_can_not_be() {
    let instance = Instance::new();
    let older = instance.backup();
    let newer = instance.backup();
    write_inventory(&instance.backup_folder(&newer), "");
    let made = incremental(&instance, &[]);
    assert_eq!(made["base_backup_id"], older.as_str(), "{made}");
    assert!(warnings(&made).contains(&newer), "{made}");
    assert_eq!(made["reused_files"], 105, "{made}");
}

/// Guards against: a backup of everything on the base of one of some databases, while one of all is
/// there; and files that are reused from it although it lacks them.
#[test]
fn a_base_of_some_databases_gives_theirs_and_one_of_all_is_preferred() {
    let instance = Instance::new();
    std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
    let scoped = instance.ok(&["backup", "--database", "iot"]);
    let made = incremental(&instance, &[]);
    assert_eq!(made["base_backup_id"], scoped.as_str(), "{made}");
    let of_iot = files(&instance.path("data/arc/iot")).len();
    assert_eq!(made["reused_files"], of_iot, "{made}");
    assert_holds_the_data(&instance, id_of(&made), "on a scoped base");
    let newest = instance.ok(&["backup", "--database", "iot"]);
    let next = incremental(&instance, &[]);
    assert_eq!(next["base_backup_id"], made["backup_id"], "{next}");
    // For the database itself, the newest that covers it.
    let scoped = incremental(&instance, &["--database", "iot"]);
    assert_eq!(scoped["base_backup_id"], next["backup_id"], "not {newest}");
    assert_eq!(scoped["reused_files"], of_iot, "{scoped}");
}

/// Guards against: files that are reused on the word of an inventory without numbers of files.
#[test]
fn a_base_of_format_1_gives_no_file_on_local_disk() {
    let instance = Instance::new();
    let id = instance.backup();
    let folder = instance.backup_folder(&id);
    let lines: String = (inventory_of(&folder).lines())
        .map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            let fields = line.as_object_mut().unwrap();
            let inode = fields.remove("inode").and_then(|inode| inode.as_u64());
            fields.remove("device");
            fields.insert("etag".to_owned(), json!(format!("{inode:?}")));
            format!("{line}\n")
        })
        .collect();
    std::fs::remove_file(folder.join("inventory.jsonl.zst")).unwrap();
    std::fs::write(folder.join("inventory.jsonl"), &lines).unwrap();
    reseal(&folder, |manifest| {
        manifest.format = Some(1);
        let inventory = manifest.inventory.as_mut().unwrap();
        inventory.compression = None;
        inventory.sha256 = arc_backup_core::Digest::of(lines.as_bytes()).to_string();
    });
    instance.ok(&["verify", &id]);
    let made = incremental(&instance, &[]);
    assert_eq!(made["base_backup_id"], id.as_str(), "{made}");
    assert_eq!(copied(&instance, id_of(&made)).len(), 105);
    let next = incremental(&instance, &[]);
    assert_eq!(next["reused_files"], 105, "{next}");
}

/// Guards against: a backup of everything that copies almost all, as many of one database were made
/// since the last of everything.
#[test]
fn a_base_of_all_databases_is_found_behind_many_of_one() {
    let instance = Instance::new();
    let whole = instance.backup();
    let scoped = instance.ok(&["backup", "--database", "iot"]);
    let folder = instance.backup_folder(&scoped);
    for second in 0..60 {
        let id = format!("backup-20991231-2359{second:02}-0123abcd");
        let copy = instance.backup_folder(&id);
        std::fs::create_dir(&copy).unwrap();
        for name in ["manifest.json", "inventory.jsonl.zst"] {
            std::fs::copy(folder.join(name), copy.join(name)).unwrap();
        }
        reseal(&copy, |manifest| manifest.backup_id.clone_from(&id));
    }
    let made = incremental(&instance, &[]);
    assert_eq!(made["base_backup_id"], whole.as_str(), "{made}");
    assert_eq!(made["reused_files"], 105, "{made}");
}
