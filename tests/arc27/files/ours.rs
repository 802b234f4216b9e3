//! `manifest-files.json` of our own backups, by which Arc 27.01 restores them.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::sha256;
use crate::support::{Instance, change_live, files, has_problem, refused, text};

/// Reads a list as somebody would who knows nothing of this program, and recomputes every digest
/// from the files. Returns the paths.
fn read_as_arc(folder: &Path) -> BTreeSet<String> {
    let list = std::fs::read(folder.join("manifest-files.json")).unwrap();
    let list: Value = serde_json::from_slice(&list).unwrap();
    assert_eq!(list["version"], 1);
    let mut paths = BTreeSet::new();
    for file in list["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        let bytes = std::fs::read(folder.join("data").join(path)).unwrap();
        assert_eq!(file["sha256"], sha256(&bytes), "{path}");
        assert_eq!(file["size_bytes"], bytes.len(), "{path}");
        assert!(paths.insert(path.to_owned()), "{path} is there twice");
        assert!(file.get("tier").is_none(), "{path}");
        for moment in ["partition_time", "created_at"] {
            let moment = file[moment].as_str().unwrap();
            let is_parsed = moment.parse::<jiff::Timestamp>().is_ok();
            let shape = moment.get(..20).unwrap_or_default().bytes().enumerate();
            let is_rfc_3339 = moment.ends_with('Z')
                && shape.into_iter().all(|(at, byte)| match at {
                    4 | 7 => byte == b'-',
                    10 => byte == b'T',
                    13 | 16 => byte == b':',
                    19 => byte == b'Z' || byte == b'.',
                    _ => byte.is_ascii_digit(),
                });
            assert!(is_parsed && is_rfc_3339, "{path}: {moment}");
        }
    }
    paths
}

/// Guards against a backup that Arc can't restore, or restores without what it holds.
#[test]
fn a_list_that_anybody_can_read_names_every_data_file_with_its_digest() {
    let instance = Instance::new();
    let root = instance.path("data/arc");
    let odd = [
        ("rocket-01/telemetry/cpu/2026/11/20/05/a.parquet", true),
        ("iot/größe \"x\"/2026/11/20/b_b1_daily.parquet", true),
        ("iot/loose.parquet", true),
        ("_schema/iot/cpu.parquet", false),
        ("iot/cpu/metadata/v1.metadata.json", false),
    ];
    for (name, _) in odd {
        std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        std::fs::write(root.join(name), name).unwrap();
    }
    let id = instance.backup();
    let folder = instance.backup_folder(&id);
    let listed = read_as_arc(&folder);
    let expected: BTreeSet<String> = (files(&root).into_iter())
        .filter(|name| !odd.contains(&(name.as_str(), false)))
        .collect();
    assert_eq!(listed, expected);
    assert_eq!(listed.len(), 108);

    let list: Value =
        serde_json::from_slice(&std::fs::read(folder.join("manifest-files.json")).unwrap())
            .unwrap();
    let of = |path: &str| {
        let mut all = list["files"].as_array().unwrap().iter();
        let file = all.find(|file| file["path"] == path).unwrap();
        ["database", "measurement", "partition_time"].map(|name| file[name].as_str().unwrap())
    };
    for (path, expected) in [
        (
            odd[0].0,
            ["rocket-01/telemetry", "cpu", "2026-11-20T05:00:00Z"],
        ),
        (odd[1].0, ["iot", "größe \"x\"", "2026-11-20T00:00:00Z"]),
        (odd[2].0, ["", "", "0001-01-01T00:00:00Z"]),
    ] {
        assert_eq!(of(path), expected, "{path}");
    }
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let bytes = std::fs::read(folder.join("manifest-files.json")).unwrap();
    assert_eq!(manifest["file_list"]["entries"], 108);
    assert_eq!(manifest["file_list"]["sha256"], sha256(&bytes));
    let (code, verified) = instance.json(&["verify", &id]);
    assert_eq!(code, 0, "{verified}");
    // It is neither data nor a file of the backup.
    assert_eq!(verified["total_files"], 112, "{verified}");
    let (code, deleted) = instance.json(&["delete", &id, "--yes"]);
    assert_eq!(
        (code, &deleted["processed_files"]),
        (0, &112.into()),
        "{deleted}"
    );
    assert!(!folder.exists());
}

/// Guards against a damaged list that Arc stumbles over on the day of the restore, and against a
/// restore that is refused for a list which it does not need.
#[test]
fn a_damaged_list_is_found_by_a_verification_and_does_not_hinder_our_restore() {
    for kind in ["checksum", "missing", "link"] {
        let instance = Instance::new();
        let id = instance.backup();
        let list = instance.backup_folder(&id).join("manifest-files.json");
        match kind {
            "checksum" => {
                let text = std::fs::read_to_string(&list).unwrap();
                std::fs::write(&list, text.replacen("iot", "its", 1)).unwrap();
            }
            _ => std::fs::remove_file(&list).unwrap(),
        }
        if kind == "link" {
            std::os::unix::fs::symlink("manifest.json", &list).unwrap();
        }
        let (code, verified) = instance.json(&["verify", &id]);
        // The backup is whole: `latest` still means it.
        assert_eq!(code, 0, "{verified}");
        let warnings = verified["warnings"].to_string();
        assert!(
            warnings.contains("manifest-files.json") && warnings.contains("Arc can't restore"),
            "{warnings}"
        );
        assert_eq!(verified["problem_count"], 0, "{verified}");
        assert!(instance.ok(&["show", "latest"]).starts_with(&id));
        let live = instance.live();
        change_live(&instance);
        let (code, restored) = instance.json(&["restore", &id, "--yes"]);
        assert_eq!(code, 0, "{kind}: {restored}");
        assert!(instance.live() == live, "{kind}");
    }
}

/// Guards against backups of earlier releases that count as damaged, and against a list that was
/// added to one.
#[test]
fn a_backup_without_a_list_is_whole_and_one_that_was_added_is_unexpected() {
    let instance = Instance::new();
    let id = instance.backup();
    let folder = instance.backup_folder(&id);
    let list = std::fs::read(folder.join("manifest-files.json")).unwrap();
    std::fs::remove_file(folder.join("manifest-files.json")).unwrap();
    let path = folder.join("manifest.json");
    let mut manifest: arc_backup::testing::Manifest =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest.file_list = None;
    std::fs::write(&path, arc_backup::testing::seal(&mut manifest).unwrap()).unwrap();
    let verified = instance.run(&["verify", &id]);
    assert!(verified.status.success(), "{}", text(&verified));
    std::fs::write(folder.join("manifest-files.json"), list).unwrap();
    let (code, verified) = instance.json(&["verify", &id]);
    let is_named = has_problem(&verified, "manifest-files.json", "unexpected");
    assert!(code == 1 && is_named, "{verified}");
    change_live(&instance);
    refused(&instance, &id, "manifest-files.json", "added");
}
