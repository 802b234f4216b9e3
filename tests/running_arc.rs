//! Restores over a running Arc: its compaction works on files that the restore replaces.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/fake_arc.rs"]
mod fake_arc;
mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fake_arc::arc;
use serde_json::Value;
use support::{Instance, change_live, text};

const STATE: &str = "data/arc/_compaction_state/daily/iot/job.json";

fn put_state(instance: &Instance) {
    let state = instance.path(STATE);
    std::fs::create_dir_all(state.parent().unwrap()).unwrap();
    let job = r#"{"output_path":"iot/temperature/2026/11/24/o_daily.parquet","output_size":1,"input_files":["iot/temperature/2026/11/24/00/i.parquet"]}"#;
    std::fs::write(state, job).unwrap();
}

fn restore(instance: &Instance, id: &str) -> std::process::Child {
    let mut command = instance.command(&["--json", "restore", id, "--yes"]);
    (command.stdout(Stdio::piped()).stderr(Stdio::piped()))
        .spawn()
        .unwrap()
}

/// Returns when the restore waits for Arc.
fn await_waiting(instance: &Instance, restore: &mut std::process::Child) {
    let begun = Instant::now();
    while instance.json(&["status"]).1["phase"] != "waiting for Arc's compaction" {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it does not wait"
        );
        assert!(restore.try_wait().unwrap().is_none(), "it did not wait");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The live files, without those that a restore has staged for the next.
fn live(instance: &Instance) -> BTreeMap<String, (Vec<u8>, u32, i128)> {
    let mut files = instance.live();
    files.retain(|path, _| !path.contains(".arc-"));
    files
}

/// A restore that times out and changes nothing.
fn cut_off(instance: &Instance, id: &str) {
    let changed = live(instance);
    let mut command = instance.command(&["--json", "restore", id, "--yes"]);
    let output = command.env("ARC_BACKUP_TIMEOUT", "3s").output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let failed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = failed["error"].as_str().unwrap();
    assert!(
        error.contains("backup.timeout") && error.contains("; nothing was changed"),
        "{error}"
    );
    assert!(live(instance) == changed);
}

/// Guards against losing every row of a job that was about to delete its inputs when they were
/// restored.
#[test]
fn a_restore_waits_for_a_job_of_an_arc_that_has_its_database_open() {
    let instance = Instance::new();
    let id = instance.backup();
    let before = instance.live();
    change_live(&instance);
    put_state(&instance);
    // It looks like a running Arc.
    let open = rusqlite::Connection::open(instance.path("data/arc.db")).unwrap();
    let mode: String = (open.query_row("PRAGMA journal_mode", [], |row| row.get(0))).unwrap();
    assert_eq!(mode, "wal");
    let _: i64 = (open.query_row("SELECT count(*) FROM api_tokens", [], |row| row.get(0))).unwrap();
    let changed = instance.live();
    let mut waiting = restore(&instance, &id);
    await_waiting(&instance, &mut waiting);
    assert!(waiting.try_wait().unwrap().is_none(), "it did not wait");
    let now: std::collections::BTreeMap<_, _> = (instance.live().into_iter())
        .filter(|(path, _)| !path.contains(".arc-backup-"))
        .collect();
    assert!(now == changed, "live data was changed under the job");
    // The job ends as Arc ends it, and changes the live files.
    let inputs: Vec<_> = (changed.keys())
        .filter(|path| path.starts_with("iot/") && path.ends_with(".parquet"))
        .take(3)
        .collect();
    assert_eq!(inputs.len(), 3);
    std::fs::write(
        instance.path("data/arc/iot/o_daily.parquet"),
        "rows of three",
    )
    .unwrap();
    for input in inputs {
        std::fs::remove_file(instance.path("data/arc").join(input)).unwrap();
    }
    std::fs::remove_file(instance.path(STATE)).unwrap();
    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    let warnings = done["warnings"].to_string();
    assert!(
        warnings.contains("Arc runs (process") && warnings.contains("backup.arc_url"),
        "{warnings}"
    );
    assert!(instance.live() == before);

    // A job that never ends is not waited for longer than the timeout, and nothing is changed.
    change_live(&instance);
    put_state(&instance);
    cut_off(&instance, &id);
    // Arc has died in the middle of its job: that is what restores are for.
    drop(open);
    let (code, done) = instance.json(&["restore", &id, "--yes"]);
    assert_eq!(code, 0, "{done}");
    assert!(done["warnings"].to_string().contains("job.json"), "{done}");
    assert!(instance.live() == before);
}

/// Guards against losing restored files to a job that has begun to read and has no state yet.
#[test]
fn a_restore_waits_for_the_process_of_a_job() {
    let instance = Instance::new();
    let id = instance.backup();
    let before = instance.live();
    change_live(&instance);
    let open = rusqlite::Connection::open(instance.path("data/arc.db")).unwrap();
    let _: i64 = (open.query_row("SELECT count(*) FROM api_tokens", [], |row| row.get(0))).unwrap();
    // A child of the process that has the database open, `… compact`.
    std::fs::write(instance.path("compact"), "read line").unwrap();
    let mut job = (std::process::Command::new("sh").arg("compact"))
        .current_dir(instance.path(""))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut waiting = restore(&instance, &id);
    await_waiting(&instance, &mut waiting);
    job.stdin.take().unwrap().write_all(b"\n").unwrap();
    job.wait().unwrap();
    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(instance.live() == before);
}

/// Guards against losing restored files to a job that only Arc knows of.
#[test]
fn a_restore_waits_until_arc_says_that_it_does_not_compact() {
    let busy = Arc::new(AtomicBool::new(true));
    let is_busy = busy.clone();
    // Records, for each query, whether a live file that the backup lacks still exists.
    let instance = Instance::new();
    let extra = instance.path("data/arc/iot/extra.parquet");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sees = (seen.clone(), extra.clone());
    let (url, asked) = arc(move |_| {
        sees.0.lock().unwrap().push(sees.1.exists());
        let busy = is_busy.load(Ordering::SeqCst);
        (
            200,
            format!("{{\"cycle_running\":{busy},\"total_jobs_completed\":7}}"),
        )
    });
    instance.configure(&format!("arc_url = \"{url}\""));
    let id = instance.backup();
    let before = instance.live();
    change_live(&instance);
    std::fs::write(&extra, "rows").unwrap();
    let mut waiting = restore(&instance, &id);
    let begun = Instant::now();
    while asked.load(Ordering::SeqCst) < 3 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "Arc is not asked"
        );
        assert!(waiting.try_wait().unwrap().is_none(), "it did not wait");
        std::thread::sleep(Duration::from_millis(20));
    }
    busy.store(false, Ordering::SeqCst);
    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(instance.live() == before);
    let seen = seen.lock().unwrap();
    assert!(
        seen.first() == Some(&true) && seen.last() == Some(&false),
        "not asked again after the last change: {seen:?}"
    );
}

