//! The cold tier in backups, and its files back in their tier.

use std::collections::BTreeSet;

use arc_backup_core::Digest;
use serde_json::{Value, json};

use super::tiers::Tiered;
use crate::stores::{KINDS, Kind, contents, delete, keys, put, s3_server};
use crate::support::{ARC_NEW, change_live, files, text};

/// A sample of which every third file is cold, and its keys there.
fn tiered(kind: Kind) -> (Tiered, Vec<String>) {
    let tiered = Tiered::new(kind, &s3_server());
    let moved: Vec<_> = tiered.parquet().into_iter().step_by(3).collect();
    tiered.migrate(&moved);
    (tiered, moved)
}

fn restore(tiered: &Tiered, id: &str, arguments: &[&str]) -> Value {
    let all = [&["restore", id, "--yes"], arguments].concat();
    let (code, done) = tiered.instance.json(&all);
    assert_eq!((code, &done["status"]), (0, &json!("completed")), "{done}");
    done
}

fn switch_off(tiered: &Tiered) {
    let path = tiered.instance.path("arc.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let off = config.replace(
        "[tiered_storage]\nenabled = true",
        "[tiered_storage]\nenabled = false",
    );
    assert!(off != config);
    std::fs::write(path, off).unwrap();
}

/// Guards against a backup that says `completed` without the cold tier, and against cold files that
/// come back in the wrong tier or not at all.
#[test]
fn the_cold_tier_is_backed_up_and_restored_to_where_it_was() {
    for kind in KINDS {
        let server = s3_server();
        let tiered = Tiered::new(kind, &server);
        let moved: Vec<_> = tiered.parquet().into_iter().step_by(3).collect();
        tiered.migrate(&moved);
        let (before, cold) = (tiered.served(), contents(&tiered.cold.sink));
        let id = tiered.instance.backup();
        let (_, shown) = tiered.instance.json(&["show", &id]);
        let size: usize = cold.values().map(Vec::len).sum();
        assert_eq!(shown["cold_files"], moved.len(), "{kind:?}: {shown}");
        assert_eq!(shown["cold_size_bytes"], size, "{shown}");
        assert!(
            shown
                .get("not_included")
                .is_none_or(|all| !all.to_string().contains("cold"))
        );
        let inventory = crate::support::inventory_of(&tiered.instance.backup_folder(&id));
        let tiers: BTreeSet<String> = (inventory.lines())
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["tier"] == "cold")
            .map(|line| line["path"].as_str().unwrap().replacen("data/", "", 1))
            .collect();
        assert!(tiers.iter().eq(&moved), "{kind:?}");
        tiered.instance.ok(&["verify", &id]);
        // One is gone, one is other, one is extra, and one has been put back hot.
        let extra = moved[0].replace(".parquet", "_extra.parquet");
        put(&tiered.cold.sink, &extra, &cold[&moved[0]]);
        delete(&tiered.cold.sink, &[&moved[0]]);
        put(&tiered.cold.sink, &moved[1], b"other");
        put(&tiered.hot, &moved[2], &cold[&moved[2]]);
        change_live(&tiered.instance);
        let run = "INSERT INTO tier_files (path, database, measurement, partition_time, tier, size_bytes) VALUES (?1, 'd', 'm', '', 'cold', 1)";
        tiered.database().execute(run, [&extra]).unwrap();
        tiered
            .database()
            .execute("DELETE FROM tier_files WHERE path = ?1", [&moved[0]])
            .unwrap();
        let done = restore(&tiered, &id, &["--no-metadata"]);
        assert!(contents(&tiered.cold.sink) == cold, "{kind:?}");
        assert!(tiered.cold_rows().iter().eq(&moved), "{kind:?}: {done}");
        assert!(tiered.served() == before, "{kind:?}");
        assert!(!tiered.parquet().contains(&moved[2]));
        let kept = done["kept"].to_string();
        assert!(
            kept.contains("2 files of the cold tier"),
            "{kind:?}: {done}"
        );
        // The same once more changes nothing; with the databases, the rows are those of the files.
        let again = restore(&tiered, &id, &[]);
        assert_eq!(again["plan"]["written_files"], 1, "{again}");
        assert!(tiered.cold_rows().iter().eq(&moved), "{kind:?}");
        assert!(tiered.served() == before, "{kind:?}");
    }
}

