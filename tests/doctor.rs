//! What doctor and errors report about storages, never with their secrets.
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

/// Guards against an operator who can't see which of twenty settings is wrong.
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
        // The target and the cause come first. The lock is asked for first, but is not the cause.
        let error = made["error"].as_str().unwrap();
        assert!(error.starts_with("target `far`: "), "{error}");
    }
    // Found without a request: exit code 2.
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
    // One missing right.
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

/// The status of the check with this subject and name.
fn status_of(report: &Value, subject: &str, check: &str) -> Value {
    let checks = report["checks"].as_array().unwrap();
    let found = checks
        .iter()
        .find(|found| found["subject"] == subject && found["check"] == check);
    found.unwrap_or_else(|| panic!("no {check} of {subject}: {report}"))["status"].clone()
}

/// Guards against a daily alarm about an intended state, which hides the alarms that matter.
#[test]
fn a_finding_that_prevents_no_backup_is_a_warning() {
    let instance = Instance::new();
    let (code, report) = instance.json(&["doctor"]);
    assert_eq!(code, 0, "{report}");
    instance.configure("[bakcup]\nlisten = \"x\"");
    let mut command = instance.command(&["--json", "doctor"]);
    let output = command.env("ARC_AUTH_ENABLED", "false").output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_eq!(
        (&report["ok"], &report["status"]),
        (&true.into(), &"warn".into())
    );
    for check in ["keys", "tokens"] {
        assert_eq!(
            status_of(&report, "configuration", check),
            "warn",
            "{report}"
        );
    }
    assert_eq!(status_of(&report, "configuration", "file"), "ok");
    let said = text(&instance.run(&["doctor"]));
    assert!(
        said.lines()
            .any(|line| line.starts_with("warn   configuration") && line.contains("[bakcup]")),
        "{said}"
    );
}

/// Guards against the remedy "see `s3_access_key`" for a wrong clock or missing keys.
#[test]
fn remedies_fit_the_fault() {
    let (instance, server) = (Instance::new(), s3_server());
    let live = storage(Kind::Local, &instance, &server, false);
    configure(&instance, &live, &target(Kind::S3, &instance, &server));
    server.fault(Rule::new(Fault::Answer(
        403,
        "RequestTimeTooSkewed",
        "too large",
    )));
    let (code, report) = instance.json(&["doctor"]);
    server.heal();
    let fault = fault_of(&report, "target far");
    let remedy = fault["remedy"].as_str().unwrap();
    assert!(
        code == 1 && remedy.contains("NTP") && !remedy.contains("s3_"),
        "{fault}"
    );

    // No keys, and the service for credentials of this machine refuses.
    let path = instance.path("arc.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let lines = config.lines().filter(|line| !line.contains("_key = "));
    std::fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let metadata = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", metadata.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut client in metadata.incoming().map_while(Result::ok) {
            let _ = std::io::Read::read(&mut client, &mut [0; 4096]);
            let answer =
                b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = std::io::Write::write_all(&mut client, answer);
        }
    });
    let run = |arguments: &[&str]| {
        let mut command = instance.command(arguments);
        for name in ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "ARC_BACKUP_LOG"] {
            command.env_remove(name);
        }
        (command.env("HOME", "/nonexistent"))
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &endpoint)
            .output()
            .unwrap()
    };
    let begun = std::time::Instant::now();
    let failed = text(&run(&["backup", "--target", "far"]));
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    for words in [
        "s3_access_key",
        "s3_secret_key",
        "target `far`: no credentials",
    ] {
        assert!(failed.contains(words), "{failed}");
    }
    assert!(
        !failed.contains("ProviderError") && failed.lines().count() < 4,
        "{failed}"
    );
    let report = run(&["--json", "doctor"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let fault = fault_of(&report, "target far");
    let remedy = fault["remedy"].as_str().unwrap();
    for words in [
        "`backup.targets.far.s3_secret_key`",
        "`ARC_BACKUP_TARGETS_FAR_S3_SECRET_KEY`",
        "AWS_ACCESS_KEY_ID",
    ] {
        assert!(remedy.contains(words), "{remedy}");
    }
}

/// Guards against an unknown host whose error does not name it and `s3_path_style`.
#[test]
fn a_host_with_the_buckets_name_in_front_is_named() {
    let (instance, server) = (Instance::new(), s3_server());
    let live = storage(Kind::Local, &instance, &server, false);
    let mut far = target(Kind::S3, &instance, &server);
    far.config = (far.config)
        .replace(&server.endpoint(), "http://store.invalid:9000")
        .replace("s3_path_style = true\n", "");
    configure(&instance, &live, &far);
    let begun = std::time::Instant::now();
    let (code, failed) = instance.json(&["backup", "--target", "far"]);
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    let error = failed["error"].as_str().unwrap();
    for words in ["`backups.store.invalid`", "`s3_path_style = true`"] {
        assert!(code == 1 && error.contains(words), "{error}");
    }
    // `minio` needs no setting for it.
    let path = instance.path("arc.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("type = \"s3\"", "type = \"minio\"")).unwrap();
    let (code, failed) = instance.json(&["backup", "--target", "far"]);
    let error = failed["error"].as_str().unwrap();
    assert!(code == 1 && error.contains("`store.invalid`"), "{error}");
}

