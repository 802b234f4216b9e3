//! Backups by Arc 27.01 that have `manifest-files.json`.

use std::path::Path;

use serde_json::{Value, json};

use super::sha256;
use crate::support::{ARC_NEW, ARC_OLD, Instance, change_live, files, has_problem, refused, text};

/// The list, as Arc 27.01 writes one: of the Parquet files alone.
fn list_of(folder: &Path) -> Value {
    let data = folder.join("data");
    let names = files(&data);
    let listed = names.iter().filter(|name| name.ends_with(".parquet"));
    let listed: Vec<Value> = listed
        .map(|name| {
            let bytes = std::fs::read(data.join(name)).unwrap();
            let mut parts = name.split('/');
            json!({
                "path": name,
                "sha256": sha256(&bytes),
                "size_bytes": bytes.len(),
                "database": parts.next(),
                "measurement": parts.next(),
                "partition_time": "2026-11-20T00:00:00Z",
                "created_at": "2026-11-23T18:10:19.95461082Z",
            })
        })
        .collect();
    json!({"version": 1, "files": listed})
}

/// Writes a list that `change` has changed.
pub(super) fn write(instance: &Instance, id: &str, change: impl FnOnce(&mut Vec<Value>)) {
    let folder = instance.backup_folder(id);
    let mut list = list_of(&folder);
    change(list["files"].as_array_mut().unwrap());
    let text = serde_json::to_string_pretty(&list).unwrap();
    std::fs::write(folder.join("manifest-files.json"), text).unwrap();
}

fn listed(instance: &Instance, id: &str) -> Value {
    let (_, list) = instance.json(&["list"]);
    let mut rows = list["backups"].as_array().unwrap().iter();
    rows.find(|row| row["backup_id"] == id).unwrap().clone()
}

/// Guards against a backup by Arc whose checksums nobody looks at.
#[test]
fn a_backup_with_arcs_list_of_files_is_listed_shown_verified_and_restored_by_its_checksums() {
    let instance = Instance::new();
    // In an order that is not that of the bytes.
    write(&instance, ARC_NEW, |files| files.reverse());
    assert_eq!(listed(&instance, ARC_NEW)["has_checksums"], true);
    assert_eq!(listed(&instance, ARC_NEW)["total_files"], 105);
    assert_eq!(listed(&instance, ARC_OLD)["has_checksums"], false);
    let (_, shown) = instance.json(&["show", ARC_NEW]);
    assert_eq!(shown["has_checksums"], true);
    assert!(
        instance
            .ok(&["show", ARC_NEW])
            .contains("SHA-256 of every data file")
    );
    for mode in [&["verify", ARC_NEW][..], &["verify", ARC_NEW, "--quick"]] {
        let (code, verified) = instance.json(mode);
        assert_eq!(code, 0, "{verified}");
        assert_eq!(verified["has_checksums"], true, "{verified}");
        assert_eq!(verified["total_files"], 107, "{verified}");
    }
    let live = instance.live();
    change_live(&instance);
    let (code, restored) = instance.json(&["restore", ARC_NEW, "--no-metadata", "--yes"]);
    assert_eq!(code, 0, "{restored}");
    assert_eq!(restored["has_checksums"], true, "{restored}");
    // Only the deleted and the rewritten file: of the others the digests are compared.
    assert_eq!(restored["plan"]["written_files"], 2, "{restored}");
    let bytes = |live: std::collections::BTreeMap<String, (Vec<u8>, u32, i128)>| {
        let files = live.into_iter().map(|(name, (bytes, ..))| (name, bytes));
        files.collect::<Vec<_>>()
    };
    assert!(
        bytes(instance.live()) == bytes(live),
        "other bytes are live"
    );
    let (code, removed) = instance.json(&["delete", ARC_NEW, "--yes"]);
    assert_eq!(
        (code, &removed["processed_files"]),
        (0, &json!(107)),
        "{removed}"
    );
    assert!(!instance.backup_folder(ARC_NEW).exists());
}