/// Guards against data that Arc does not read, as its cold tier is gone from the configuration.
#[test]
fn without_a_cold_tier_its_files_are_restored_hot() {
    let (tiered, moved) = tiered(Kind::Local);
    let before = tiered.served();
    let id = tiered.instance.backup();
    switch_off(&tiered);
    for key in keys(&tiered.cold.sink) {
        delete(&tiered.cold.sink, &[&key]);
    }
    restore(&tiered, &id, &[]);
    assert_eq!(tiered.cold_rows(), BTreeSet::new());
    assert!(moved.iter().all(|key| tiered.parquet().contains(key)));
    assert!(tiered.served() == before);
}

/// Guards against a cold tier that a restore takes away, as the backup does not hold it.
#[test]
fn a_backup_without_the_cold_tier_says_so_and_its_restore_leaves_the_cold_tier_as_it_is() {
    let (tiered, moved) = tiered(Kind::Local);
    tiered
        .instance
        .configure("[arc_backup]\ninclude_cold_tier = false\n");
    let (before, cold) = (tiered.served(), contents(&tiered.cold.sink));
    let (_, done) = tiered.instance.json(&["backup"]);
    assert_eq!(done["cold_files_excluded"], moved.len(), "{done}");
    assert!(
        done["not_included"]
            .to_string()
            .contains("tiered_storage.cold"),
        "{done}"
    );
    let id = done["backup_id"].as_str().unwrap();
    let (_, shown) = tiered.instance.json(&["show", id]);
    assert_eq!(shown["cold_files_excluded"], moved.len(), "{shown}");
    assert!(shown.get("cold_files").is_none());
    change_live(&tiered.instance);
    let done = restore(&tiered, id, &["--no-metadata"]);
    let said = done["warnings"].to_string();
    let lacks = format!("does not hold {} files of the cold tier", moved.len());
    assert!(said.contains(&lacks), "{done}");
    assert!(contents(&tiered.cold.sink) == cold);
    assert!(tiered.served() == before);
}

/// Guards against extra cold files that are removed or kept against the policy.
#[test]
fn extra_files_of_the_cold_tier_follow_the_policy() {
    let (tiered, moved) = tiered(Kind::Local);
    let id = tiered.instance.backup();
    let extra = tiered
        .parquet()
        .remove(0)
        .replace(".parquet", "_later.parquet");
    let add = || put(&tiered.cold.sink, &extra, b"later");
    add();
    let done = restore(&tiered, &id, &["--no-metadata", "--extra-files", "keep"]);
    assert!(keys(&tiered.cold.sink).contains(&extra));
    assert!(
        done["warnings"].to_string().contains("1 live files"),
        "{done}"
    );
    restore(&tiered, &id, &["--no-metadata", "--extra-files", "remove"]);
    assert_eq!(keys(&tiered.cold.sink), moved);
    assert!(!tiered.instance.path("cold.before-restore").exists());
    add();
    restore(&tiered, &id, &["--no-metadata"]);
    assert_eq!(keys(&tiered.cold.sink), moved);
    assert!(tiered.instance.path("cold.before-restore").exists());
}

/// Guards against a backup that holds a file twice, or in the tier that Arc does not read it from.
#[test]
fn a_file_in_both_tiers_is_backed_up_once() {
    let (tiered, moved) = tiered(Kind::Local);
    let cold = contents(&tiered.cold.sink);
    // The row of the first says cold; there is none that says so of the second.
    put(&tiered.hot, &moved[0], &cold[&moved[0]]);
    let second = tiered.parquet().pop().unwrap();
    put(&tiered.cold.sink, &second, &contents(&tiered.hot)[&second]);
    let output = tiered.instance.run(&["backup"]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("1 files are in both tiers") && said.contains(&second),
        "{said}"
    );
    let id = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let inventory = crate::support::inventory_of(&tiered.instance.backup_folder(&id));
    let tier = |key: &str| {
        let lines: Vec<Value> = (inventory.lines())
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|line: &Value| line["path"] == format!("data/{key}"))
            .collect();
        assert_eq!(lines.len(), 1, "{key}");
        lines[0]["tier"].clone()
    };
    assert_eq!(tier(&moved[0]), "cold");
    assert_eq!(tier(&second), Value::Null);
}

