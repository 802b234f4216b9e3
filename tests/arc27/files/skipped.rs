//! Live versions of files that a backup lacks, as they could not be read when it was made.

use serde_json::json;

use super::iceberg::change_manifest;
use crate::support::{ARC_NEW, Instance, files, has_problem, text};

/// Guards against a restore whose only effect is to take a good file away.
#[test]
fn live_versions_of_files_that_arc_skipped_stay() {
    let instance = Instance::new();
    let folder = instance.backup_folder(ARC_NEW).join("data");
    let name = files(&folder)[5].clone();
    std::fs::remove_file(folder.join(&name)).unwrap();
    change_manifest(&instance, ARC_NEW, |manifest| {
        manifest["skipped_files"] = 1.into();
        manifest["skipped_sample"] = json!([name]);
    });
    let root = instance.path("data/arc");
    std::fs::write(root.join("iot/added.parquet"), "added").unwrap();
    let live = std::fs::read(root.join(&name)).unwrap();
    let preview = text(&instance.run(&["restore", ARC_NEW, "--no-metadata"]));
    assert!(preview.contains("not in the backup: 1"), "{preview}");
    let (code, restored) = instance.json(&["restore", ARC_NEW, "--no-metadata", "--yes"]);
    assert_eq!(code, 0, "{restored}");
    assert_eq!(std::fs::read(root.join(&name)).unwrap(), live);
    assert!(!root.join("iot/added.parquet").exists());
    assert_eq!(
        (
            &restored["plan"]["extra_files"],
            &restored["set_aside_files"]
        ),
        (&json!(1), &json!(1)),
        "{restored}"
    );
}

/// Guards against lost and truncated files that one skipped file excuses.
#[test]
fn a_skipped_file_does_not_hide_damage_in_a_measurement() {
    for kind in ["truncated", "missing"] {
        let instance = Instance::new();
        let folder = instance.backup_folder(ARC_NEW).join("data");
        let names = files(&folder);
        let of = |prefix: &str| {
            let mut of = names.iter().filter(|name| name.starts_with(prefix));
            of.next().unwrap().clone()
        };
        change_manifest(&instance, ARC_NEW, |manifest| {
            manifest["skipped_files"] = 1.into();
        });
        std::fs::remove_file(folder.join(of("iot/temperature/"))).unwrap();
        let (code, verified) = instance.json(&["verify", ARC_NEW]);
        assert_eq!(code, 0, "{verified}");
        let (path, problem) = match kind {
            "truncated" => {
                let bytes = std::fs::read(folder.join(of("metrics/cpu/"))).unwrap();
                std::fs::write(folder.join(of("metrics/cpu/")), &bytes[..100]).unwrap();
                ("data/metrics/cpu", "size")
            }
            _ => {
                std::fs::remove_file(folder.join(of("metrics/cpu/"))).unwrap();
                ("data", "missing")
            }
        };
        let (code, verified) = instance.json(&["verify", ARC_NEW]);
        assert!(
            code == 1 && has_problem(&verified, path, problem),
            "{kind}: {verified}"
        );
    }
}
