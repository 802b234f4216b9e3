//! After the restore of a backup of one database every other one is there byte for byte, on all
//! three storages.

use std::collections::BTreeMap;

use serde_json::json;

use super::{ARCS, arcs_manifest, is_of, small, small_files};
use crate::stores::{
    KINDS, Kind, Place, configure, contents, delete, done, put, put_all, s3_server, target,
};
use crate::support::Service;
use arc_backup_test_azurite::Azurite;
use arc_backup_test_s3::{Fault, Rule, Verb};

type Files = BTreeMap<String, Vec<u8>>;

/// The data without the tool's own files.
fn live(place: &Place) -> Files {
    let mut files = contents(&place.sink);
    files.retain(|key, _| !key.starts_with(".arc-backup"));
    files
}

fn only(files: &Files, databases: &[&str], is_in: bool) -> Files {
    let mut files = files.clone();
    files.retain(|key, _| is_of(key, databases) == is_in);
    files
}

/// Changes the database `iot`, and others, since a backup.
fn change(place: &Place, round: u32) {
    delete(&place.sink, &["iot/cpu/2027/01/14/00/a.parquet"]);
    let text = format!("round {round}");
    for key in [
        "iot/cpu/2027/01/14/01/a.parquet",
        "iot/mem/2027/01/15/00/new.parquet",
        "_schema/iot/extra.parquet",
        "web/cpu/2027/01/14/00/a.parquet",
        "iot-2/cpu/2027/01/15/00/later.parquet",
        "later/cpu/2027/01/15/00/later.parquet",
        "_schema/later/cpu.parquet",
        "_schema/later.parquet",
        "also-lost.parquet",
    ] {
        put(&place.sink, key, format!("{text} of {key}").as_bytes());
    }
    delete(&place.sink, &["web-2/cpu/2027/01/14/00/a.parquet"]);
}

fn restored_within(kind: Kind) {
    let (instance, server) = (small(), s3_server());
    let storage = match kind {
        Kind::Local => Place::local(&instance, "data/arc"),
        Kind::S3 => Place::s3(&server, "data", "live/arc"),
        // Arc reads the whole container.
        Kind::Azure => Place::azure(Azurite::shared(), ""),
    };
    let files = small_files();
    if kind != Kind::Local {
        put_all(&storage.sink, &files);
        std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    }
    let far = target(kind, &instance, &server);
    configure(&instance, &storage, &far);
    let service = instance.serve();
    let made = done(
        &service,
        "/api/v1/backup",
        r#"{"target":"far","databases":["iot"]}"#,
    );
    let ours = made["backup_id"].as_str().unwrap().to_owned();
    let iot = only(&files, &["iot"], true);
    assert_eq!(iot.len(), 6);
    let of_backup: Files = contents(&far.sink)
        .into_iter()
        .filter_map(|(key, bytes)| {
            let key = key.strip_prefix(&format!("{ours}/data/"))?.to_owned();
            Some((key, bytes))
        })
        .collect();
    assert_eq!(of_backup, iot, "{kind:?}: it has the database, and no more");

    // By Arc 27.01, of the same database, and of the edge node's.
    let mut arcs = Files::new();
    for (key, bytes) in only(&files, &["iot", "spoke1"], true) {
        arcs.insert(key, bytes);
    }
    let manifest = arcs_manifest(ARCS, &["iot", "spoke1"], &arcs);
    let mut stored: Files = (arcs.iter())
        .map(|(key, bytes)| (format!("{ARCS}/data/{key}"), bytes.clone()))
        .collect();
    stored.insert(
        format!("{ARCS}/manifest.json"),
        manifest.to_string().into_bytes(),
    );
    put_all(&far.sink, &stored);

    let mut round = 0;
    for (id, scope) in [(&*ours, &["iot"][..]), (ARCS, &["iot", "spoke1"])] {
        for policy in ["set_aside", "remove"] {
            let case = format!("{kind:?} {id} {policy}");
            change(&storage, round);
            round += 1;
            if scope.len() > 1 {
                put(&storage.sink, "spoke1/telemetry/x.parquet", b"extra");
            }
            let before = live(&storage);
            let restored = restore(&service, id, policy);
            let after = live(&storage);
            assert_eq!(
                only(&after, scope, false),
                only(&before, scope, false),
                "{case}: another database has changed"
            );
            assert_eq!(
                only(&after, scope, true),
                only(&files, scope, true),
                "{case}: the database is not that of the backup"
            );
            assert_eq!(restored["scope"], json!(scope), "{case}: {restored}");
            let plan = &restored["plan"];
            let extra = if scope.len() > 1 { 3 } else { 2 };
            assert_eq!(plan["extra_files"], extra, "{case}: {restored}");
            let total = only(&files, scope, true).len();
            let counted =
                plan["unchanged_files"].as_u64().unwrap() + plan["written_files"].as_u64().unwrap();
            assert_eq!(counted, total as u64, "{case}: {restored}");
        }
    }
}

fn restore(service: &Service, id: &str, policy: &str) -> serde_json::Value {
    let body = json!({"backup_id": id, "extra_files": policy, "confirm": true});
    done(service, "/api/v1/backup/restore", &body.to_string())
}

/// Guards against: a restore of one database that takes every other one away.
#[test]
fn every_other_database_is_there_byte_for_byte() {
    for kind in KINDS {
        restored_within(kind);
    }
}

/// Guards against: a 202 for a database that nobody could look for, or "unknown database" where the
/// storage is at fault.
#[test]
fn a_storage_that_refuses_the_list_is_named_and_nothing_starts() {
    let (instance, server) = (small(), s3_server());
    let storage = Place::s3(&server, "data", "live/arc");
    let far = target(Kind::Local, &instance, &server);
    configure(&instance, &storage, &far);
    put_all(&storage.sink, &small_files());
    let service = instance.serve();
    server.fault(Rule::new(Fault::Deny).verb(Verb::ListObjects));
    let answer = service.post("/api/v1/backup", r#"{"databases":["iot"]}"#);
    assert_eq!(answer.status, 500, "{}", answer.text);
    assert!(!answer.text.contains("no database"), "{}", answer.text);
    assert_ne!(
        service.get("/api/v1/backup/status").json()["status"],
        "running"
    );
}

/// Guards against: a backup or a restore of one small database that lists a large one.
#[test]
fn the_size_of_another_database_costs_no_request() {
    let (instance, server) = (small(), s3_server());
    let storage = Place::s3(&server, "data", "live/arc");
    let far = target(Kind::Local, &instance, &server);
    configure(&instance, &storage, &far);
    put_all(&storage.sink, &small_files());
    let service = instance.serve();
    let cost = || {
        put(&storage.sink, "iot/cpu/2027/01/15/00/new.parquet", b"new");
        server.reset_counts();
        let body = r#"{"target":"far","databases":["iot"]}"#;
        let made = done(&service, "/api/v1/backup", body);
        put(&storage.sink, "iot/cpu/2027/01/15/00/new.parquet", b"newer");
        restore(&service, made["backup_id"].as_str().unwrap(), "set_aside");
        // The status reads the restore marker, as often as it is asked.
        server.counts().get(&Verb::ListObjects).copied()
    };
    let before = cost();
    let many: Files = (0..2500)
        .map(|number| {
            (
                format!("web/cpu/2027/01/14/02/{number}.parquet"),
                b"rows".to_vec(),
            )
        })
        .collect();
    put_all(&storage.sink, &many);
    assert_eq!(cost(), before);
}
