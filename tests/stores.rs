//! S3 and Azure Blob Storage, as Arc's data storage and as targets, against real protocols.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/stores.rs"]
mod stores;
mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use arc_backup_test_azurite::{Azurite, Fault as AzureFault};
use arc_backup_test_s3::{Fault, Rule, Verb, When};
use stores::{
    KINDS, Kind, Place, configure, contents, delete, done, put, runtime, s3_server, storage, target,
};
use support::{ARC_OLD, Instance, text};

/// Guards against a restore that differs from the backup, on any storage.
fn round_trip(storage_kind: Kind, target_kind: Kind, with_prefix: bool) {
    let case = format!("{storage_kind:?} → {target_kind:?}");
    let (instance, server) = (Instance::new(), s3_server());
    let live = storage(storage_kind, &instance, &server, with_prefix);
    let far = target(target_kind, &instance, &server);
    configure(&instance, &live, &far);
    let before = contents(&live.sink);
    assert_eq!(before.len(), 105, "{case}");
    let service = instance.serve();
    let made = done(&service, "/api/v1/backup", r#"{"target":"far"}"#);
    assert_eq!(made["target"], "far", "{case}");
    let id = made["backup_id"].as_str().unwrap();
    let stored = contents(&far.sink);
    for (path, bytes) in &before {
        assert_eq!(
            stored.get(&format!("{id}/data/{path}")),
            Some(bytes),
            "{case}: {path}"
        );
    }
    let verified = done(&service, &format!("/api/v1/backup/{id}/verify"), "");
    assert_eq!(verified["processed_files"], 107, "{case}: {verified}");
    assert!(
        contents(&live.all).len() >= 105,
        "{case}: a backup changes nothing that is live"
    );

    // One file gone, one with other bytes, one too many.
    let keys: Vec<_> = before.keys().cloned().collect();
    delete(&live.sink, &[&keys[3]]);
    put(&live.sink, &keys[4], b"rewritten under its name");
    put(&live.sink, "iot/added.parquet", b"compaction's output");
    let restore = format!(r#"{{"backup_id":"{id}","confirm":true}}"#);
    let restored = done(&service, "/api/v1/backup/restore", &restore);
    assert!(
        contents(&live.sink) == before,
        "{case}: the restored data differs"
    );
    assert_eq!(restored["set_aside_files"], 2, "{case}: {restored}");
    assert_eq!(restored["unchanged_files"], 103, "{case}: {restored}");
    let mut kept: Vec<Vec<u8>> = contents(&live.all).into_values().collect();
    kept.extend(contents(&far.sink).into_values());
    for bytes in [&b"rewritten under its name"[..], b"compaction's output"] {
        assert!(
            kept.iter().any(|kept| kept == bytes),
            "{case}: what was replaced is nowhere: {restored}"
        );
    }

    // The service forgets its tokens after a restore of a database. This one is cached again first.
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(service.get("/api/v1/backup/status").status, 200, "{case}");

    // Everything gone.
    let keys: Vec<_> = before.keys().map(String::as_str).collect();
    delete(&live.sink, &keys);
    std::fs::remove_file(instance.path("data/arc.db")).unwrap();
    done(&service, "/api/v1/backup/restore", &restore);
    assert!(
        contents(&live.sink) == before,
        "{case}: the restored data differs"
    );
    assert!(instance.path("data/arc.db").exists(), "{case}");

    let list = service.get("/api/v1/backup").json();
    assert_eq!(
        (&list["errors"], &list["damaged"]),
        (&serde_json::json!([]), &serde_json::json!([])),
        "{case}"
    );
    let found = list["backups"]
        .as_array()
        .unwrap()
        .iter()
        .find(|b| b["backup_id"] == id);
    assert_eq!(found.unwrap()["target"], "far", "{case}: {list}");
    assert_eq!(service.delete(&format!("/api/v1/backup/{id}")).status, 200);
    let left: Vec<_> = contents(&far.sink)
        .into_keys()
        .filter(|key| key.contains(id))
        .collect();
    assert_eq!(
        left,
        Vec::<String>::new(),
        "{case}: a deletion leaves something"
    );
    for bucket in ["data", "backups"] {
        assert_eq!(server.uploads(bucket), [], "{case}: an upload is left");
    }
}

#[test]
fn local_data_comes_back_from_every_target() {
    KINDS
        .into_iter()
        .for_each(|target| round_trip(Kind::Local, target, false));
}

#[test]
fn data_on_s3_comes_back_from_every_target() {
    for (target, with_prefix) in [(Kind::Local, true), (Kind::S3, false), (Kind::Azure, false)] {
        round_trip(Kind::S3, target, with_prefix);
    }
}

#[test]
fn data_on_azure_comes_back_from_every_target() {
    for (target, with_prefix) in [(Kind::Local, false), (Kind::S3, true), (Kind::Azure, false)] {
        round_trip(Kind::Azure, target, with_prefix);
    }
}

/// Guards against overwriting live data on a cloud with a damaged backup.
#[test]
fn a_corrupt_object_never_becomes_live_on_a_storage_that_cannot_stage() {
    for kind in [Kind::S3, Kind::Azure] {
        let (instance, server) = (Instance::new(), s3_server());
        let live = storage(kind, &instance, &server, true);
        let far = target(Kind::S3, &instance, &server);
        configure(&instance, &live, &far);
        let before = contents(&live.sink);
        let id = instance.ok(&["backup", "--target", "far"]);
        let victim = before.keys().next().unwrap();
        let stored = format!("{id}/data/{victim}");
        let mut bytes = contents(&far.sink)[&stored].clone();
        bytes[100] ^= 1;
        put(&far.sink, &stored, &bytes);
        let (code, verified) = instance.json(&["verify", &id]);
        assert_eq!(
            (code, &verified["problems"][0]["kind"]),
            (1, &"checksum".into()),
            "{verified}"
        );
        // The other files could be restored before the damage is found.
        let gone: Vec<_> = before.keys().map(String::as_str).collect();
        delete(&live.sink, &gone[..20]);
        put(&live.sink, gone[30], b"rewritten under its name");
        let untouched = contents(&live.all);
        let (code, restored) = instance.json(&["restore", &id, "--yes", "--verify-first"]);
        assert_eq!(code, 1, "{restored}");
        let error = restored["error"].as_str().unwrap();
        assert!(
            error.contains(victim) && error.contains("nothing was changed"),
            "{error}"
        );
        assert!(
            contents(&live.all) == untouched,
            "{kind:?}: something was written"
        );
        let (_, status) = instance.json(&["status"]);
        assert_eq!(status.get("restore_in_progress"), None, "{status}");
        let (code, restored) = instance.json(&["restore", &id, "--yes"]);
        assert_eq!(
            (code, &restored["status"]),
            (1, &"failed".into()),
            "{restored}"
        );
        assert!(
            restored["error"].as_str().unwrap().contains(victim),
            "{restored}"
        );
        let after = contents(&live.sink);
        assert!(
            !after.contains_key(victim),
            "{kind:?}: wrong bytes are live"
        );
        // With an intact backup the restore works.
        bytes[100] ^= 1;
        put(&far.sink, &stored, &bytes);
        let (code, restored) = instance.json(&["restore", &id, "--yes", "--verify-first"]);
        assert_eq!(code, 0, "{restored}");
        assert_eq!(
            restored["processed_files"], restored["total_files"],
            "{restored}"
        );
        assert!(contents(&live.sink) == before, "{kind:?}: {restored}");
        assert_eq!(server.uploads("data"), []);
    }
}

/// Guards against failing a backup because a store fails now and then, as every store does.
#[test]
fn a_stumbling_store_costs_no_backup_and_no_restore() {
    let (instance, server) = (Instance::new(), s3_server());
    let live = storage(Kind::S3, &instance, &server, true);
    let far = target(Kind::S3, &instance, &server);
    configure(&instance, &live, &far);
    let before = contents(&live.sink);
    for fault in [
        Fault::SlowDown,
        Fault::InternalError,
        Fault::CutResponse(300),
        Fault::FlipResponse(40),
        Fault::FlipRequest(40),
        Fault::ErrorAfterSuccess,
        Fault::CloseAfterSuccess,
    ] {
        server.fault(Rule::new(fault.clone()).when(When::Chance(0.05)));
        let id = instance.ok(&["backup", "--target", "far"]);
        let keys: Vec<_> = before.keys().map(String::as_str).collect();
        instance.ok(&["verify", &id]);
        server.heal();
        delete(&live.sink, &keys[..50]);
        server.fault(Rule::new(fault.clone()).when(When::Chance(0.05)));
        instance.ok(&["restore", &id, "--yes"]);
        instance.ok(&["delete", &id, "--yes", "--even-last"]);
        let met = server.faults_met();
        server.heal();
        assert!(met > 0, "{fault:?} was never met");
        assert!(
            contents(&live.sink) == before,
            "{fault:?}: the restored data differs"
        );
        for bucket in ["data", "backups"] {
            assert_eq!(server.uploads(bucket), [], "{fault:?}: an upload is left");
        }
    }
}

/// Guards against a `completed` backup on a store that fails for good.
#[test]
fn a_store_that_fails_for_good_fails_the_backup_and_hides_no_other_target() {
    let (instance, server) = (Instance::new(), s3_server());
    let live = storage(Kind::Local, &instance, &server, false);
    let far = target(Kind::S3, &instance, &server);
    configure(&instance, &live, &far);
    server.fault(
        Rule::new(Fault::Deny)
            .verb(Verb::PutObject)
            .key("/data/iot/"),
    );
    let (code, made) = instance.json(&["backup", "--target", "far"]);
    assert_eq!((code, &made["status"]), (1, &"failed".into()), "{made}");
    let error = made["error"].as_str().unwrap();
    assert!(
        error.contains("data/iot/") && error.contains("s3:PutObject"),
        "{error}"
    );
    server.heal();
    let (_, list) = instance.json(&["list", "--target", "far"]);
    assert_eq!(
        (&list["count"], &list["damaged"]),
        (&0.into(), &serde_json::json!([])),
        "{list}"
    );
    let near = instance.backup();
    drop(server);
    let output = instance.run(&["list"]);
    assert!(
        text(&output).contains(&near) && text(&output).contains("target far"),
        "{}",
        text(&output)
    );
}

/// Guards against losing stored files when credentials expire. The storage has no unreadable files.
#[test]
fn expired_credentials_of_the_storage_fail_the_backup_and_the_next_resumes_it() {
    let (instance, server) = (Instance::new(), s3_server());
    let live = storage(Kind::S3, &instance, &server, true);
    let near = target(Kind::Local, &instance, &server);
    configure(&instance, &live, &near);
    let gets = |from| {
        Rule::new(Fault::Deny)
            .verb(Verb::GetObject)
            .when(When::From(from))
    };
    server.fault(gets(60));
    server.fault(
        Rule::new(Fault::Deny)
            .verb(Verb::ListObjects)
            .when(When::From(6)),
    );
    let (code, failed) = instance.json(&["backup", "--target", "far"]);
    assert_eq!(code, 1, "{failed}");
    assert_eq!(failed.get("incomplete_copy"), None, "{failed}");
    assert!(
        failed["error"].as_str().unwrap().contains("s3:ListBucket"),
        "{failed}"
    );
    server.heal();
    let (code, done) = instance.json(&["backup", "--target", "far"]);
    assert_eq!(code, 0, "{done}");
    assert!(done["reused_files"].as_u64().unwrap() > 30, "{done}");
    // A single refused object is an unreadable file.
    server.fault(gets(60).key("0.parquet"));
    server.heal();
    server.fault(gets(1).key("iot/temperature/"));
    let (code, failed) = instance.json(&["backup", "--target", "far"]);
    assert_eq!(code, 1, "{failed}");
    assert!(failed["incomplete_copy"].is_string(), "{failed}");
}

/// Guards against failing a backup because Azure fails now and then.
#[test]
fn azure_stumbles_too_and_costs_no_backup() {
    let (instance, server) = (Instance::new(), s3_server());
    let live = storage(Kind::Local, &instance, &server, false);
    let proxy = runtime().block_on(Azurite::shared().proxy());
    let mut far = target(Kind::Azure, &instance, &server);
    far.config = far.config.replace(
        &Azurite::shared().connection_string(),
        &proxy.connection_string(),
    );
    configure(&instance, &live, &far);
    let before = contents(&live.sink);
    for fault in [
        AzureFault::Answer(503, "ServerBusy"),
        AzureFault::AnswerAfter(500, "InternalError"),
        AzureFault::CloseAfter,
        AzureFault::CutResponse(100),
        AzureFault::FlipResponse(50),
        AzureFault::FlipRequest(50),
    ] {
        let every = |number: usize| {
            let fault = fault.clone();
            move |request: &arc_backup_test_azurite::Request| {
                (request.earlier % number == number - 1).then(|| fault.clone())
            }
        };
        proxy.rule(every(17));
        let id = instance.ok(&["backup", "--target", "far"]);
        instance.ok(&["verify", &id]);
        std::fs::remove_dir_all(instance.path("data/arc/iot")).unwrap();
        instance.ok(&["restore", &id, "--yes"]);
        proxy.heal();
        assert!(
            contents(&live.sink) == before,
            "{fault:?}: the restored data differs"
        );
    }
}

/// Guards against one flipped bit of a large object on its way into a backup.
#[test]
fn a_flipped_bit_of_a_large_object_is_found_and_the_object_read_again() {
    let (instance, server) = (Instance::new(), s3_server());
    let live = storage(Kind::S3, &instance, &server, true);
    let far = target(Kind::Local, &instance, &server);
    configure(&instance, &live, &far);
    let large: Vec<u8> = (0..20_u32 << 20)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    put(&live.sink, "iot/large.parquet", &large);
    for offset in [1_000, 9 << 20, 19 << 20] {
        let met = server.faults_met();
        let flip = Rule::new(Fault::FlipResponse(offset));
        server.fault(
            flip.verb(Verb::GetObject)
                .key("large.parquet")
                .when(When::First(1)),
        );
        let id = instance.ok(&["backup", "--target", "far", "--no-metadata"]);
        assert_eq!(server.faults_met(), met + 1, "nothing was flipped");
        server.heal();
        let stored = contents(&far.sink).remove(&format!("{id}/data/iot/large.parquet"));
        assert!(
            stored.as_deref() == Some(&large),
            "a flipped bit at {offset} is in the backup"
        );
        instance.ok(&["delete", &id, "--yes", "--even-last"]);
    }
}

/// Guards against one flipped bit on its way from a target, also for files without a digest.
#[test]
fn bytes_read_from_azure_are_checked_by_sha256_or_by_the_stores_md5() {
    let (instance, server) = (Instance::new(), s3_server());
    let live = storage(Kind::Local, &instance, &server, false);
    let proxy = runtime().block_on(Azurite::shared().proxy());
    let mut far = target(Kind::Azure, &instance, &server);
    far.config = far.config.replace(
        &Azurite::shared().connection_string(),
        &proxy.connection_string(),
    );
    let arcs = contents(&Place::local(&instance, "data/backups").sink);
    for (path, bytes) in arcs.iter().filter(|(path, _)| path.starts_with(ARC_OLD)) {
        put(&far.sink, path, bytes);
    }
    configure(&instance, &live, &far);
    std::fs::remove_dir_all(instance.path("data/backups").join(ARC_OLD)).unwrap();
    let before = contents(&live.sink);
    let id = instance.ok(&["backup", "--target", "far"]);
    let victim = before.keys().next().unwrap();
    // Runs with this fault in the first answer for that file. Returns each read, and whether it had
    // an MD5.
    let reads = |arguments: &[&str], path: &str, fault: Option<AzureFault>| {
        proxy.heal();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (noted, path, mut fault) = (seen.clone(), path.to_owned(), fault);
        proxy.rule(move |request| {
            if request.verb != "GET" {
                return None;
            }
            let read = request.path.replace("%2F", "/");
            let met = read.ends_with(&path);
            // Locks and leases are read, too, but an unreadable one only counts as not held by a
            // dead process.
            if !read.ends_with("lock") && !read.contains("/.arc-backup/readers/") {
                noted.lock().unwrap().push((read, request.range_md5));
            }
            fault.take_if(|_| met)
        });
        let (code, operation) = instance.json(arguments);
        proxy.heal();
        let seen = seen.lock().unwrap().clone();
        (code, operation, seen)
    };
    let of = |seen: &[(String, bool)], path: &str| {
        seen.iter().filter(|(read, _)| read.ends_with(path)).count()
    };
    let flip = Some(AzureFault::FlipResponse(50));
    for action in [&["verify", &id][..], &["restore", &id, "--yes"]] {
        delete(&live.sink, &[victim]);
        let (code, operation, seen) = reads(action, victim, flip.clone());
        assert_eq!(code, 0, "{operation}");
        assert_eq!(of(&seen, victim), 2, "{action:?}: it was not read again");
        let mut read = BTreeSet::new();
        for (path, with_md5) in &seen {
            let file =
                path.contains("/data/") || path.contains("/metadata/") || path.contains("/config/");
            // The second read is to find out where the damage is.
            let again = !read.insert(path);
            assert_eq!(*with_md5, !file || again, "{path}");
        }
    }
    assert!(contents(&live.sink) == before, "the restored data differs");
    for path in ["inventory.jsonl.zst", "manifest.json"] {
        let (code, operation, _) = reads(&["verify", &id], &format!("{id}/{path}"), flip.clone());
        assert_eq!(code, 0, "{path}: {operation}");
    }

    // Arc's own backup has no digests.
    let victim = (arcs.keys().find(|path| path.contains("/data/")).unwrap()).clone();
    let (code, operation, seen) = reads(&["verify", ARC_OLD], &victim, flip.clone());
    assert_eq!((code, of(&seen, &victim)), (0, 2), "{operation}");
    assert!(seen.iter().all(|(_, with_md5)| *with_md5), "{seen:?}");

    // Bytes that are damaged in the store are not read a third time.
    let stored = format!("{id}/data/{}", before.keys().next().unwrap());
    let mut bytes = contents(&far.sink)[&stored].clone();
    bytes[100] ^= 1;
    put(&far.sink, &stored, &bytes);
    let (code, verified, seen) = reads(&["verify", &id], &stored, None);
    assert_eq!((code, of(&seen, &stored)), (1, 2), "{verified}");
    assert_eq!(verified["problems"][0]["kind"], "checksum", "{verified}");
}

/// Guards against a target inside the data, which the next backup would copy and a restore set
/// aside.
#[test]
fn a_target_in_the_bucket_of_the_data_is_not_data() {
    let (instance, server) = (Instance::new(), s3_server());
    let live = storage(Kind::S3, &instance, &server, false);
    let far = Place::s3(&server, "data", "far/arc-1");
    configure(&instance, &live, &far);
    let id = instance.ok(&["backup", "--target", "far"]);
    let (_, second) = instance.json(&["backup", "--target", "far"]);
    assert_eq!(second["total_files"], 107, "{second}");
    let backups = contents(&far.sink).len();
    let (code, restored) = instance.json(&["restore", &id, "--yes", "--extra-files", "remove"]);
    assert_eq!(
        (code, &restored["set_aside_files"]),
        (0, &0.into()),
        "{restored}"
    );
    assert_eq!(
        contents(&far.sink).len(),
        backups,
        "a restore took backups for data"
    );
    instance.ok(&["verify", &id]);
    let text = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    std::fs::write(instance.path("arc.toml"), text.replace("far/arc-1", "")).unwrap();
    let output = instance.run(&["list"]);
    assert_eq!(output.status.code(), Some(2), "{}", support::text(&output));
    assert!(support::text(&output).contains("backup.targets.far"));
}
