//! Restores of an Iceberg warehouse into a folder that holds other files too.

use serde_json::json;

use super::iceberg::{METADATA, add_warehouse, change_manifest};
use crate::support::{ARC_NEW, Instance, files, text};

/// Writes files below a folder of the instance.
fn write(instance: &Instance, folder: &str, names: &[&str]) {
    for name in names {
        let path = instance.path(folder).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }
}

/// Guards against files of other programs that a restore sets aside or removes, as they lie in the
/// folder of the warehouse.
#[test]
fn extra_files_of_a_warehouse_stay_whatever_becomes_of_those_of_the_data() {
    let others = [
        ".ssh/id",
        "photos/a.jpg",
        "spark/x/metadata/1.metadata.json",
        "iot/temperature/metadata/00009.metadata.json",
    ];
    for policy in ["set-aside", "remove", "keep"] {
        let instance = Instance::new();
        add_warehouse(&instance, ARC_NEW);
        instance.configure("[iceberg]\nenabled = true\nwarehouse = \"./shared\"");
        write(&instance, "shared", &others);
        write(&instance, "shared", &[METADATA]);
        let restore = ["restore", ARC_NEW, "--no-metadata", "--extra-files", policy];
        let preview = text(&instance.run(&restore));
        assert!(preview.contains("/shared"), "{preview}");
        std::fs::write(instance.path("data/arc/iot/added.parquet"), "added").unwrap();
        let (code, restored) = instance.json(&[&restore[..], &["--yes"]].concat());
        assert_eq!(code, 0, "{policy}: {restored}");
        for name in others {
            let path = instance.path("shared").join(name);
            assert_eq!(std::fs::read_to_string(path).unwrap(), name, "{policy}");
        }
        let metadata = instance.path("shared").join(METADATA);
        assert_eq!(std::fs::read_to_string(metadata).unwrap(), "{}");
        // Only that of a table which the backup has is named; only the data's files are extra.
        let warnings = restored["warnings"].to_string();
        assert!(
            warnings.contains("1 files of Iceberg metadata"),
            "{warnings}"
        );
        assert_eq!(restored["plan"]["extra_files"], 1, "{restored}");
        // The replaced file, in a place of its own.
        let beside = files(&instance.path("shared.before-restore"));
        assert!(
            beside.len() == 1 && beside[0].ends_with(METADATA),
            "{beside:?}"
        );
        let kept = restored["kept"].to_string();
        assert!(
            kept.contains("shared.before-restore") && kept.contains("(1 files of the warehouse)"),
            "{restored}"
        );
        let data_files = u64::from(policy != "keep");
        assert_eq!(restored["set_aside_files"], data_files, "{restored}");
        let location = restored["set_aside_location"].to_string();
        assert_eq!(
            location.contains("arc.before-restore"),
            policy == "set-aside",
            "{restored}"
        );
    }
}

/// Guards against tables that no longer resolve: the backup has the metadata of a warehouse
/// outside, and here it is under the storage root.
#[test]
fn metadata_under_the_storage_root_stays_where_the_backup_has_a_warehouse_outside() {
    for policy in ["set-aside", "remove"] {
        let instance = Instance::new();
        add_warehouse(&instance, ARC_NEW);
        instance.configure("[iceberg]\nenabled = true\nwarehouse = \"./data/arc/lake\"");
        let names = ["lake/iot/cpu/metadata/1.metadata.json", "iot/added.parquet"];
        write(&instance, "data/arc", &names);
        let restore = ["restore", ARC_NEW, "--no-metadata", "--extra-files", policy];
        let (code, restored) = instance.json(&[&restore[..], &["--yes"]].concat());
        assert_eq!(code, 0, "{restored}");
        assert!(instance.path("data/arc").join(names[0]).exists());
        assert!(!instance.path("data/arc").join(names[1]).exists());
        let warnings = restored["warnings"].to_string();
        assert!(
            warnings.contains("here the warehouse is under the storage root"),
            "{warnings}"
        );
    }
}

/// Guards against a shared warehouse that the backup of another instance changes unasked.
#[test]
fn files_in_a_warehouse_are_in_the_way_of_a_backup_of_another_instance() {
    let instance = Instance::new();
    add_warehouse(&instance, ARC_NEW);
    change_manifest(&instance, ARC_NEW, |manifest| {
        manifest["owner_instance_id"] = "0b7d93f4-5566-4a1f-9d0e-3b2c4d5e8f90".into();
    });
    instance.configure("[iceberg]\nenabled = true\nwarehouse = \"./lake\"");
    std::fs::write(
        instance.path("data/.arc-backup-instance-id"),
        "6a1f9d0e-3b2c-4d5e-8f90-112233445566",
    )
    .unwrap();
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    std::fs::create_dir(instance.path("data/arc")).unwrap();
    write(&instance, "lake", &[METADATA]);
    let restore = ["restore", ARC_NEW, "--no-metadata", "--yes"];
    let refused = instance.run(&restore);
    let said = text(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("/lake") && said.contains("--into-other-instance"),
        "{said}"
    );
    // Nothing is in the way.
    std::fs::remove_dir_all(instance.path("lake")).unwrap();
    instance.ok(&restore);
    assert!(instance.path("lake").join(METADATA).exists());
}

/// Guards against a file in the place of the warehouse that is said to be absent.
#[test]
fn a_file_in_the_place_of_a_warehouse_is_named() {
    let instance = Instance::new();
    let place = instance.path("a lake");
    let uri = format!("file:{}", place.display()).replace(' ', "%20");
    instance.configure(&format!("[iceberg]\nenabled = true\nwarehouse = \"{uri}\""));
    std::fs::write(&place, "a file").unwrap();
    let (_, made) = instance.json(&["backup"]);
    let named = made["not_included"].to_string();
    assert!(named.contains("a lake` is not a folder"), "{made}");
    let (_, found) = instance.json(&["doctor"]);
    let is_named =
        |check: &serde_json::Value| check["subject"] == "Iceberg warehouse" && check["ok"] == false;
    assert!(
        found["checks"].as_array().unwrap().iter().any(is_named),
        "{found}"
    );
    std::fs::remove_file(&place).unwrap();
    write(&instance, "a lake", &[METADATA]);
    let (code, made) = instance.json(&["backup"]);
    assert_eq!(code, 0, "{made}");
    let (_, shown) = instance.json(&["show", "latest"]);
    assert_eq!(
        shown["iceberg_warehouse"]["file_count"],
        json!(1),
        "{shown}"
    );
}
