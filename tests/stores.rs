//! S3 and Azure Blob Storage, as Arc's data storage and as targets, against real protocols.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/stores.rs"]
mod stores;
mod support;

use std::process::Stdio;

use arc_backup_test_azurite::{Azurite, Fault as AzureFault};
use arc_backup_test_s3::{Fault, Rule, S3Server, Verb, When};
use serde_json::Value;
use stores::{
    KINDS, Kind, Place, SECRETS, configure, contents, delete, put, put_all, runtime, s3_server,
};
use support::{Instance, Service, text};

/// A storage with the sample's data in it. Every other one has no prefix, so that what a restore replaces goes to the target.
fn storage(kind: Kind, instance: &Instance, server: &S3Server, with_prefix: bool) -> Place {
    let prefix = if with_prefix { "live/arc" } else { "" };
    let place = match kind {
        Kind::Local => return Place::local(instance, "data/arc"),
        Kind::S3 => Place::s3(server, "data", prefix),
        Kind::Azure => Place::azure(Azurite::shared(), prefix),
    };
    let files = contents(&Place::local(instance, "data/arc").sink);
    put_all(&place.sink, &files);
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    place
}

fn target(kind: Kind, instance: &Instance, server: &S3Server) -> Place {
    match kind {
        Kind::Local => Place::local(instance, "data/far"),
        Kind::S3 => Place::s3(server, "backups", "of/arc-1"),
        Kind::Azure => Place::azure(Azurite::shared(), "of/arc-1"),
    }
}

/// Posts, waits, and answers the operation, which must complete.
fn done(service: &Service, path: &str, body: &str) -> Value {
    let accepted = service.post(path, body);
    assert_eq!(accepted.status, 202, "{path}: {}", accepted.text);
    let ended = service.wait();
    assert_eq!(ended["status"], "completed", "{path}: {ended}");
    ended
}

/// Lost otherwise: everything, on any storage that a user has: restore(backup(x)) == x.
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

    // One file gone, one of other bytes, one too many.
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

/// Lost otherwise: the live data on a cloud, to a backup that is not what it was.
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
        delete(&live.sink, &[victim]);
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
        assert_eq!(server.uploads("data"), []);
    }
}

/// Lost otherwise: a backup, to a store that stumbles now and then, as each of them does.
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
        instance.ok(&["delete", &id, "--yes"]);
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

/// Lost otherwise: the truth of `completed`: a store that fails for good must fail the backup, by name, and list nothing.
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

fn fault_of<'a>(report: &'a Value, subject: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    let found = checks
        .iter()
        .find(|check| check["subject"] == subject && check["ok"] == false);
    found.unwrap_or_else(|| panic!("no fault of {subject}: {report}"))
}