/// Guards against damage in Arc's own backup that is restored over good live data.
#[test]
fn a_wrong_checksum_a_missing_and_an_extra_file_are_named_and_nothing_is_restored() {
    for kind in ["checksum", "bytes", "missing", "size", "unexpected"] {
        let instance = Instance::new();
        let data = instance.backup_folder(ARC_NEW).join("data");
        let name = files(&data)[5].clone();
        let victim = data.join(&name);
        let mut named = format!("data/{name}");
        write(&instance, ARC_NEW, |files| match kind {
            "checksum" => files[5]["sha256"] = sha256(b"other bytes").into(),
            "size" => files[5]["size_bytes"] = 1.into(),
            _ => {}
        });
        match kind {
            "bytes" => {
                let mut bytes = std::fs::read(&victim).unwrap();
                bytes[100] ^= 1;
                std::fs::write(&victim, bytes).unwrap();
            }
            "missing" => std::fs::remove_file(&victim).unwrap(),
            "unexpected" => {
                named = "data/iot/added.parquet".to_owned();
                std::fs::copy(&victim, data.join("iot/added.parquet")).unwrap();
            }
            _ => {}
        }
        let problem = if kind == "bytes" { "checksum" } else { kind };
        let (code, verified) = instance.json(&["verify", ARC_NEW]);
        assert_eq!(code, 1, "{kind}: {verified}");
        assert!(
            has_problem(&verified, &named, problem),
            "{kind}: {verified}"
        );
        let quick = instance.run(&["verify", ARC_NEW, "--quick"]);
        let needs_reading = problem == "checksum";
        assert_eq!(
            quick.status.success(),
            needs_reading,
            "{kind}: {}",
            text(&quick)
        );
        let sample = instance.run(&["verify", ARC_NEW, "--sample", "100%"]);
        assert_eq!(sample.status.code(), Some(1), "{kind}: {}", text(&sample));
        change_live(&instance);
        refused(&instance, ARC_NEW, &named, kind);
        assert_eq!(listed(&instance, ARC_NEW)["state"], "damaged", "{kind}");
    }
}

/// Guards against a restore that sets aside live files because Arc's backup has lost its own.
#[test]
fn without_its_damaged_files_a_backup_with_a_list_leaves_their_live_versions() {
    let instance = Instance::new();
    write(&instance, ARC_NEW, |_| {});
    let data = instance.backup_folder(ARC_NEW).join("data");
    let name = files(&data)[7].clone();
    std::fs::remove_file(data.join(&name)).unwrap();
    let live = instance.live();
    let (code, restored) = instance.json(&[
        "restore",
        ARC_NEW,
        "--no-metadata",
        "--skip-damaged",
        "--yes",
    ]);
    assert_eq!(code, 1, "{restored}");
    let error = restored["error"].as_str().unwrap();
    assert!(
        error.contains("105 files; 1 are damaged or missing"),
        "{error}"
    );
    assert_eq!(instance.live(), live);
}

/// Guards against a backup of a cold tier that counts as damaged, however Arc counts its files.
#[test]
fn files_of_the_cold_tier_may_be_in_arcs_count_or_beside_it() {
    let instance = Instance::new();
    write(&instance, ARC_NEW, |files| {
        for file in files.iter_mut().take(10) {
            file["tier"] = "cold".into();
        }
    });
    let (code, verified) = instance.json(&["verify", ARC_NEW]);
    assert_eq!(code, 0, "{verified}");
    let folder = instance.backup_folder(ARC_NEW);
    let list = std::fs::read(folder.join("manifest-files.json")).unwrap();
    let list: Value = serde_json::from_slice(&list).unwrap();
    let cold = list["files"].as_array().unwrap().iter().take(10);
    let cold: u64 = cold.map(|file| file["size_bytes"].as_u64().unwrap()).sum();
    let path = folder.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let bytes = manifest["total_size_bytes"].as_u64().unwrap();
    manifest["total_files"] = 95.into();
    manifest["total_size_bytes"] = (bytes - cold).into();
    std::fs::write(&path, manifest.to_string()).unwrap();
    let (code, verified) = instance.json(&["verify", ARC_NEW]);
    assert_eq!(code, 0, "{verified}");
}

