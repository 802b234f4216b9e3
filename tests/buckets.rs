//! Buckets that keep versions, keys that may not delete, objects in archive tiers, and stores that
//! support fewer requests.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/stores.rs"]
mod stores;
mod support;

use std::collections::BTreeSet;

use arc_backup_test_s3::{Fault, Rule, S3Server, ServerOptions, Verb};
use serde_json::{Value, json};
use stores::{Kind, Place, configure, contents, storage};
use support::{Instance, text};

fn server(change: impl FnOnce(&mut ServerOptions)) -> S3Server {
    let mut options = ServerOptions {
        buckets: vec!["data".to_owned(), "backups".to_owned()],
        ..ServerOptions::default()
    };
    change(&mut options);
    S3Server::start(options).unwrap()
}

/// An instance with local data whose backups go to S3.
fn instance_with(server: &S3Server, kind: Kind) -> (Instance, Place, Place) {
    let instance = Instance::new();
    let live = storage(kind, &instance, server, true);
    let far = Place::s3(server, "backups", "of/arc-1");
    configure(&instance, &live, &far);
    (instance, live, far)
}

fn instance(server: &S3Server) -> (Instance, Place) {
    let (instance, _, far) = instance_with(server, Kind::Local);
    (instance, far)
}

/// A completed backup.
fn backup(instance: &Instance) -> (String, Value) {
    let (code, made) = instance.json(&["backup", "--target", "far"]);
    assert_eq!(code, 0, "{made}");
    (made["backup_id"].as_str().unwrap().to_owned(), made)
}