/// Lost otherwise: an operator's night: which of twenty settings is wrong.
#[test]
fn doctor_and_the_failing_operation_name_the_setting() {
    let (instance, server) = (Instance::new(), s3_server());
    let azurite = Azurite::shared();
    let live = storage(Kind::Local, &instance, &server, false);
    let good = [
        target(Kind::S3, &instance, &server),
        target(Kind::Azure, &instance, &server),
    ];
    let original = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    let with = |place: &Place, from: &str, to: &str| {
        std::fs::write(instance.path("arc.toml"), &original).unwrap();
        configure(&instance, &live, place);
        let text = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
        assert!(text.contains(from), "{from}: {text}");
        std::fs::write(instance.path("arc.toml"), text.replacen(from, to, 1)).unwrap();
    };
    for place in &good {
        with(place, "", "");
        let (code, report) = instance.json(&["doctor"]);
        assert_eq!((code, &report["ok"]), (0, &true.into()), "{report}");
        assert!(
            contents(&place.all).is_empty(),
            "{:?}: a probe is left",
            place.kind
        );
    }
    let [s3, azure] = &good;
    let expired = azurite.account_sas(
        "rwdlac",
        arc_backup_test_azurite::Lasts::EndedAgo(std::time::Duration::from_secs(60)),
    );
    let nobody = format!("127.0.0.1:{}", free_port());
    let cases = [
        (s3, SECRETS[0], "another-secret-0123456789", "s3_secret_key"),
        (s3, "TESTACCESSKEY", "OTHERACCESSKEY", "s3_access_key"),
        (
            s3,
            "s3_bucket = \"backups\"",
            "s3_bucket = \"absent\"",
            "s3_bucket",
        ),
        (
            s3,
            &*server.endpoint(),
            &*format!("http://{nobody}"),
            "s3_endpoint",
        ),
        (
            azure,
            "azure_container = \"",
            "azure_container = \"absent-",
            "azure_container",
        ),
        (
            azure,
            SECRETS[1],
            "bm90IHRoZSBrZXkgb2YgdGhpcyBhY2NvdW50",
            "azure_connection_string",
        ),
        (
            azure,
            "azure_connection_string",
            &*format!(
                "azure_account_name = \"devstoreaccount1\"\nazure_endpoint = \"{}\"\nazure_sas_token = \"{expired}\"\nunused",
                azurite.endpoint()
            ),
            "azure_sas_token",
        ),
    ];
    for (place, from, to, setting) in cases {
        with(place, from, to);
        let (code, report) = instance.json(&["doctor"]);
        let fault = fault_of(&report, "target far");
        assert_eq!(code, 1, "{setting}: {report}");
        let whole = format!("backup.targets.far.{setting}");
        assert_eq!(fault["setting"], *whole, "{fault}");
        assert!(fault["remedy"].is_string());
        let (code, made) = instance.json(&["backup", "--target", "far"]);
        assert_eq!(code, 1, "{setting}: {made}");
        assert!(made.to_string().contains(setting), "{setting}: {made}");
    }
    // Without asking anybody: exit code 2.
    for (place, from, to, setting) in [
        (
            azure,
            "AccountKey=",
            "AccountKey;",
            "azure_connection_string",
        ),
        (
            s3,
            "s3_prefix = \"of/arc-1\"",
            "s3_prefix = \"a..b\"",
            "s3_prefix",
        ),
        (s3, "s3_bucket = \"backups\"", "", "s3_bucket"),
    ] {
        with(place, from, to);
        let output = instance.run(&["doctor"]);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{setting}: {}",
            text(&output)
        );
        assert!(
            text(&output).contains(&format!("backup.targets.far.{setting}")),
            "{}",
            text(&output)
        );
    }
    // One right that is missing.
    for (verb, check) in [
        (Verb::PutObject, "put"),
        (Verb::GetObject, "get"),
        (Verb::ListObjects, "list"),
        (Verb::CopyObject, "copy"),
        (Verb::DeleteObjects, "delete"),
    ] {
        with(s3, "", "");
        server.fault(Rule::new(Fault::Deny).verb(verb));
        let (code, report) = instance.json(&["doctor"]);
        server.heal();
        assert_eq!(code, 1, "{check}: {report}");
        let fault = fault_of(&report, "target far");
        assert_eq!(fault["check"], check, "{fault}");
        assert!(fault["detail"].as_str().unwrap().contains("s3:"), "{fault}");
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Lost otherwise: the keys to everything, to whoever reads a log, a manifest or an answer.
#[test]
fn no_secret_is_in_any_log_answer_manifest_or_history() {
    let (instance, server) = (Instance::new(), s3_server());
    let live = storage(Kind::S3, &instance, &server, true);
    let far = target(Kind::Azure, &instance, &server);
    configure(&instance, &live, &far);
    let log = instance.path("log.txt");
    let port = free_port();
    let mut command = instance.command(&["serve", "--listen", &format!("127.0.0.1:{port}")]);
    let child = command
        .env("ARC_BACKUP_LOG", "trace")
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let service = Service {
        child,
        address: format!("http://127.0.0.1:{port}"),
        printed: Vec::new(),
    };
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(std::time::Instant::now() < until, "it does not listen");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut said = Vec::new();
    let made = done(
        &service,
        "/api/v1/backup",
        r#"{"target":"far","include_config":false}"#,
    );
    let id = made["backup_id"].as_str().unwrap().to_owned();
    said.push(made.to_string());
    said.push(
        done(
            &service,
            "/api/v1/backup/restore",
            &format!(r#"{{"backup_id":"{id}","confirm":true}}"#),
        )
        .to_string(),
    );
    server.fault(Rule::new(Fault::Deny));
    service.post("/api/v1/backup", r#"{"target":"far"}"#);
    said.push(service.wait().to_string());
    said.push(service.post("/api/v1/backup/doctor", "").text);
    server.heal();
    for path in [
        "",
        "/status",
        "/operations",
        &format!("/{id}"),
        &format!("/{id}/files"),
    ] {
        said.push(service.get(&format!("/api/v1/backup{path}")).text);
    }
    drop(service);
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(
        log.len() > 10_000,
        "the log is not of every level: {} bytes",
        log.len()
    );
    said.push(log);
    for (key, bytes) in contents(&far.sink) {
        if key.ends_with(".json") || key.ends_with(".jsonl") {
            said.push(String::from_utf8(bytes).unwrap());
        }
    }
    let history = std::fs::read(instance.path("data/backups/.arc-backup/history.db")).unwrap();
    said.push(String::from_utf8_lossy(&history).into_owned());
    let signature = SECRETS[1].split('=').next().unwrap();
    for text in &said {
        for secret in [SECRETS[0], "s3cret%2FKey", signature] {
            if let Some(at) = text.find(secret) {
                panic!("a secret is told: …{}", &text[at.saturating_sub(300)..at]);
            }
        }
    }
}

/// Lost otherwise: a backup, to an Azure that stumbles now and then.
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