/// Guards against a list that nobody can rely on, and a path in it that leads out of the backup.
#[test]
fn a_list_that_is_malformed_damages_the_backup_in_words() {
    let good =
        |change: fn(&mut Vec<Value>)| move |instance: &Instance| write(instance, ARC_NEW, change);
    let raw = |text: &'static str| {
        move |instance: &Instance| {
            let path = instance.backup_folder(ARC_NEW).join("manifest-files.json");
            std::fs::write(path, text).unwrap();
        }
    };
    type Change = Box<dyn Fn(&Instance)>;
    let cases: Vec<(Change, &str)> = vec![
        (Box::new(raw("{")), "not valid"),
        (Box::new(raw("")), "not valid"),
        (Box::new(raw(r#"{"version":2,"files":[]}"#)), "version 2"),
        (
            Box::new(good(|files| files[3]["path"] = "../../arc.db".into())),
            "`..` segment",
        ),
        (
            Box::new(good(|files| files[3]["path"] = "/etc/passwd".into())),
            "absolute",
        ),
        (
            Box::new(good(|files| files[3] = files[90].clone())),
            "twice",
        ),
        (
            Box::new(good(|files| files[3]["size_bytes"] = (-5).into())),
            "-5",
        ),
        (
            Box::new(good(|files| files[3]["sha256"] = "00".into())),
            "SHA-256",
        ),
        (
            Box::new(good(|files| files[3]["tier"] = "warm".into())),
            "warm",
        ),
        (
            Box::new(|instance| {
                let path = instance.backup_folder(ARC_NEW).join("manifest-files.json");
                std::os::unix::fs::symlink("manifest.json", path).unwrap();
            }),
            "can't be read",
        ),
    ];
    for (change, named) in cases {
        let instance = Instance::new();
        change(&instance);
        let (code, verified) = instance.json(&["verify", ARC_NEW]);
        assert_eq!(code, 1, "{named}: {verified}");
        assert!(
            has_problem(&verified, "manifest-files.json", "inventory"),
            "{verified}"
        );
        let detail = verified["problems"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(named), "{named}: {detail}");
        change_live(&instance);
        refused(&instance, ARC_NEW, named, named);
    }
}

/// Guards against a backup that can't be restored at all, as its list is damaged.
#[test]
fn without_its_damaged_list_a_backup_is_restored_as_it_is_listed() {
    let instance = Instance::new();
    let list = instance.backup_folder(ARC_NEW).join("manifest-files.json");
    std::fs::write(&list, "{\"version\":1,\"files\":[").unwrap();
    let live = instance.live();
    let name = change_live(&instance);
    let restore = [
        "restore",
        ARC_NEW,
        "--no-metadata",
        "--yes",
        "--skip-damaged",
    ];
    let (code, refused) = instance.json(&restore);
    assert_eq!(code, 1, "{refused}");
    let error = refused["error"].to_string();
    assert!(
        error.contains("--skip-damaged --extra-files keep"),
        "{error}"
    );
    assert!(!instance.path("data/arc").join(&name).exists());
    let (code, restored) = instance.json(&[&restore[..], &["--extra-files", "keep"]].concat());
    // It says that the backup is not whole, and restores what there is.
    assert_eq!(code, 1, "{restored}");
    let bytes = std::fs::read(instance.path("data/arc").join(&name)).unwrap();
    assert!(bytes == live[&name].0);
    let warnings = restored["warnings"].to_string();
    assert!(
        warnings.contains("manifest-files.json can't be used"),
        "{warnings}"
    );
    // Sizes that Go can't have written are damage of the list, not a failure of the verification.
    write(&instance, ARC_NEW, |files| {
        for file in files.iter_mut().take(2) {
            file["size_bytes"] = u64::MAX.into();
        }
    });
    let (code, verified) = instance.json(&["verify", ARC_NEW]);
    assert_eq!(code, 1, "{verified}");
    assert!(
        has_problem(&verified, "manifest-files.json", "inventory"),
        "{verified}"
    );
    assert_eq!(listed(&instance, ARC_NEW)["state"], "damaged");
}

/// Guards against companions of data files that a list does not name, and a restore drops.
#[test]
fn files_beside_the_data_that_arc_does_not_list_are_restored_without_checksums() {
    let instance = Instance::new();
    let data = instance.backup_folder(ARC_NEW).join("data");
    let companions = [
        "_schema/iot/temperature.parquet",
        "iot/temperature/metadata/v1.metadata.json",
    ];
    for name in companions {
        std::fs::create_dir_all(data.join(name).parent().unwrap()).unwrap();
        std::fs::write(data.join(name), name).unwrap();
    }
    write(&instance, ARC_NEW, |files| {
        files.retain(|file| !file["path"].as_str().unwrap().starts_with('_'));
    });
    let (code, verified) = instance.json(&["verify", ARC_NEW]);
    assert_eq!(code, 0, "{verified}");
    let (code, restored) = instance.json(&["restore", ARC_NEW, "--no-metadata", "--yes"]);
    assert_eq!(code, 0, "{restored}");
    for name in companions {
        assert_eq!(
            std::fs::read(instance.path("data/arc").join(name)).unwrap(),
            name.as_bytes()
        );
    }
    // Where Arc lists them, they are checked like the others.
    write(&instance, ARC_NEW, |files| {
        let listed = files.iter_mut().find(|file| file["path"] == companions[0]);
        listed.unwrap()["sha256"] = sha256(b"other").into();
    });
    let (code, verified) = instance.json(&["verify", ARC_NEW]);
    let named = format!("data/{}", companions[0]);
    assert!(
        code == 1 && has_problem(&verified, &named, "checksum"),
        "{verified}"
    );
}