/// Guards against a restore with a plan that compaction has made obsolete, and against one that
/// plans again for ever.
#[test]
fn a_restore_changes_nothing_where_arc_compacts_after_each_plan() {
    let (url, _) = arc(|count| {
        (
            200,
            format!("{{\"cycle_running\":false,\"total_jobs_completed\":{count}}}"),
        )
    });
    let instance = Instance::new();
    instance.configure(&format!("arc_url = \"{url}\""));
    let id = instance.backup();
    change_live(&instance);
    let changed = live(&instance);
    let (code, failed) = instance.json(&["restore", &id, "--yes"]);
    assert_eq!(code, 1, "{failed}");
    let error = failed["error"].as_str().unwrap();
    assert!(
        error.contains("each of 4 times (Arc has compacted")
            && error.contains("; nothing was changed"),
        "{error}"
    );
    assert!(live(&instance) == changed);
}

/// Guards against a wrong token that nobody notices, while the state of Arc is unknown.
#[test]
fn an_arc_with_an_unknown_state_is_reported() {
    for (status, body, named) in [
        (401, "", "backup.arc_token"),
        (200, "garbage", "unexpected answer"),
    ] {
        let (url, _) = arc(move |_| (status, body.to_owned()));
        let instance = Instance::new();
        instance.configure(&format!("arc_url = \"{url}\""));
        let id = instance.backup();
        let (code, done) = instance.json(&["restore", &id, "--yes"]);
        assert_eq!(code, 0, "{done}");
        let warnings = done["warnings"].to_string();
        assert!(
            warnings.contains("Arc runs") && warnings.contains(named),
            "{warnings}"
        );
    }
}

/// Guards against changing live data after a cancel that came during the last query of Arc.
#[test]
fn a_restore_that_is_cancelled_while_it_asks_changes_nothing() {
    let (url, asked) = arc(|count| {
        if count > 1 {
            std::thread::sleep(Duration::from_secs(8));
        }
        (200, "{\"cycle_running\":false}".to_owned())
    });
    let instance = Instance::new();
    instance.configure(&format!("arc_url = \"{url}\""));
    let id = instance.backup();
    change_live(&instance);
    cut_off(&instance, &id);
    assert!(asked.load(Ordering::SeqCst) > 1, "it was cut off too early");
}

/// Guards against a restore that waits for a job which nobody will finish after a crash of Arc.
#[test]
fn nobody_waits_for_a_dead_job_when_arc_is_idle_or_does_not_compact() {
    for (status, body) in [(200, "{\"cycle_running\":false}"), (404, "")] {
        let (url, _) = arc(move |_| (status, body.to_owned()));
        let instance = Instance::new();
        instance.configure(&format!("arc_url = \"{url}\""));
        let id = instance.backup();
        let before = instance.live();
        change_live(&instance);
        put_state(&instance);
        let (code, done) = instance.json(&["restore", &id, "--yes"]);
        assert_eq!(code, 0, "{done}");
        assert!(done["warnings"].to_string().contains("job.json"), "{done}");
        assert!(instance.live() == before);
    }
}
