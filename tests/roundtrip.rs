//! restore(backup(x)) == x.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use support::{ARC_OLD, Instance, database_rows, rows, tree};

/// Guards against a restored file that differs from the original in any byte.
#[test]
fn deleted_files_come_back_byte_for_byte() {
    let instance = Instance::new();
    let (live, database) = (
        instance.live(),
        database_rows(&instance.path("data/arc.db")),
    );
    let id = instance.backup();
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    std::fs::remove_file(instance.path("data/arc.db")).unwrap();
    instance.ok(&["restore", &id, "--yes"]);
    assert_eq!(instance.live(), live);
    assert_eq!(database_rows(&instance.path("data/arc.db")), database);
    instance.ok(&["verify", &id]);
}

/// Guards against losing live data to a restore that somebody regrets.
#[test]
fn replaced_files_are_set_aside_and_a_second_restore_keeps_them() {
    let instance = Instance::new();
    let id = instance.backup();
    let changed = instance.path("data/arc/iot/temperature/2026/11/20/00");
    let victim = std::fs::read_dir(&changed)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::write(&victim, b"rewritten under the same path").unwrap();
    std::fs::write(instance.path("data/arc/iot/new.parquet"), b"newer").unwrap();
    rusqlite::Connection::open(instance.path("data/arc.db"))
        .unwrap()
        .execute_batch("DELETE FROM api_tokens")
        .unwrap();
    let (code, operation) = instance.json(&["restore", &id, "--with-config", "--yes"]);
    assert_eq!(
        (code, &operation["set_aside_files"]),
        (0, &2.into()),
        "{operation}"
    );
    let place = operation["set_aside_location"].as_str().unwrap();
    let kept: Vec<_> = tree(place.as_ref())
        .into_values()
        .map(|(bytes, ..)| bytes)
        .collect();
    assert!(
        kept.contains(&b"newer".to_vec())
            && kept.contains(&b"rewritten under the same path".to_vec())
    );
    let before = support::kept(&instance.path("data/arc.db")).remove(0);
    assert!(
        !database_rows(&before)
            .iter()
            .any(|row| row.starts_with("api_tokens"))
    );
    assert_eq!(support::kept(&instance.path("arc.toml")).len(), 1);
    instance.ok(&["restore", &id, "--yes"]);
    assert_eq!(support::kept(&instance.path("data/arc.db")).len(), 2);
    assert!(
        !database_rows(&before)
            .iter()
            .any(|row| row.starts_with("api_tokens"))
    );
}

/// Guards against doubled rows in every query, as after Arc's own restore.
#[test]
fn arcs_own_older_backup_restores_over_compacted_data_without_doubling_a_row() {
    let instance = Instance::new();
    let before = instance.live();
    let (code, operation) = instance.json(&["restore", ARC_OLD, "--yes"]);
    assert_eq!(code, 0, "{operation}");
    assert_eq!(operation["has_checksums"], false);
    let rows = rows(&instance.path("data/arc"));
    let expected = [
        "iot.temperature",
        "iot.vibration",
        "metrics.cpu",
        "metrics.disk",
        "metrics.mem",
    ];
    assert_eq!(rows, expected.map(|name| (name.to_owned(), 1920)).into());
    let aside = tree(operation["set_aside_location"].as_str().unwrap().as_ref());
    let live = instance.live();
    for (path, (bytes, ..)) in before {
        let found = aside
            .get(&path)
            .or_else(|| live.get(&path))
            .map(|(bytes, ..)| bytes);
        assert_eq!(found, Some(&bytes), "{path} is nowhere");
    }
}

