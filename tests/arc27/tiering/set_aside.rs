//! Files of the cold tier that a restore sets aside.

use std::collections::BTreeMap;

use arc_backup_test_s3::{Fault, Rule, Verb};
use serde_json::{Value, json};

use super::tiers::Tiered;
use crate::stores::{Kind, Place, contents, delete, keys, put, s3_server, storage};
use crate::support::{files, refused};

/// The files below each folder that a restore names as kept for the cold tier.
fn kept_files(done: &Value) -> BTreeMap<String, Vec<u8>> {
    let kept = done["kept"].as_array().unwrap().iter();
    let folders = kept.filter_map(|kept| kept.as_str()?.split_once(" (")?.0.into());
    let mut found = BTreeMap::new();
    for folder in folders {
        let folder = std::path::Path::new(folder);
        for name in files(folder) {
            found.insert(name.clone(), std::fs::read(folder.join(&name)).unwrap());
        }
    }
    found
}

/// Guards against the only copies of cold files, removed with the folder of the hot ones.
#[test]
fn files_of_the_cold_tier_are_kept_in_a_target_without_hot_ones() {
    let server = s3_server();
    // Without prefixes, both tiers set aside into the target.
    let tiered = Tiered::placed(|instance| {
        let hot = storage(Kind::S3, instance, &server, false);
        (hot, Place::s3(&server, "backups", ""))
    });
    let moved: Vec<_> = tiered.parquet().into_iter().step_by(3).collect();
    tiered.migrate(&moved);
    let (id, before) = (tiered.instance.backup(), contents(&tiered.cold.sink));
    let extra = moved[0].replace(".parquet", "_extra.parquet");
    let restore = |arguments: &[&str]| {
        put(&tiered.cold.sink, &extra, b"ONLY COPY");
        put(&tiered.cold.sink, &moved[1], b"changed");
        let all = [&["restore", &id, "--yes", "--no-metadata"], arguments].concat();
        let (code, done) = tiered.instance.json(&all);
        assert_eq!((code, &done["status"]), (0, &json!("completed")), "{done}");
        assert!(contents(&tiered.cold.sink) == before);
        done
    };
    let done = restore(&[]);
    let expected = BTreeMap::from([
        (extra.clone(), b"ONLY COPY".to_vec()),
        (moved[1].clone(), b"changed".to_vec()),
    ]);
    assert_eq!(kept_files(&done), expected, "{done}");
    // Those of a restore that removes them are gone, and the others are not.
    restore(&["--extra-files", "remove"]);
    assert_eq!(kept_files(&done), expected);
}

/// Guards against a restore that can never complete, or that changes data before it fails, as it
/// would have to move what only the store can bring back.
#[test]
fn archived_objects_are_not_moved() {
    let server = s3_server();
    let tiered = Tiered::new(Kind::S3, &server);
    let moved: Vec<_> = tiered.parquet().into_iter().take(3).collect();
    tiered.migrate(&moved);
    let (id, before) = (tiered.instance.backup(), tiered.served());
    let hot = tiered.parquet().pop().unwrap();
    let bytes = contents(&tiered.hot)[&hot].clone();
    delete(&tiered.hot, &[&hot]);
    let extra = moved[0].replace(".parquet", "_extra.parquet");
    put(&tiered.cold.sink, &extra, b"extra");
    server.move_to_class("data", &extra, "GLACIER");
    let restore = ["restore", &id, "--yes", "--no-metadata"];
    let (code, done) = tiered.instance.json(&restore);
    assert_eq!((code, &done["status"]), (0, &json!("completed")), "{done}");
    let warnings = done["warnings"].to_string();
    assert!(
        warnings.contains(&extra) && warnings.contains("are archived"),
        "{done}"
    );
    assert!(keys(&tiered.cold.sink).contains(&extra));
    assert!(tiered.parquet().contains(&hot));
    delete(&tiered.cold.sink, &[&extra]);
    assert!(tiered.served() == before);
    // One that differs, and one of a file that is hot in the backup and live.
    delete(&tiered.hot, &[&hot]);
    let second = tiered.parquet().pop().unwrap();
    for key in [&moved[1], &second] {
        let was = contents(&tiered.cold.sink).remove(key);
        put(&tiered.cold.sink, key, b"other");
        server.move_to_class("data", key, "GLACIER");
        refused(&tiered.instance, &id, "in an archive tier", key);
        server.move_to_class("data", key, "STANDARD");
        match was {
            Some(was) => put(&tiered.cold.sink, key, &was),
            None => delete(&tiered.cold.sink, &[key]),
        }
    }
    put(&tiered.hot, &hot, &bytes);
    assert!(tiered.served() == before);
}

/// Guards against cold files that are moved away, as a copy of a backup lacks them.
#[test]
fn an_incomplete_copy_leaves_cold_files_that_it_lacks() {
    let server = s3_server();
    let tiered = Tiered::new(Kind::S3, &server);
    let moved: Vec<_> = tiered.parquet().into_iter().take(3).collect();
    tiered.migrate(&moved);
    let before = contents(&tiered.cold.sink);
    server.fault(Rule::new(Fault::Deny).verb(Verb::GetObject).key(&moved[1]));
    let (code, done) = tiered.instance.json(&["backup"]);
    assert_eq!((code, &done["status"]), (1, &json!("failed")), "{done}");
    server.heal();
    let id = done["backup_id"].as_str().unwrap();
    let restore = [
        "restore",
        id,
        "--allow-incomplete",
        "--yes",
        "--no-metadata",
    ];
    let (code, done) = tiered.instance.json(&restore);
    assert_eq!((code, &done["status"]), (0, &json!("completed")), "{done}");
    assert!(contents(&tiered.cold.sink) == before);
    assert!(tiered.cold_rows().iter().eq(&moved));
}

/// Guards against a restore that is refused, as it could not set aside what stays.
#[test]
fn cold_files_that_stay_need_no_place_to_be_set_aside() {
    let tiered = Tiered::new(Kind::Local, &s3_server());
    tiered
        .instance
        .configure("[arc_backup]\ninclude_cold_tier = false\n");
    let id = tiered.instance.backup();
    let extra = tiered.parquet()[0].replace(".parquet", "_extra.parquet");
    put(&tiered.cold.sink, &extra, b"extra");
    std::fs::write(tiered.instance.path("cold.before-restore"), "in the way").unwrap();
    let restore = ["restore", &id, "--yes", "--no-metadata"];
    let (code, done) = tiered.instance.json(&restore);
    assert_eq!((code, &done["status"]), (0, &json!("completed")), "{done}");
    assert_eq!(keys(&tiered.cold.sink), [extra]);
}
