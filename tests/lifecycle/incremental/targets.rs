//! The kinds of storage and target: hard links on local disk, references elsewhere.

use std::collections::BTreeMap;

use arc_backup_test_s3::{S3Server, Verb};
use serde_json::{Value, json};

use super::stores::{
    KINDS, Kind, Place, configure, contents, delete, done, put, put_all, s3_server, storage, target,
};
use crate::support::{Instance, Service};

/// The lines of a backup in a target.
fn lines(stored: &BTreeMap<String, Vec<u8>>, id: &str) -> Vec<Value> {
    let list = zstd::decode_all(&*stored[&format!("{id}/inventory.jsonl.zst")]).unwrap();
    (list
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty()))
    .map(|line| serde_json::from_slice(line).unwrap())
    .collect()
}

pub(super) fn made(service: &Service, body: &str) -> (String, Value) {
    let made = done(service, "/api/v1/backup", body);
    (made["backup_id"].as_str().unwrap().to_owned(), made)
}

/// Guards against: an incremental backup that is not the data, on any storage and in any target.
fn from_storage(storage_kind: Kind) {
    for target_kind in KINDS {
        let case = format!("{storage_kind:?} → {target_kind:?}");
        let (instance, server) = (Instance::new(), s3_server());
        let root = instance.path("data/arc");
        for file in crate::support::files(&root).iter().skip(8) {
            std::fs::remove_file(root.join(file)).unwrap();
        }
        let live = storage(storage_kind, &instance, &server, true);
        let far = target(target_kind, &instance, &server);
        configure(&instance, &live, &far);
        let service = instance.serve();
        let (full, _) = made(&service, r#"{"target":"far"}"#);
        let keys: Vec<_> = contents(&live.sink).into_keys().collect();
        delete(&live.sink, &[&keys[1]]);
        put(&live.sink, &keys[2], b"rewritten under its name");
        put(&live.sink, "iot/added.parquet", b"added");
        let (second, one) = made(&service, r#"{"target":"far","type":"incremental"}"#);
        assert_eq!(one["base_backup_id"], full.as_str(), "{case}: {one}");
        assert_eq!(one["reused_files"], 6, "{case}: {one}");
        put(&live.sink, "iot/added.parquet", b"added, and changed");
        let (third, two) = made(&service, r#"{"target":"far","type":"incremental"}"#);
        assert_eq!(two["base_backup_id"], second.as_str(), "{case}: {two}");
        let before = contents(&live.sink);
        let stored = contents(&far.sink);
        let held = |id: &str| {
            let prefix = format!("{id}/data/");
            (stored.keys().filter(|key| key.starts_with(&prefix))).count()
        };
        let shown = service
            .get(&format!("/api/v1/backup/{third}?target=far"))
            .json();
        match target_kind {
            Kind::Local => {
                assert_eq!((held(&second), held(&third)), (8, 8), "{case}");
                assert!(shown["stored_in"].is_null(), "{case}: {shown}");
            }
            Kind::S3 | Kind::Azure => {
                assert_eq!(
                    (held(&second), held(&third)),
                    (2, 1 + recent(storage_kind)),
                    "{case}"
                );
                // Each file is in the backup that holds it, and in none that refers on.
                let holders = &shown["stored_in"];
                assert_eq!(holders[&full]["files"], 6, "{case}: {shown}");
                for line in lines(&stored, &third) {
                    let holder = line["stored_in"].as_str().unwrap_or(&third);
                    let key = format!("{holder}/{}", line["path"].as_str().unwrap());
                    assert!(stored.contains_key(&key), "{case}: {line}");
                }
            }
        }
        for id in [&full, &second, &third] {
            done(&service, &format!("/api/v1/backup/{id}/verify"), "");
        }
        let keys: Vec<_> = before.keys().map(String::as_str).collect();
        delete(&live.sink, &keys);
        let restore = json!({"backup_id": third, "confirm": true}).to_string();
        done(&service, "/api/v1/backup/restore", &restore);
        assert!(contents(&live.sink) == before, "{case}: it differs");
    }
}

#[test]
fn local_data_in_each_kind_of_target() {
    from_storage(Kind::Local);
}

#[test]
fn data_on_s3_in_each_kind_of_target() {
    from_storage(Kind::S3);
}

#[test]
fn data_on_azure_in_each_kind_of_target() {
    from_storage(Kind::Azure);
}

/// How many of the unchanged files of the tests above are so new that they are read again: on local
/// disk the one that was rewritten a moment before.
fn recent(storage: Kind) -> usize {
    usize::from(storage == Kind::Local)
}

/// An instance with so many files in a bucket, and a target in another one of the same store.
pub(super) fn in_buckets(count: usize) -> (Instance, S3Server, Place) {
    let (instance, server) = (Instance::new(), s3_server());
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    let live = Place::s3(&server, "data", "live/arc");
    let files = (0..count).map(|number| {
        let key = format!("iot/cpu/2026/01/{:02}/{number:06}.parquet", number % 28);
        (key, number.to_string().into_bytes())
    });
    put_all(&live.sink, &files.collect());
    let far = target(Kind::S3, &instance, &server);
    configure(&instance, &live, &far);
    (instance, server, live)
}

/// Guards against: requests for files that did not change.
fn unchanged_objects_cost_no_request(count: usize) {
    let (instance, server, _live) = in_buckets(count);
    let service = instance.serve();
    made(&service, r#"{"target":"far"}"#);
    server.reset_counts();
    let (id, one) = made(&service, r#"{"target":"far","type":"incremental"}"#);
    assert_eq!(one["reused_files"], count, "{one}");
    let counts = server.counts();
    println!("{count} unchanged objects: {counts:?}");
    // Manifests, journals, locks, the inventory, the database and arc.toml.
    assert!(server.count(Verb::GetObject) <= 25, "{counts:?}");
    assert!(server.count(Verb::PutObject) <= 15, "{counts:?}");
    assert_eq!(server.count(Verb::CopyObject), 0, "{counts:?}");
    // The data is listed twice, and once what the target has of it.
    let lists = server.count(Verb::ListObjects) as usize;
    assert!(lists <= 3 * count.div_ceil(1000) + 2 * 10, "{counts:?}");
    assert!(server.count(Verb::HeadObject) <= 25, "{counts:?}");

    // That they are there is seen in a listing, too.
    server.reset_counts();
    let quick = format!("/api/v1/backup/{id}/verify");
    done(&service, &quick, r#"{"mode":"quick"}"#);
    let counts = server.counts();
    assert!(server.count(Verb::HeadObject) <= 20, "{counts:?}");
    let lists = server.count(Verb::ListObjects) as usize;
    assert!(lists <= count.div_ceil(1000) + 20, "{counts:?}");
}

#[test]
fn three_thousand_unchanged_objects_cost_no_request() {
    unchanged_objects_cost_no_request(3_000);
}

#[test]
#[ignore = "minutes"]
fn a_hundred_thousand_unchanged_objects_cost_no_request() {
    unchanged_objects_cost_no_request(100_000);
}

/// Guards against: objects that are read and written although the target has them, in a full
/// backup; and a full backup that needs another one.
#[test]
fn a_full_backup_in_a_store_copies_what_the_target_has_within_the_store() {
    let (instance, server, live) = in_buckets(40);
    let service = instance.serve();
    let (first, _) = made(&service, r#"{"target":"far"}"#);
    put(&live.sink, "iot/added.parquet", b"added");
    server.reset_counts();
    let (second, one) = made(&service, r#"{"target":"far"}"#);
    assert_eq!(one["backup_type"], "full", "{one}");
    assert_eq!(
        (&one["base_backup_id"], &one["reused_files"]),
        (&Value::Null, &40.into())
    );
    assert_eq!(server.count(Verb::CopyObject), 40);
    let (_, rehashed) = made(&service, r#"{"target":"far","rehash":true}"#);
    assert_eq!(rehashed["reused_files"], 41, "{rehashed}");
    done(&service, &format!("/api/v1/backup/{second}/verify"), "");
    let deleted = service.delete(&format!("/api/v1/backup/{first}?target=far"));
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    done(&service, &format!("/api/v1/backup/{second}/verify"), "");
}

/// Guards against: a silent change of an object that is found on local disk only.
#[test]
fn a_damaged_copy_in_a_store_is_found_when_it_is_read_anew() {
    let (instance, server, _live) = in_buckets(5);
    let service = instance.serve();
    let (first, _) = made(&service, r#"{"target":"far"}"#);
    let key = "iot/cpu/2026/01/03/000003.parquet";
    server.damage("backups", &format!("of/arc-1/{first}/data/{key}"), 0);
    let (second, one) = made(
        &service,
        r#"{"target":"far","type":"incremental","rehash":true}"#,
    );
    let said = one["warnings"].to_string();
    assert!(said.contains("is damaged") && said.contains(key), "{said}");
    assert_eq!(one["reused_files"], 4, "{one}");
    done(&service, &format!("/api/v1/backup/{second}/verify"), "");
    let list = service.get("/api/v1/backup?target=far").json();
    assert_eq!(list["backups"][1]["state"], "damaged", "{list}");
}

/// Guards against: damage in a store that the next backup refers to, although it is known.
#[test]
fn damage_that_was_found_in_a_store_is_not_referred_to() {
    let (instance, server, _live) = in_buckets(5);
    let service = instance.serve();
    made(&service, r#"{"target":"far"}"#);
    let (base, _) = made(&service, r#"{"target":"far","rehash":true}"#);
    let (second, _) = made(&service, r#"{"target":"far","type":"incremental"}"#);
    let key = "iot/cpu/2026/01/03/000003.parquet";
    server.damage("backups", &format!("of/arc-1/{base}/data/{key}"), 0);
    let verify = format!("/api/v1/backup/{second}/verify");
    let started = service.post(&verify, "");
    assert_eq!(started.status, 202, "{}", started.text);
    let ended = service.wait();
    assert_eq!(ended["status"], "failed", "{ended}");
    let (third, one) = made(&service, r#"{"target":"far","type":"incremental"}"#);
    assert_eq!(one["base_backup_id"], base.as_str(), "{one}");
    let said = one["warnings"].to_string();
    assert!(said.contains(&second) && said.contains(key), "{said}");
    done(&service, &format!("/api/v1/backup/{third}/verify"), "");
}
