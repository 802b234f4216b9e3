//! Every operation leaves an entry in the history: one that fails early, one that is cancelled from
//! elsewhere, one whose process died, and one that waits for another.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/stores.rs"]
mod stores;
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use arc_backup_core::{Key, LockOutcome};
use arc_backup_test_s3::{Fault, Rule, S3Server, ServerOptions, Verb, When};
use serde_json::{Value, json};
use stores::{Place, SECRETS, configure, runtime};
use support::{Instance, Service, UNKNOWN, text};

fn server(latency: u64) -> S3Server {
    S3Server::start(ServerOptions {
        buckets: vec!["data".to_owned(), "backups".to_owned()],
        secret_key: SECRETS[0].to_owned(),
        latency: Duration::from_millis(latency),
        ..ServerOptions::default()
    })
    .unwrap()
}

/// Backs up to a bucket of `server` by default, one file at a time.
fn far(server: &S3Server, settings: &str) -> Instance {
    let instance = Instance::new();
    std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
    instance.configure(&format!(
        "default_target = \"far\"\nconcurrency = 1\n{settings}"
    ));
    let storage = Place::local(&instance, "data/arc");
    configure(
        &instance,
        &storage,
        &Place::s3(server, "backups", "of/arc-1"),
    );
    instance
}

fn replace(instance: &Instance, from: &str, to: &str) {
    let path = instance.path("arc.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    assert!(config.contains(from), "{from}");
    std::fs::write(path, config.replace(from, to)).unwrap();
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

fn history(instance: &Instance) -> Vec<Value> {
    let (code, history) = instance.json(&["history"]);
    assert_eq!(code, 0, "{history}");
    history["operations"].as_array().unwrap().clone()
}

/// A slow backup that has begun to copy.
fn slow_backup(instance: &Instance, server: &S3Server) -> Child {
    server.reset_counts();
    let child = (instance.command(&["backup"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("it copies", || server.count(Verb::PutObject) > 10);
    child
}

fn said(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), text(&output))
}

/// Guards against failed nights after which the newest entry is still a success.
#[test]
fn an_early_failure_has_a_history_entry_and_a_refusal_has_none() {
    let server = server(0);
    let instance = far(&server, "");
    let id = instance.backup();
    let mut entries = 1;
    let failed = |output: Output, named: &str, entries: usize| {
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains(named), "{named}: {}", text(&output));
        let all = history(&instance);
        assert_eq!(all.len(), entries, "{named}");
        let newest = &all[0];
        assert_eq!(newest["status"], "failed", "{newest}");
        assert_eq!(newest["target"], "far", "{newest}");
        assert_eq!(newest["origin"], "cli", "{newest}");
        let error = newest["error"].as_str().unwrap();
        assert!(error.contains(named), "{named}: {newest}");
        assert!(newest["started_at"].is_string() && newest["completed_at"].is_string());
        let (_, status) = instance.json(&["status"]);
        assert_eq!(status["operation_id"], newest["operation_id"]);
        newest["backup_id"].as_str().unwrap().to_owned()
    };
    // A missing bucket, a wrong key, and an unreachable store.
    let endpoint = server.endpoint();
    for (from, to, named) in [
        ("s3_bucket = \"backups\"", "s3_bucket = \"none\"", "bucket"),
        (SECRETS[0], "another-key", "secret key"),
        (&*endpoint, "http://127.0.0.1:1", "backup.timeout"),
    ] {
        replace(&instance, from, to);
        let output = (instance.command(&["backup"]))
            .env("ARC_BACKUP_TIMEOUT", "2s")
            .output();
        entries += 1;
        let made = failed(output.unwrap(), named, entries);
        assert!(made.starts_with("backup-") && made != id, "{made}");
        replace(&instance, to, from);
    }
    // A restore looks for its backup before it asks for confirmation.
    replace(&instance, SECRETS[0], "another-key");
    let restore = ["restore", &id, "--yes", "--target", "far"];
    entries += 1;
    assert_eq!(failed(instance.run(&restore), "secret key", entries), id);
    replace(&instance, "another-key", SECRETS[0]);
    // Commands that answer without an attempt.
    for (arguments, code) in [
        (&["restore", UNKNOWN, "--yes"][..], 1),
        (&["verify", UNKNOWN], 1),
        (&["delete", UNKNOWN, "--yes"], 1),
        (&["backup", "--target", "nowhere"], 2),
        (&["verify", "no-id"], 2),
    ] {
        let output = instance.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert_eq!(history(&instance).len(), entries, "{arguments:?}");
    }
}

/// Guards against a status of `idle`, or of an earlier success, after a failed attempt over REST.
#[test]
fn over_rest_a_failed_attempt_is_an_error_and_a_history_entry() {
    let server = server(0);
    let instance = far(&server, "");
    replace(&instance, SECRETS[0], "another-key");
    let service = instance.serve();
    let refused = service.post("/api/v1/backup", "");
    assert!(refused.status >= 500, "{refused:?}");
    let status = service.get("/api/v1/backup/status").json();
    assert_eq!(status["status"], "failed", "{status}");
    assert_eq!(status["error"], refused.json()["error"]);
    assert_eq!(status["origin"], "rest");
    let path = format!(
        "/api/v1/backup/operations/{}",
        status["operation_id"].as_str().unwrap()
    );
    assert_eq!(service.get(&path).json()["status"], "failed");
    let unknown = json!({"backup_id": UNKNOWN, "target": "local", "confirm": true}).to_string();
    assert_eq!(service.post("/api/v1/backup/restore", &unknown).status, 404);
    assert_eq!(service.get("/api/v1/backup/status").json(), status);
}

/// Guards against a command without an entry that was ended while it waited for a lock.
#[test]
fn a_signal_before_the_operation_runs_has_a_history_entry() {
    let server = server(0);
    let instance = far(&server, "");
    server.fault(Rule::new(Fault::Hang).when(When::Always));
    let child = (instance.command(&["backup"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("it asks", || server.counts().values().sum::<u64>() > 0);
    signal(&child, "TERM");
    let (code, said) = said(child);
    assert_eq!(code, Some(130), "{said}");
    let all = history(&instance);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0]["status"], "cancelled", "{}", all[0]);
    assert_eq!(all[0]["error"], "ended by SIGTERM");
}

/// Guards against a killed restore that every command shows as running for more than a minute.
#[test]
fn a_killed_restore_from_s3_blocks_nobody() {
    let server = server(10);
    let instance = far(&server, "");
    let id = instance.backup();
    let other = instance.backup();
    let kill_one = || {
        // The folder holds files that an earlier restore staged.
        let _ = std::fs::remove_dir_all(instance.path("data/arc/iot"));
        server.reset_counts();
        let mut child = (instance.command(&["restore", &id, "--yes", "--no-metadata"]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("it reads", || server.count(Verb::GetObject) > 10);
        child.kill().unwrap();
        child.wait().unwrap();
    };
    let restore = ["restore", &*id, "--yes", "--no-metadata"];
    let (delete, verify) = (["delete", &*other, "--yes"], ["verify", "--quick", &*id]);
    for arguments in [
        &["backup"][..],
        &verify,
        &delete,
        &["sweep", "--apply"],
        &["doctor"],
        &restore,
    ] {
        kill_one();
        let newest = history(&instance).swap_remove(0);
        assert_eq!(newest["status"], "failed", "{arguments:?}: {newest}");
        let error = newest["error"].as_str().unwrap();
        assert!(error.starts_with("interrupted"), "{newest}");
        let begun = Instant::now();
        let output = instance.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(20), "{arguments:?}: {took:?}");
    }
    let service = instance.serve();
    kill_one();
    let status = service.get("/api/v1/backup/status").json();
    assert_eq!(status["status"], "failed", "{status}");
    let accepted = service.post(&format!("/api/v1/backup/{id}/verify"), "");
    assert_eq!(accepted.status, 202, "{accepted:?}");
    assert_eq!(service.wait()["status"], "completed");
}

/// Guards against a "busy" that does not say since when and for how long.
#[test]
fn the_lock_of_a_host_that_is_elsewhere_says_when_it_is_free() {
    let server = server(0);
    let instance = far(&server, "");
    let place = Place::s3(&server, "backups", "of/arc-1");
    let holder = json!({
        "operation": "restore", "operation_id": "20260211-143022-5f0c1d2e", "pid": 4711, "host": "elsewhere",
        "started_at": "2026-02-11T14:30:22Z",
        "process": {"boot_id": "another", "pid_namespace": "pid:[1]", "start_ticks": 1},
    })
    .to_string();
    let key = Key::parse(".arc-backup/lock").unwrap();
    let outcome = runtime().block_on(place.sink.lock(&key, &holder)).unwrap();
    let LockOutcome::Held(guard) = outcome else {
        panic!("{outcome:?}");
    };
    let output = instance.run(&["backup"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    for part in [
        "restore 20260211-143022-5f0c1d2e of process 4711 on elsewhere, since 2026-02-11T14:30:22Z (",
        "if that process is dead, its lock is free by ",
    ] {
        assert!(text(&output).contains(part), "{part}: {}", text(&output));
    }
    assert_eq!(history(&instance), Vec::<Value>::new());
    let service = instance.serve();
    let busy = service.post("/api/v1/backup", "");
    assert_eq!(busy.status, 409, "{busy:?}");
    let busy = busy.json();
    assert_eq!(busy["host"], "elsewhere");
    assert_eq!(busy["started_at"], "2026-02-11T14:30:22Z");
    let expires: jiff::Timestamp = busy["lock_expires_at"].as_str().unwrap().parse().unwrap();
    let left = expires.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((60..=90).contains(&left), "{left}");
    // It belongs to another host, so no cancel reaches it.
    let (code, answer) = instance.json(&["cancel"]);
    assert_eq!(
        (code, &answer["error"]),
        (1, &"no operation is running".into())
    );
    runtime().block_on(guard.release()).unwrap();
}

/// Guards against a backup that a late one prevents, and a command that nobody can cancel.
#[test]
fn a_command_waits_for_another_and_another_can_be_cancelled() {
    let server = server(50);
    let instance = far(&server, "");
    let service = instance.serve();
    let holder = slow_backup(&instance, &server);
    let pid = holder.id().to_string();
    // "Busy" reports the progress, which the history records every second.
    wait_for("its progress is known", || {
        service.get("/api/v1/backup/status").json()["phase"] == "copying"
    });
    let busy = instance.run(&["backup"]);
    assert_eq!(busy.status.code(), Some(3), "{}", text(&busy));
    for part in [&*pid, ", since 20", "s ago), ", " files, ", "%)"] {
        assert!(text(&busy).contains(part), "{part}: {}", text(&busy));
    }
    let busy = service.post("/api/v1/backup", "");
    assert_eq!(busy.status, 409);
    let busy = busy.json();
    assert_eq!(busy["phase"], "copying", "{busy}");
    assert!(busy["started_at"].is_string() && busy.get("lock_expires_at").is_none());
    assert!(busy["processed_files"].as_u64() <= busy["total_files"].as_u64());
    assert!(busy["total_bytes"].as_u64() > Some(0), "{busy}");
    // A wait that is too short still ends as busy.
    let begun = Instant::now();
    let waited = instance.run(&["backup", "--wait", "1s"]);
    assert_eq!(waited.status.code(), Some(3), "{}", text(&waited));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let lines = text(&waited).matches("waiting for backup ").count();
    assert_eq!(lines, 1, "{}", text(&waited));
    let waits = || {
        let mut child = (instance.command(&["backup", "--wait", "1h"]))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        lines.read_line(&mut line).unwrap();
        assert!(line.starts_with("waiting for backup "), "{line}");
        (child, lines)
    };
    let (mut ended, _lines) = waits();
    signal(&ended, "TERM");
    assert_eq!(ended.wait().unwrap().code(), Some(130));
    let (mut next, _lines) = waits();
    // Cancelled by a command.
    let cancelled = instance.run(&["cancel"]);
    let answer = text(&cancelled);
    assert_eq!(cancelled.status.code(), Some(0), "{answer}");
    assert!(answer.contains("cancelled: cancelled by "), "{answer}");
    let (code, said) = said(holder);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cancelled by "), "{said}");
    assert_eq!(next.wait().unwrap().code(), Some(0));
    let statuses: Vec<_> = (history(&instance).iter())
        .map(|entry| entry["status"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(statuses, ["completed", "cancelled"]);
    // Cancelled by the service, which runs no operation itself.
    let holder = slow_backup(&instance, &server);
    let accepted = service.post("/api/v1/backup/cancel", "");
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let (code, said) = self::said(holder);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cancelled by admin"), "{said}");
    assert_eq!(service.post("/api/v1/backup/cancel", "").status, 409);
    // The request file is gone.
    let state = std::fs::read_dir(instance.path("data/backups/.arc-backup")).unwrap();
    let names: Vec<_> = state.map(|file| file.unwrap().file_name()).collect();
    let has_request = |name: &std::ffi::OsString| name.to_string_lossy().starts_with("cancel-");
    assert!(!names.iter().any(has_request), "{names:?}");
}

/// Guards against a cancel that looks successful when the state folder can't be written.
#[test]
fn a_cancel_that_can_not_be_written_says_so() {
    let server = server(50);
    let instance = far(&server, "");
    let mut holder = slow_backup(&instance, &server);
    let (_, status) = instance.json(&["status"]);
    let in_the_way = format!(
        "data/backups/.arc-backup/cancel-{}.tmp",
        status["operation_id"].as_str().unwrap()
    );
    std::fs::create_dir(instance.path(&in_the_way)).unwrap();
    let (code, answer) = instance.json(&["cancel"]);
    let error = answer["error"].as_str().unwrap();
    assert_eq!(code, 1, "{answer}");
    assert!(error.contains("write the request to cancel"), "{error}");
    assert!(error.contains(&holder.id().to_string()), "{error}");
    signal(&holder, "TERM");
    assert_eq!(holder.wait().unwrap().code(), Some(130));
}

/// Runs the service with its log in a file.
fn logged(instance: &Instance, format: &str) -> Service {
    let log = instance.path("log");
    instance.serve_with(|serve| {
        let mut command = Command::new("sh");
        command
            .args(["-c", "log=$1; shift; exec \"$@\" 2>\"$log\"", "sh"])
            .arg(log)
            .arg(serve.get_program())
            .args(serve.get_args())
            .env("ARC_BACKUP_LOG_FORMAT", format)
            .stdin(Stdio::null());
        *serve = command;
        serve
    })
}

/// Guards against a service that works without a line in its log.
#[test]
fn the_service_logs_what_it_does_and_who_asked_for_it() {
    let server = server(20);
    let instance = far(&server, "");
    let service = logged(&instance, "json");
    let operation_id = |path: &str| {
        let accepted = service.post(path, "");
        assert_eq!(accepted.status, 202, "{accepted:?}");
        accepted.json()["operation_id"].as_str().unwrap().to_owned()
    };
    let made = operation_id("/api/v1/backup");
    let ended = service.wait();
    assert_eq!(ended["status"], "completed", "{ended}");
    let cancelled = operation_id("/api/v1/backup");
    let (code, done) = instance.json(&["cancel"]);
    assert_eq!((code, &done["status"]), (0, &"cancelled".into()), "{done}");
    assert_eq!(done["operation_id"], *cancelled);
    server.fault(Rule::new(Fault::Deny).verb(Verb::PutObject));
    assert!(service.post("/api/v1/backup", "").status >= 500);
    let failed = service.wait();
    let log = std::fs::read_to_string(instance.path("log")).unwrap();
    for secret in SECRETS.iter().chain([&support::ADMIN]) {
        assert!(!log.contains(secret), "{log}");
    }
    assert!(!log.contains("not a known key"), "{log}");
    let lines: Vec<Value> = (log.lines())
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .filter(|line: &Value| line["target"] == "arc_backup::audit")
        .collect();
    let of = |id: &str| -> Vec<&Value> {
        let of = lines
            .iter()
            .filter(|line| line["fields"]["operation_id"] == *id);
        of.collect()
    };
    let [started, completed] = of(&made)[..] else {
        panic!("{log}");
    };
    assert_eq!(
        (&started["level"], &completed["level"]),
        (&"INFO".into(), &"INFO".into())
    );
    for line in [started, completed] {
        let fields = &line["fields"];
        assert_eq!(fields["operation"], "backup");
        assert_eq!(fields["backup_id"], ended["backup_id"]);
        assert_eq!(fields["target"], "far");
        assert_eq!(
            (&fields["actor"], &fields["origin"]),
            (&"admin".into(), &"rest".into())
        );
    }
    let fields = &completed["fields"];
    assert_eq!(fields["status"], "completed");
    assert_eq!(fields["files"], ended["processed_files"]);
    assert_eq!(fields["bytes"], ended["processed_bytes"]);
    assert!(fields["duration_seconds"].as_f64() > Some(0.0), "{fields}");
    assert!(fields["bytes_per_second"].as_u64() > Some(0), "{fields}");
    assert_eq!(fields["problems"], 0);
    let [_, asked, ended] = of(&cancelled)[..] else {
        panic!("{log}");
    };
    assert_eq!(asked["fields"]["message"], "cancel requested");
    assert_eq!(asked["fields"]["origin"], "cli");
    assert_eq!(
        (&ended["level"], &ended["fields"]["status"]),
        (&"WARN".into(), &"cancelled".into())
    );
    let of_failed = of(failed["operation_id"].as_str().unwrap());
    let fields = &of_failed.last().unwrap()["fields"];
    assert_eq!(of_failed.last().unwrap()["level"], "ERROR");
    assert_eq!(fields["error"], failed["error"], "{fields}");
}

/// Guards against printed results that are logged, too, and unknown log formats.
#[test]
fn a_command_logs_no_audit_trail_and_knows_its_formats() {
    let instance = Instance::new();
    let output = instance.run(&["backup"]);
    assert!(output.status.success() && !text(&output).contains("operation started"));
    let with = |name: &str, value: &str| {
        let mut command = instance.command(&["backup"]);
        command.env(name, value).output().unwrap()
    };
    let output = with("ARC_BACKUP_LOG", "info");
    assert!(
        text(&output).contains("operation completed operation=\"backup\""),
        "{}",
        text(&output)
    );
    let output = with("ARC_BACKUP_LOG_FORMAT", "xml");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&output).contains("must be `text` or `json`"),
        "{}",
        text(&output)
    );
}
