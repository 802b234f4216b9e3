//! An Iceberg warehouse outside of the storage root, and files that Arc skipped.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{ARC_NEW, Instance, change_live, files, has_problem, text, tree};

pub(super) const METADATA: &str = "iot/temperature/metadata/00001.metadata.json";

/// Gives one of Arc's own backups a warehouse, and says so in its manifest.
pub(super) fn add_warehouse(instance: &Instance, id: &str) {
    let folder = instance.backup_folder(id);
    for (name, bytes) in [
        (METADATA, "{}"),
        ("iot/temperature/metadata/snap-1.avro", "avro"),
    ] {
        let path = folder.join("iceberg").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    change_manifest(instance, id, |manifest| {
        manifest["iceberg_warehouse"] = json!({
            // Where it was on the machine that made the backup: nothing may be written there.
            "path": instance.path("elsewhere"),
            "configured_path": "./elsewhere",
            "file_count": 2,
            "size_bytes": 6,
            "skipped_files": 0,
        });
    });
}

pub(super) fn change_manifest(instance: &Instance, id: &str, change: impl FnOnce(&mut Value)) {
    let path = instance.backup_folder(id).join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    std::fs::write(path, manifest.to_string()).unwrap();
}

fn bytes(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = tree(folder).into_iter();
    files.map(|(name, (bytes, ..))| (name, bytes)).collect()
}

/// Guards against a restore of the data that a warehouse stops, and against files in a place that
/// only the manifest names.
#[test]
fn arcs_warehouse_goes_to_the_configured_folder_or_is_named() {
    let instance = Instance::new();
    add_warehouse(&instance, ARC_NEW);
    let (code, verified) = instance.json(&["verify", ARC_NEW]);
    assert_eq!(
        (code, &verified["total_files"]),
        (0, &json!(109)),
        "{verified}"
    );
    change_live(&instance);
    let live = instance.live();
    // Without a warehouse the data is restored all the same, and a warning says what was not.
    for table in ["", "[iceberg]\nenabled = true\nwarehouse = \"s3://lake/x\""] {
        instance.configure(table);
        let (code, restored) = instance.json(&["restore", ARC_NEW, "--no-metadata", "--yes"]);
        assert_eq!(code, 0, "{restored}");
        let warnings = restored["warnings"].to_string();
        assert!(warnings.contains("warehouse of backup") && warnings.contains("2 files"));
        assert!(warnings.contains("iceberg.warehouse"), "{warnings}");
    }
    assert!(instance.live() != live, "nothing was restored");

    let config = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    std::fs::write(
        instance.path("arc.toml"),
        config.replace("s3://lake/x", "./lake"),
    )
    .unwrap();
    std::fs::create_dir_all(instance.path("lake/iot")).unwrap();
    std::fs::write(instance.path("lake/iot/newer.json"), "newer").unwrap();
    let (code, restored) = instance.json(&["restore", ARC_NEW, "--no-metadata", "--yes"]);
    assert_eq!(code, 0, "{restored}");
    assert!(
        !restored["warnings"].to_string().contains("warehouse"),
        "{restored}"
    );
    let mut expected = bytes(&instance.backup_folder(ARC_NEW).join("iceberg"));
    expected.insert(0, ("iot/newer.json".to_owned(), b"newer".to_vec()));
    assert_eq!(bytes(&instance.path("lake")), expected);
    assert!(!instance.path("lake.before-restore").exists());
    assert!(!instance.path("elsewhere").exists());

    let (_, missing) = {
        std::fs::remove_file(
            instance
                .backup_folder(ARC_NEW)
                .join("iceberg")
                .join(METADATA),
        )
        .unwrap();
        instance.json(&["verify", ARC_NEW])
    };
    assert!(has_problem(&missing, "iceberg", "missing"), "{missing}");
}

/// Guards against a catalog that is restored without the files that it names.
#[test]
fn our_backups_hold_the_warehouse_and_bring_it_back() {
    let instance = Instance::new();
    instance.configure("[iceberg]\nenabled = true\nwarehouse = \"file://./lake\"");
    let (code, made) = instance.json(&["backup"]);
    assert_eq!(code, 0, "{made}");
    assert!(
        made["not_included"].to_string().contains("does not exist"),
        "{made}"
    );

    let lake = instance.path("lake");
    std::fs::create_dir_all(lake.join("iot/temperature/metadata")).unwrap();
    std::fs::write(lake.join(METADATA), "{\"format-version\": 2}").unwrap();
    std::fs::write(lake.join("iot/temperature/metadata/version-hint.text"), "1").unwrap();
    let (code, made) = instance.json(&["backup"]);
    assert_eq!(code, 0, "{made}");
    assert!(
        !made["not_included"].to_string().contains("iceberg"),
        "{made}"
    );
    let id = made["backup_id"].as_str().unwrap();
    let (_, shown) = instance.json(&["show", id]);
    assert_eq!(shown["iceberg_warehouse"]["file_count"], 2, "{shown}");
    assert_eq!(
        shown["iceberg_warehouse"]["configured_path"], "file://./lake",
        "{shown}"
    );
    instance.ok(&["verify", id]);
    let before = tree(&lake);
    std::fs::write(lake.join(METADATA), "changed").unwrap();
    std::fs::remove_file(lake.join("iot/temperature/metadata/version-hint.text")).unwrap();
    instance.ok(&["restore", id, "--yes"]);
    assert!(tree(&lake) == before);
    // Nothing is left beside it but what was set aside.
    let beside = files(&instance.path("lake.before-restore"));
    assert_eq!(beside.len(), 1, "{beside:?}");
    let swept = text(&instance.run(&["sweep"]));
    assert!(swept.contains("lake.before-restore"), "{swept}");

    // A backup of databases alone leaves it.
    std::fs::write(lake.join(METADATA), "changed").unwrap();
    instance.ok(&["restore", id, "--no-data", "--yes"]);
    assert_eq!(
        std::fs::read_to_string(lake.join(METADATA)).unwrap(),
        "changed"
    );
}

/// Guards against a warehouse in the folder of the backups, which each backup would copy.
#[test]
fn a_warehouse_among_backups_is_refused() {
    let instance = Instance::new();
    instance.configure("[iceberg]\nenabled = true\nwarehouse = \"./data/backups/lake\"");
    let refused = instance.run(&["backup"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(
        text(&refused).contains("iceberg.warehouse"),
        "{}",
        text(&refused)
    );
}

/// Guards against files that Arc has left out of its backup, and nobody hears of.
#[test]
fn files_that_arc_skipped_are_shown_and_warned_of_and_no_damage() {
    let instance = Instance::new();
    change_manifest(&instance, ARC_NEW, |manifest| {
        let total = manifest["total_files"].as_u64().unwrap();
        let bytes = manifest["total_size_bytes"].as_u64().unwrap();
        manifest["total_files"] = (total + 3).into();
        manifest["total_size_bytes"] = (bytes + 100).into();
        manifest["skipped_files"] = 3.into();
        manifest["skipped_sample"] = json!(["iot/a.parquet", "iot/b.parquet"]);
        manifest["skipped_overlong_keys"] = 2.into();
        manifest["skipped_metadata_files"] = 1.into();
    });
    let (_, list) = instance.json(&["list"]);
    let row = &list["backups"][0];
    assert_eq!(
        (&row["skipped_files"], &row["skipped_metadata_files"]),
        (&json!(3), &json!(1))
    );
    let shown = instance.ok(&["show", ARC_NEW]);
    for named in [
        "3 files, skipped by Arc (iot/a.parquet",
        "2 files with names",
        "1 Iceberg",
    ] {
        assert!(shown.contains(named), "{named}: {shown}");
    }
    let (code, verified) = instance.json(&["verify", ARC_NEW]);
    assert_eq!(code, 0, "{verified}");
    let warned = |operation: &Value| operation["warnings"].to_string();
    assert!(
        warned(&verified).contains("Arc skipped 3 files, 2 files with"),
        "{verified}"
    );
    let (code, restored) = instance.json(&["restore", ARC_NEW, "--yes", "--extra-files", "remove"]);
    assert_eq!(code, 1, "{restored}");
    assert!(
        restored["error"].to_string().contains("Arc skipped files"),
        "{restored}"
    );
    // It names two: the live version of the third can't be known.
    let (code, restored) = instance.json(&["restore", ARC_NEW, "--yes"]);
    assert_eq!(code, 1, "{restored}");
    assert!(
        restored["error"].to_string().contains("--extra-files keep"),
        "{restored}"
    );
    let (code, restored) = instance.json(&["restore", ARC_NEW, "--yes", "--extra-files", "keep"]);
    assert_eq!(code, 0, "{restored}");
    assert!(
        warned(&restored).contains("Arc skipped 3 files"),
        "{restored}"
    );
    // More is missing than Arc has skipped.
    change_manifest(&instance, ARC_NEW, |manifest| {
        manifest["skipped_files"] = 2.into();
    });
    let (code, verified) = instance.json(&["verify", ARC_NEW]);
    assert!(
        code == 1 && has_problem(&verified, "data", "missing"),
        "{verified}"
    );
}