/// Guards against a restore that touches Arc's own files, and backups within backups.
#[test]
fn backups_database_and_configuration_inside_the_storage_root_are_left_alone() {
    let instance = Instance::new();
    let root = instance.path("data/arc");
    std::fs::rename(instance.path("data/arc.db"), root.join("arc.db")).unwrap();
    std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
    let text = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    let text = text
        .replace("./data/arc.db", "./data/arc/arc.db")
        .replace("./data/backups", "./data/arc/backups");
    let config = root.join("arc.toml");
    std::fs::remove_file(instance.path("arc.toml")).unwrap();
    std::fs::write(&config, text).unwrap();
    let with = ["--config", config.to_str().unwrap()];
    let run = |arguments: &[&str]| instance.ok(&[&with, arguments].concat());
    let first = run(&["backup"]);
    let second = run(&["backup"]);
    for id in [&first, &second] {
        let manifest: serde_json::Value =
            serde_json::from_str(&run(&["--json", "show", id])).unwrap();
        assert_eq!(
            (&manifest["total_files"], &manifest["auxiliary_files"]),
            (&105.into(), &serde_json::Value::Null)
        );
    }
    run(&["restore", &first, "--yes"]);
    run(&["verify", &second]);
    assert!(config.exists() && root.join("arc.db").exists());
}

/// Guards against treating an instance without data as an error, and leaving live files in its
/// place.
#[test]
fn a_backup_without_data_files_restores_to_none_and_sets_aside_what_is_live() {
    let instance = Instance::new();
    let (data, elsewhere) = (instance.path("data/arc"), instance.path("elsewhere"));
    std::fs::rename(&data, &elsewhere).unwrap();
    // Neither data nor state exists, as with a volume that is not mounted.
    let output = instance.run(&["backup"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(support::text(&output).contains("storage.local_path"));
    std::fs::create_dir(&data).unwrap();
    let id = instance.backup();
    std::fs::remove_dir(&data).unwrap();
    std::fs::rename(&elsewhere, &data).unwrap();
    let live: Vec<_> = instance.live().into_iter().collect();
    let (code, operation) = instance.json(&["restore", &id, "--no-metadata", "--yes"]);
    assert_eq!(code, 0, "{operation}");
    assert!(operation["warnings"].to_string().contains("no data files"));
    assert!(instance.live().is_empty());
    let aside = tree(operation["set_aside_location"].as_str().unwrap().as_ref());
    assert!(aside.into_iter().collect::<Vec<_>>() == live);
}

/// Guards against losing what lies beside the data, and counting it as data of a database.
#[test]
fn companions_of_the_data_come_back_and_belong_to_no_database() {
    let instance = Instance::new();
    let companions = [
        "_schema/iot/temperature.parquet",
        "iot/temperature/metadata/00001-a.metadata.json",
        "iot/temperature/metadata/snap-1.avro",
        "iot/temperature/metadata/statistics.puffin",
        "iot/temperature/metadata/version-hint.text",
        "_compaction_state/hourly/iot/job.json",
    ];
    let outputs = [
        "edge/site/fan/2026/11/20/03/fan_20261120_030000_000000001_b1_compacted.parquet",
        "edge/site/fan/2026/11/20/fan_20261120_040000_000000002_b1_daily.parquet",
    ];
    let temporary = "iot/temperature/2026/11/20/00/.arc-1.tmp";
    for key in (companions.iter().chain(&outputs)).chain([&temporary]) {
        let path = instance.path("data/arc").join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, if key.contains("_state") { "{}" } else { key }).unwrap();
    }
    let mut before = instance.live();
    assert!(before.remove(temporary).is_some());
    let id = instance.backup();
    let (_, manifest) = instance.json(&["show", &id]);
    let count = |field: &str| manifest[field].as_u64().unwrap();
    assert_eq!(count("total_files"), 105 + 2, "{manifest}");
    assert_eq!(count("auxiliary_files"), 5, "{manifest}");
    assert_eq!(count("compaction_state_files"), 1, "{manifest}");
    let databases = manifest["databases"].as_array().unwrap();
    let names: Vec<_> = databases.iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["edge/site", "iot", "metrics"]);
    assert_eq!(databases[0]["measurements"][0]["name"], "fan", "{manifest}");
    assert_eq!(databases[0]["file_count"], 2, "{manifest}");
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    instance.ok(&["restore", &id, "--yes"]);
    assert!(instance.live() == before);
}