/// Guards against a cold tier that can't be read and leaves hot data without a backup, and against
/// a backup that does not say what it lacks.
#[test]
fn a_cold_tier_that_can_not_be_read_is_excluded_and_counted() {
    let server = s3_server();
    let tiered = Tiered::new(Kind::S3, &server);
    let moved: Vec<_> = tiered.parquet().into_iter().take(2).collect();
    tiered.migrate(&moved);
    let of_cold_tier = || {
        let (_, report) = tiered.instance.json(&["doctor"]);
        let all = report["checks"].as_array().unwrap().clone();
        let cold = all
            .into_iter()
            .filter(|check| check["subject"] == "cold tier");
        cold.collect::<Vec<_>>()
    };
    let checks = of_cold_tier();
    assert!(
        !checks.is_empty() && checks.iter().all(|check| check["ok"] == true),
        "{checks:?}"
    );
    let config = std::fs::read_to_string(tiered.instance.path("arc.toml")).unwrap();
    let broken = config.replace("s3_bucket = \"data\"", "s3_bucket = \"absent\"");
    assert!(broken != config);
    std::fs::write(tiered.instance.path("arc.toml"), broken).unwrap();
    let checks = of_cold_tier();
    let is_named = |check: &Value| {
        check["ok"] == false
            && check["setting"]
                .to_string()
                .contains("tiered_storage.cold.")
    };
    assert!(checks.iter().any(is_named), "{checks:?}");
    let (code, done) = tiered.instance.json(&["backup"]);
    assert_eq!((code, &done["status"]), (0, &json!("completed")), "{done}");
    assert_eq!(done["cold_files_excluded"], moved.len(), "{done}");
    for field in ["warnings", "not_included"] {
        let said = done[field].to_string();
        assert!(
            said.contains("arc_backup.include_cold_tier = false"),
            "{said}"
        );
    }
    std::fs::write(tiered.instance.path("arc.toml"), config).unwrap();
    let before = contents(&tiered.cold.sink);
    let id = done["backup_id"].as_str().unwrap();
    let restored = restore(&tiered, id, &["--no-metadata"]);
    let said = restored["warnings"].to_string();
    assert!(said.contains("does not hold 2 files"), "{restored}");
    assert!(contents(&tiered.cold.sink) == before);
}

/// Guards against a backup by Arc 27.01 whose cold files are restored hot beside a cold tier,
/// or omitted without one.
#[test]
fn a_backup_by_arc_is_restored_to_the_tiers_of_its_list() {
    for is_off in [false, true] {
        let tiered = Tiered::new(Kind::Local, &s3_server());
        let folder = tiered.instance.backup_folder(ARC_NEW);
        let mut moved = Vec::new();
        let listed: Vec<Value> = (files(&folder.join("data")).into_iter().enumerate())
            .filter(|(_, name)| name.ends_with(".parquet"))
            .map(|(number, name)| {
                let bytes = std::fs::read(folder.join("data").join(&name)).unwrap();
                let mut line = json!({
                    "path": name, "sha256": Digest::of(&bytes).to_string(), "size_bytes": bytes.len(),
                    "database": "iot", "measurement": "m", "partition_time": "2026-11-20T00:00:00Z",
                    "created_at": "2026-11-23T18:10:19Z",
                });
                if number % 3 == 0 && !name.starts_with('_') {
                    line["tier"] = json!("cold");
                    moved.push(name);
                }
                line
            })
            .collect();
        let list = json!({"version": 1, "files": listed}).to_string();
        std::fs::write(folder.join("manifest-files.json"), list).unwrap();
        let before = tiered.served();
        if is_off {
            switch_off(&tiered);
        }
        restore(&tiered, ARC_NEW, &["--no-metadata"]);
        assert!(tiered.served() == before, "{is_off}");
        let expected = if is_off { Vec::new() } else { moved };
        assert_eq!(keys(&tiered.cold.sink), expected, "{is_off}");
        assert!(tiered.cold_rows().iter().eq(&expected), "{is_off}");
        restore(&tiered, ARC_NEW, &["--no-metadata"]);
        assert!(tiered.served() == before, "{is_off}");
    }
}