fn warnings(operation: &Value) -> Vec<String> {
    let warnings = operation["warnings"].as_array();
    let texts = warnings.into_iter().flatten();
    texts
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

/// The ids under a heading of the list, of the target `far`.
fn listed(list: &Value, heading: &str) -> BTreeSet<String> {
    let rows = list[heading].as_array().unwrap().iter();
    rows.filter(|row| row["target"] == "far")
        .map(|row| row["backup_id"].as_str().unwrap().to_owned())
        .collect()
}

/// What the list says of the target `far`: complete, damaged and unreadable backups.
fn list(instance: &Instance) -> [BTreeSet<String>; 3] {
    let (code, list) = instance.json(&["list", "--all"]);
    assert_eq!(code, 0, "{list}");
    ["backups", "damaged", "unreadable"].map(|heading| listed(&list, heading))
}

fn set<const N: usize>(ids: [&String; N]) -> BTreeSet<String> {
    ids.into_iter().cloned().collect()
}

/// Guards against a deleted backup that stays in the list as damaged for ever.
#[test]
fn a_backup_deleted_from_a_versioned_bucket_is_gone() {
    let server = server(|options| options.versioned = true);
    let (instance, far) = instance(&server);
    let (id, made) = backup(&instance);
    assert_eq!(warnings(&made), [""; 0], "{made}");
    let (kept, _) = backup(&instance);
    let before = server.old_versions("backups", &id);
    let (code, deleted) = instance.json(&["delete", &id, "--yes", "--even-last"]);
    let warned = warnings(&deleted);
    assert!(
        code == 0 && warned.len() == 1 && warned[0].contains("lifecycle rule"),
        "a deletion that frees nothing does not say so: {deleted}"
    );
    let left = contents(&far.sink);
    assert!(left.keys().all(|key| !key.contains(&id)), "{left:?}");
    assert!(server.old_versions("backups", &id) > before + 100);

    assert_eq!(list(&instance), [set([&kept]), set([]), set([])]);
    // A second deletion and a sweep ignore it, too.
    for arguments in [&["delete", &id, "--yes", "--even-last"][..], &["show", &id]] {
        let again = text(&instance.run(arguments));
        assert!(again.contains("no backup"), "{arguments:?}: {again}");
    }
    let swept = instance.ok(&["sweep"]);
    assert!(swept.contains("no leftovers"), "{swept}");
}

/// Guards against the same warning after every deletion, also where the space was freed.
#[test]
fn a_deletion_that_frees_its_room_warns_of_nothing() {
    let server = server(|_| {});
    let (instance, _) = instance(&server);
    let (id, _) = backup(&instance);
    let (code, deleted) = instance.json(&["delete", &id, "--yes", "--even-last"]);
    assert_eq!((code, warnings(&deleted)), (0, Vec::new()), "{deleted}");
}

/// Guards against keys that can delete backups after an attack on this machine. Without the right
/// to delete, no backup may wait for the lock of a dead process, or warn about all earlier
/// leftovers.
#[test]
fn keys_that_may_not_delete_make_backups_one_after_the_other() {
    let server = server(|options| options.undeletable = Some(String::new()));
    for verb in [Verb::DeleteObject, Verb::AbortMultipartUpload] {
        server.fault(Rule::new(Fault::Deny).verb(verb));
    }
    let (instance, _) = instance(&server);
    let made: Vec<_> = (0..4).map(|_| backup(&instance)).collect();
    let ids: BTreeSet<_> = made.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(list(&instance), [ids.clone(), set([]), set([])]);
    for (_, made) in &made {
        let warned = warnings(made);
        assert!(warned.len() <= 1, "more than one warning: {made}");
    }
    let last = &made[3];
    let warned = warnings(&last.1);
    assert!(
        warned.len() == 1 && warned[0].contains("s3:DeleteObject"),
        "leftovers are not reported: {}",
        last.1
    );
    for arguments in [
        &["verify", &last.0][..],
        &["restore", &last.0, "--yes"],
        &["verify", &last.0, "--quick"],
    ] {
        instance.ok(arguments);
    }
    // An object that can't be removed still exists, and the error says so.
    let refused = instance.run(&["delete", &last.0, "--yes", "--even-last"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused).contains("s3:DeleteObject"),
        "{}",
        text(&refused)
    );
    instance.ok(&["verify", &last.0]);
    // A damaged backup is listed as damaged, even if its journal could not be removed.
    let broken = format!("of/arc-1/{}/manifest.json", made[0].0);
    server.put("backups", &broken, "{}");
    assert_eq!(list(&instance)[1], set([&made[0].0]));

    // Somebody with the right removes the leftovers, and the backups stay.
    server.heal();
    let lasting = S3Server::start(ServerOptions {
        buckets: vec!["data".to_owned(), "backups".to_owned()],
        ..ServerOptions::default()
    })
    .unwrap();
    for key in server.keys("backups") {
        lasting.put("backups", &key, server.object("backups", &key).unwrap());
    }
    let path = instance.path("arc.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        config.replace(&server.endpoint(), &lasting.endpoint()),
    )
    .unwrap();
    instance.ok(&["sweep", "--apply"]);
    let left = lasting.keys("backups");
    assert!(
        left.iter().all(|key| !key.contains("/journal/")),
        "{left:?}"
    );
    let [backups, damaged, _] = list(&instance);
    assert_eq!(backups.len() + damaged.len(), 4);
    instance.ok(&["delete", &last.0, "--yes", "--even-last"]);
    let left = lasting.keys("backups");
    assert!(left.iter().all(|key| !key.contains(&*last.0)), "{left:?}");
}

/// Guards against a doctor that reports append-only keys as a fault, or leaves an object of 8 MiB
/// on each run.
#[test]
fn doctor_reports_append_only_keys_as_a_state() {
    let server = server(|options| options.undeletable = Some(String::new()));
    server.fault(Rule::new(Fault::Deny).verb(Verb::DeleteObject));
    let (instance, far) = instance(&server);
    let mut left = BTreeSet::new();
    for _ in 0..3 {
        let (code, report) = instance.json(&["doctor"]);
        assert_eq!((code, &report["ok"]), (0, &json!(true)), "{report}");
        let checks = report["checks"].as_array().unwrap();
        let of_delete = (checks.iter())
            .find(|check| check["subject"] == "target far" && check["check"] == "delete");
        assert_eq!(of_delete.unwrap()["state"], "append-only", "{report}");
        let found = contents(&far.sink);
        left.extend(found.keys().cloned());
        let bytes: usize = found.values().map(Vec::len).sum();
        assert!(bytes < 64 << 10, "{bytes} bytes of probes");
    }
    assert!(
        left.len() < 4,
        "each run leaves probes of its own: {left:?}"
    );
    let said = instance.ok(&["doctor"]);
    assert!(said.contains("append-only"), "{said}");
    // Arc's data can't be restored with such keys.
    let (instance, _, _) = instance_with(&server, Kind::S3);
    let (code, report) = instance.json(&["doctor"]);
    let faults: Vec<_> = (report["checks"].as_array().unwrap().iter())
        .filter(|check| check["ok"] == false)
        .map(|check| (&check["subject"], &check["check"]))
        .collect();
    let wanted = (&json!("data storage"), &json!("delete"));
    assert_eq!((code, faults), (1, vec![wanted]), "{report}");
}

/// Guards against a good backup that looks damaged, and a restore that stops halfway at a file that
/// can't be read.
#[test]
fn a_backup_in_an_archive_tier_is_listed_as_archived_and_not_restored() {
    for kind in [Kind::Local, Kind::S3] {
        let server = server(|_| {});
        let (instance, live, _) = instance_with(&server, kind);
        let (first, _) = backup(&instance);
        let (second, _) = backup(&instance);
        // All objects of one backup; of the other the large ones, as lifecycle rules do.
        server.move_to_class("backups", &first, "GLACIER");
        let data = format!("{second}/data/");
        let named = (server.keys("backups").into_iter())
            .find(|key| key.contains(&data))
            .unwrap();
        let named = named.strip_prefix(&format!("of/arc-1/{second}/")).unwrap();
        server.move_to_class("backups", &data, "DEEP_ARCHIVE");
        assert_eq!(list(&instance), [set([&second]), set([]), set([&first])]);
        let (_, listed) = instance.json(&["list"]);
        assert_eq!(listed["unreadable"][0]["state"], "archived", "{listed}");
        let said = text(&instance.run(&["list"]));
        let row = said.lines().find(|line| line.contains(&first)).unwrap();
        assert!(row.contains("archived"), "{said}");
        assert!(!said.contains("damaged"), "{said}");

        stores::put(&live.sink, "iot/added.parquet", b"compaction's output");
        let before = contents(&live.sink);
        for (id, what) in [(&first, "manifest.json"), (&second, named)] {
            let refused = instance.run(&["restore", id, "--yes"]);
            let said = text(&refused);
            assert_eq!(refused.status.code(), Some(1), "{kind:?}: {said}");
            assert!(
                said.contains(what) && said.contains("restore") && said.contains("archive"),
                "{kind:?}: {said}"
            );
            assert!(!said.contains("damaged"), "{kind:?}: {said}");
            assert!(
                contents(&live.sink) == before,
                "{kind:?}: something was changed"
            );
            let status = instance.ok(&["status", "--json"]);
            assert!(
                !status.contains("restore_in_progress"),
                "{kind:?}: {status}"
            );
            // A verification that could read nothing does not mark the backup as damaged.
            assert_eq!(instance.run(&["verify", id]).status.code(), Some(1));
        }
        // Operations that need no archived object still work.
        instance.ok(&["verify", &second, "--quick"]);
        instance.ok(&["restore", &second, "--no-data", "--yes"]);
        let (_, listed) = instance.json(&["list"]);
        assert_eq!(
            listed["backups"][0]["last_verified"]["ok"], true,
            "{listed}"
        );
        // Once its objects are back from the archive, it is a backup like any other.
        server.move_to_class("backups", "", "STANDARD");
        instance.ok(&["restore", &second, "--yes"]);
        assert_ne!(contents(&live.sink), before);
        server.move_to_class("backups", &first, "GLACIER");
        instance.ok(&["delete", &first, "--yes", "--even-last"]);
        assert_eq!(list(&instance), [set([&second]), set([]), set([])]);
    }
}

/// Guards against a good backup that looks damaged, so that somebody deletes it.
#[test]
fn a_manifest_that_may_not_be_read_is_not_damaged() {
    let server = server(|_| {});
    let (instance, _) = instance(&server);
    let (id, _) = backup(&instance);
    let denied = Rule::new(Fault::Deny).verb(Verb::GetObject);
    server.fault(denied.key(&format!("{id}/manifest.json")));
    assert_eq!(list(&instance), [set([]), set([]), set([&id])]);
    let (_, listed) = instance.json(&["list"]);
    assert_eq!(listed["unreadable"][0]["state"], "denied", "{listed}");
    for arguments in [
        &["restore", &id, "--yes"][..],
        &["verify", &id],
        &["show", &id],
    ] {
        let refused = instance.run(arguments);
        let said = text(&refused);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(
            said.contains("s3:GetObject") && !said.contains("damaged"),
            "{said}"
        );
    }
    server.heal();
    assert_eq!(list(&instance), [set([&id]), set([]), set([])]);
}

/// Guards against losing backups to a refused request: a refusal does not mean that nothing exists.
#[test]
fn a_refused_request_costs_no_backup() {
    let server = server(|_| {});
    let (instance, far) = instance(&server);
    let (id, _) = backup(&instance);
    // As if the process had died directly after writing its manifest.
    let journal = format!(
        r#"{{"operation":"backup","backup_id":"{id}","operation_id":"x","pid":1,"host":"h","started_at":"2026-01-01T00:00:00Z"}}"#
    );
    stores::put(
        &far.sink,
        &format!(".arc-backup/journal/{id}.json"),
        journal.as_bytes(),
    );
    for verb in [Verb::HeadObject, Verb::GetObject] {
        let refuse = Fault::Answer(400, "InvalidArgument", "x-amz-checksum-mode is not known");
        server.fault(Rule::new(refuse).verb(verb).key("manifest.json"));
    }
    let swept = instance.run(&["sweep", "--apply"]);
    assert_eq!(swept.status.code(), Some(1), "{}", text(&swept));
    let made = instance.run(&["backup", "--target", "far"]);
    assert!(!text(&made).contains("exists already"), "{}", text(&made));
    let (_, listed) = instance.json(&["list"]);
    assert_eq!(listed["damaged"], json!([]), "{listed}");
    server.heal();
    assert!(list(&instance)[0].contains(&id));
    instance.ok(&["verify", &id]);
}

/// Guards against checksum requests that a store with MD5 only refuses, in spite of the setting.
#[test]
fn a_store_without_checksums_holds_backups_with_its_setting() {
    let server = server(|options| {
        options.refuse_checksums = true;
        options.deletes_need_md5 = true;
    });
    let (instance, _, _) = instance_with(&server, Kind::Local);
    let named = instance.run(&["backup", "--target", "far"]);
    assert_eq!(named.status.code(), Some(1));
    assert!(
        text(&named).contains("s3_checksums = \"when_required\""),
        "{}",
        text(&named)
    );
    let path = instance.path("arc.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let setting = "s3_checksums = \"when_required\"\ns3_prefix";
    std::fs::write(&path, config.replace("s3_prefix", setting)).unwrap();
    let (id, _) = backup(&instance);
    let (code, report) = instance.json(&["doctor"]);
    assert_eq!(code, 0, "{report}");
    for arguments in [
        &["verify", &id][..],
        &["restore", &id, "--yes"],
        &["delete", &id, "--yes", "--even-last"],
    ] {
        instance.ok(arguments);
    }
}
