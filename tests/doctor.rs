//! What is told of storages: by doctor, in errors, and never of their secrets.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/stores.rs"]
mod stores;
mod support;

use std::process::Stdio;

use arc_backup_test_azurite::Azurite;
use arc_backup_test_s3::{Fault, Rule, Verb};
use serde_json::Value;
use stores::{Kind, Place, SECRETS, configure, contents, done, s3_server, storage, target};
use support::{Instance, Service, text};

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