/// Guards against archived objects without which no backup completes, that a backup does not name,
/// or that its restore takes away.
#[test]
fn archived_objects_are_excluded_and_counted_and_compared_by_their_sizes() {
    let server = s3_server();
    let tiered = Tiered::new(Kind::S3, &server);
    let (id, before) = (tiered.instance.backup(), tiered.served());
    let moved: Vec<_> = tiered.parquet().into_iter().take(3).collect();
    tiered.migrate(&moved);
    server.move_to_class("data", &moved[0], "GLACIER");
    let (code, made) = tiered.instance.json(&["backup"]);
    assert_eq!((code, &made["status"]), (0, &json!("completed")), "{made}");
    assert_eq!(made["cold_files_excluded"], 1, "{made}");
    for field in ["warnings", "not_included"] {
        let said = made[field].to_string();
        assert!(
            said.contains(&moved[0]) && said.contains("archive"),
            "{said}"
        );
    }
    let done = restore(&tiered, &id, &["--no-metadata"]);
    assert_eq!(done["cold_files_skipped_already_cold"], 3, "{done}");
    assert!(
        done["warnings"]
            .to_string()
            .contains("1 files of the cold tier are in an archive")
    );
    let without = made["backup_id"].as_str().unwrap();
    restore(&tiered, without, &["--no-metadata"]);
    server.move_to_class("data", &moved[0], "STANDARD");
    assert!(tiered.served() == before);
    restore(&tiered, without, &["--no-metadata"]);
    assert!(tiered.served() == before);
}

/// Guards against cold files of another database that a backup or restore of one takes or moves.
#[test]
fn cold_files_of_databases_out_of_scope_are_left_alone() {
    let (tiered, _) = tiered(Kind::Local);
    let before = tiered.served();
    let whole = contents(&tiered.cold.sink);
    let id = tiered.instance.ok(&["backup", "--database", "iot"]);
    let (_, shown) = tiered.instance.json(&["show", &id]);
    let of_iot = whole.keys().filter(|key| key.starts_with("iot/")).count();
    assert!(of_iot > 0 && of_iot < whole.len());
    assert_eq!(shown["cold_files"], of_iot, "{shown}");
    let first = |start: &str| {
        whole
            .keys()
            .find(|key| key.starts_with(start))
            .unwrap()
            .clone()
    };
    let (in_scope, other) = (first("iot/"), first("metrics/"));
    delete(&tiered.cold.sink, &[&in_scope]);
    put(&tiered.cold.sink, &other, b"other");
    let later = other.replace(".parquet", "_later.parquet");
    put(&tiered.cold.sink, &later, b"later");
    restore(&tiered, &id, &[]);
    let now = contents(&tiered.cold.sink);
    assert_eq!(now[&other], b"other");
    assert_eq!(now[&later], b"later");
    delete(&tiered.cold.sink, &[&later]);
    put(&tiered.cold.sink, &other, &whole[&other]);
    assert!(contents(&tiered.cold.sink) == whole);
    assert!(tiered.served() == before);
}

/// Guards against cold files that are moved away, as a backup by Arc lacks them on its own account.
#[test]
fn a_backup_that_lacks_cold_files_leaves_those_that_it_does_not_hold() {
    let (tiered, moved) = tiered(Kind::Local);
    let id = tiered.instance.backup();
    // As Arc writes one of which some files of the cold tier could not be read.
    let folder = tiered.instance.backup_folder(&id);
    let inventory = crate::support::inventory_of(&folder);
    let listed: Vec<Value> = (inventory.lines())
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|line| {
            let path = line["path"].as_str()?.strip_prefix("data/")?.to_owned();
            let tier = line.get("tier").cloned();
            let mut listed = json!({
                "path": path, "sha256": line["sha256"], "size_bytes": line["size"],
                "database": "d", "measurement": "m",
            });
            if let Some(tier) = tier {
                listed["tier"] = tier;
            }
            (path.ends_with(".parquet") && path != moved[0]).then_some(listed)
        })
        .collect();
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    let mut manifest: Value = serde_json::from_str(&manifest).unwrap();
    let fields = manifest.as_object_mut().unwrap();
    for field in ["format", "inventory", "sha256"] {
        fields.remove(field);
    }
    fields.insert("total_files".to_owned(), json!(listed.len()));
    let size: u64 = listed
        .iter()
        .map(|line| line["size_bytes"].as_u64().unwrap())
        .sum();
    fields.insert("total_size_bytes".to_owned(), json!(size));
    fields.insert("cold_files_excluded".to_owned(), json!(1));
    std::fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    std::fs::remove_file(folder.join("inventory.jsonl.zst")).unwrap();
    std::fs::remove_file(folder.join("data").join(&moved[0])).unwrap();
    let list = json!({"version": 1, "files": listed}).to_string();
    std::fs::write(folder.join("manifest-files.json"), list).unwrap();
    let before = tiered.served();
    restore(&tiered, &id, &["--no-metadata", "--extra-files", "remove"]);
    assert_eq!(keys(&tiered.cold.sink), moved);
    assert!(tiered.served() == before);
}