/// Guards against a backup that fills the disk and can't be completed.
#[test]
fn a_backup_without_room_copies_nothing() {
    let instance = Instance::new();
    let id = instance.backup();
    let backups = || {
        let folder = std::fs::read_dir(instance.path("data/backups")).unwrap();
        folder
            .filter(|entry| entry.as_ref().unwrap().file_name() != ".arc-backup")
            .count()
    };
    let before = backups();
    let large = instance.path("data/arc/iot/temperature/large.parquet");
    // A sparse file of eight TiB.
    let file = std::fs::File::create(&large).unwrap();
    file.set_len(8 << 40).unwrap();
    let (code, report) = instance.json(&["doctor"]);
    let fault = fault_of(&report, "target local");
    assert_eq!((code, &fault["check"]), (1, &"room".into()), "{report}");
    assert_eq!(fault["setting"], "backup.local_path", "{fault}");
    let (code, failed) = instance.json(&["backup"]);
    let error = failed["error"].as_str().unwrap();
    for words in [
        "target \"local\": no room",
        "8.00 TiB",
        "free",
        "sweep --apply",
        "--target",
    ] {
        assert!(code == 1 && error.contains(words), "{error}");
    }
    assert_eq!(
        failed["processed_bytes"]
            .as_u64()
            .map(|bytes| bytes < 10 << 20),
        Some(true),
        "{failed}"
    );
    assert_eq!(backups(), before, "something is left");
    std::fs::remove_file(large).unwrap();
    instance.ok(&["verify", &id]);
    instance.backup();
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Guards against secrets in a log, a manifest, an answer or the history.
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
                panic!(
                    "a secret is printed: …{}",
                    &text[at.saturating_sub(300)..at]
                );
            }
        }
    }
}

/// Guards against a container that can't use secrets in files, as orchestrators provide them.
#[test]
fn a_target_of_the_environment_has_its_secret_in_a_file() {
    let (instance, server) = (Instance::new(), s3_server());
    let secret = instance.path("secret");
    std::fs::write(&secret, format!("{}\n", SECRETS[0])).unwrap();
    let mut command = instance.command(&["backup", "--target", "far"]);
    let output = command
        .env("ARC_BACKUP_TARGET_NAMES", "far")
        .env("ARC_BACKUP_TARGETS_FAR_TYPE", "minio")
        .env("ARC_BACKUP_TARGETS_FAR_S3_BUCKET", "backups")
        .env("ARC_BACKUP_TARGETS_FAR_S3_ENDPOINT", server.endpoint())
        .env(
            "ARC_BACKUP_TARGETS_FAR_S3_ACCESS_KEY",
            &server.options().access_key,
        )
        .env("ARC_BACKUP_TARGETS_FAR_S3_SECRET_KEY_FILE", &secret)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let id = String::from_utf8(output.stdout).unwrap();
    let far = Place::s3(&server, "backups", "");
    let manifest = format!("{}/manifest.json", id.trim());
    assert!(contents(&far.sink).contains_key(&manifest), "{manifest}");
}
