//! Verifications beside backups and deletions on local disk, by several processes: what runs, what
//! waits, and what is left when one dies at any call.
//!
//! Without arguments every fifth call; every one: `cargo test --test readers -- --ignored`.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/faults/mod.rs"]
mod faults;
#[path = "support/scene.rs"]
mod scene;
mod support;

use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use faults::{CALLS, CHILD, FAULT, faulty};
use libtest_mimic::{Arguments, Trial};
use scene::{all_verify, copy, leftovers, listed, small};
use serde_json::Value;
use support::{Instance, named_like, text};

fn main() -> ExitCode {
    if let Some(code) = faults::child() {
        return code;
    }
    let trial = |name: &str, work: fn()| {
        Trial::test(name, move || {
            work();
            Ok(())
        })
    };
    let trials = vec![
        trial("a_backup_runs_beside_a_verification", beside),
        trial("a_deletion_is_busy_and_waits", a_deletion_waits),
        trial("a_killed_reader_keeps_nothing_out", a_killed_reader),
        trial("a_crash_is_of_one_operation_only", one_of_two_crashes),
        trial("cancel_takes_the_one_that_is_named", cancel_by_id),
        trial("death_in_a_verification", || at_each_call(5)),
        trial("death_at_every_call_of_a_verification", || at_each_call(1)).with_ignored_flag(true),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A command that stops at its first read of a data file of a backup, for that many milliseconds.
fn paused(instance: &Instance, id: &str, millis: u32, arguments: &[&str]) -> Child {
    let (_, trace) = faulty(&copy(instance), "delay:1:0", "target.get", &["verify", id]);
    let is_data = |call: &&String| call.contains(&format!("{id}/data/"));
    let first = trace.iter().position(|call| is_data(&call)).unwrap() + 1;
    Command::new(std::env::current_exe().unwrap())
        .env(CHILD, "1")
        .env(FAULT, format!("delay:{millis}:{first}"))
        .env(CALLS, "target.get")
        .arg("-C")
        .arg(instance.path(""))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A verification that stops at its first read of a data file, once it has begun, with its id.
fn paused_verification(instance: &Instance, id: &str, millis: u32) -> (Child, String) {
    let child = paused(instance, id, millis, &["--json", "verify", id]);
    let pid = child.id();
    let operation_id = until("it begins", || {
        let running = instance.path("data/backups/.arc-backup/running");
        let files = std::fs::read_dir(running).ok()?;
        files.flatten().find_map(|file| {
            let holder = std::fs::read(file.path()).ok()?;
            let holder: Value = serde_json::from_slice(&holder).ok()?;
            let is_of = holder["pid"] == pid;
            is_of.then(|| holder["operation_id"].as_str().unwrap().to_owned())
        })
    });
    until("it is recorded", || {
        entry(instance, &operation_id).filter(|entry| entry["status"] == "running")
    });
    (child, operation_id)
}

/// Waits for something that happens soon.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let ends = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < ends, "it never came that {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The entry of an operation in the history.
fn entry(instance: &Instance, operation_id: &str) -> Option<Value> {
    let (_, history) = instance.json(&["history"]);
    let all = history["operations"].as_array().unwrap().clone();
    all.into_iter()
        .find(|one| one["operation_id"] == operation_id)
}

fn status_of(instance: &Instance, operation_id: &str) -> (Value, Value) {
    let entry = entry(instance, operation_id).unwrap();
    (entry["status"].clone(), entry["error"].clone())
}

/// Leases and slots of readers that are left.
fn left(instance: &Instance) -> Vec<String> {
    let own = instance.path("data/backups/.arc-backup");
    let mut left = named_like(&own, &["readers"]);
    left.extend(support::files(&own.join("running")));
    left
}

/// Guards against a backup that waits for a verification, and against one that removes the scratch
/// files of the other, or marks it as crashed.
fn beside() {
    let instance = small();
    let first = instance.backup();
    let (child, operation_id) = paused_verification(&instance, &first, 5_000);
    let second = instance.backup();
    let (_, status) = instance.json(&["status"]);
    assert_eq!(
        (&status["operation_id"], &status["status"]),
        (&operation_id.as_str().into(), &"running".into()),
        "{status}"
    );
    instance.ok(&["verify", &first]);
    instance.ok(&["verify", &second]);
    let verified = child.wait_with_output().unwrap();
    assert!(verified.status.success(), "{}", text(&verified));
    let (state, _) = status_of(&instance, &operation_id);
    assert_eq!(state, "completed");
    let (_, list) = instance.json(&["list"]);
    for row in list["backups"].as_array().unwrap() {
        assert_eq!(row["last_verified"]["ok"], true, "{row}");
    }
    assert_eq!(left(&instance), Vec::<String>::new());
    assert_eq!(leftovers(&instance, false, "beside"), Vec::<String>::new());
}

/// Guards against a deletion that takes files from under a verification, and against one that does
/// not say for whom it waits.
fn a_deletion_waits() {
    let instance = small();
    let (first, second) = (instance.backup(), instance.backup());
    let (child, operation_id) = paused_verification(&instance, &first, 4_000);
    for arguments in [&["delete", &*second, "--yes"][..], &["sweep", "--apply"]] {
        let busy = instance.run(arguments);
        let said = text(&busy);
        assert_eq!(busy.status.code(), Some(3), "{arguments:?}: {said}");
        for part in ["verify", &*operation_id, "since", "--wait"] {
            assert!(said.contains(part), "{arguments:?}: {said}");
        }
    }
    let waited = instance.run(&["delete", &first, "--yes", "--wait", "30s"]);
    assert!(waited.status.success(), "{}", text(&waited));
    assert!(
        text(&waited).contains("waiting for verify"),
        "{}",
        text(&waited)
    );
    let verified = child.wait_with_output().unwrap();
    assert!(verified.status.success(), "{}", text(&verified));
    assert_eq!(listed(&instance, "after"), [second]);
    assert_eq!(left(&instance), Vec::<String>::new());
    // A refused deletion is not an attempt.
    let (_, history) = instance.json(&["history", "--operation", "delete"]);
    assert_eq!(history["count"], 1, "{history}");
}

/// Guards against a lease that outlives its process.
fn a_killed_reader() {
    let instance = small();
    let (first, second) = (instance.backup(), instance.backup());
    let (mut child, operation_id) = paused_verification(&instance, &first, 60_000);
    let busy = instance.run(&["delete", &first, "--yes"]);
    assert_eq!(busy.status.code(), Some(3), "{}", text(&busy));
    child.kill().unwrap();
    child.wait().unwrap();
    instance.ok(&["delete", &first, "--yes"]);
    let (state, error) = status_of(&instance, &operation_id);
    assert_eq!((state, error), ("failed".into(), "interrupted".into()));
    assert_eq!(all_verify(&instance, "after"), [second]);
    assert_eq!(left(&instance), Vec::<String>::new());
    assert_eq!(leftovers(&instance, false, "after"), Vec::<String>::new());
}

/// Guards against a history that takes a running operation for crashed because another one did.
fn one_of_two_crashes() {
    let instance = small();
    let id = instance.backup();
    let (mut first, first_id) = paused_verification(&instance, &id, 60_000);
    let (second, second_id) = paused_verification(&instance, &id, 5_000);
    first.kill().unwrap();
    first.wait().unwrap();
    // Both who only looks and who begins an operation find out.
    let (state, _) = status_of(&instance, &first_id);
    assert_eq!(state, "failed");
    instance.backup();
    let (state, _) = status_of(&instance, &second_id);
    assert_eq!(state, "running");
    let verified = second.wait_with_output().unwrap();
    assert!(verified.status.success(), "{}", text(&verified));
    let (state, error) = status_of(&instance, &second_id);
    assert_eq!((state, error), ("completed".into(), Value::Null));
    // The next deleter removes the lease of the dead one.
    instance.ok(&["sweep", "--apply"]);
    assert_eq!(left(&instance), Vec::<String>::new());
}

/// Guards against a cancel that ends another operation than the one that was meant.
fn cancel_by_id() {
    let instance = small();
    let id = instance.backup();
    let (first, first_id) = paused_verification(&instance, &id, 60_000);
    let (second, second_id) = paused_verification(&instance, &id, 60_000);
    let (_, status) = instance.json(&["status"]);
    assert_eq!(status["operation_id"], second_id.as_str(), "{status}");
    let also = serde_json::json!([{"operation": "verify", "operation_id": first_id}]);
    assert_eq!(status["also_running"], also, "{status}");
    assert!(
        instance
            .ok(&["status"])
            .contains(&format!("also running: verify {first_id}"))
    );
    let unclear = instance.run(&["cancel"]);
    let said = text(&unclear);
    assert_eq!(unclear.status.code(), Some(2), "{said}");
    assert!(
        said.contains(&first_id) && said.contains(&second_id),
        "{said}"
    );
    let none = instance.run(&["cancel", "20200101-000000-00000000"]);
    assert_eq!(none.status.code(), Some(1), "{}", text(&none));
    instance.ok(&["cancel", &first_id]);
    assert_eq!(status_of(&instance, &second_id).0, "running");
    assert_eq!(status_of(&instance, &first_id).0, "cancelled");
    // The only one that is left.
    instance.ok(&["cancel"]);
    assert_eq!(status_of(&instance, &second_id).0, "cancelled");
    for child in [first, second] {
        let ended = child.wait_with_output().unwrap();
        assert!(text(&ended).contains("cancelled by"), "{}", text(&ended));
    }
    assert_eq!(left(&instance), Vec::<String>::new());
}

/// Guards against a death or an error that leaves a lease which keeps deletions out, or a
/// verification that stays in the history as running.
fn at_each_call(every: usize) {
    let original = small();
    let (kept, victim) = (original.backup(), original.backup());
    let verify = ["--json", "verify", &*victim];
    let (whole, trace) = faulty(&copy(&original), "delay:1:0", "target.", &verify);
    assert!(whole.status.success(), "{}", text(&whole));
    let has = |part: &str| trace.iter().any(|call| call.contains(part));
    for part in [
        "target.lock\t",
        "target.release",
        ".arc-backup/readers",
        "notes.lock",
    ] {
        assert!(has(part), "no call {part:?}: {trace:#?}");
    }
    let (mut runs, mut deaths) = (0, 0);
    for number in (1..=trace.len()).filter(|number| number % every == 0) {
        for kind in ["die:before", "die:after", "error", "error-after"] {
            let instance = copy(&original);
            let fault = format!("{kind}:{number}");
            let case = format!("{fault}: {}", trace[number - 1]);
            let (ended, _) = faulty(&instance, &fault, "target.", &verify);
            let is_death = kind.starts_with("die");
            let has_died = ended.status.code().is_none();
            // A later run may make fewer calls: then it succeeds.
            assert!(
                is_death == has_died || ended.status.success(),
                "{case}: {}",
                text(&ended)
            );
            deaths += usize::from(has_died);
            let (_, history) = instance.json(&["history", "--operation", "verify"]);
            for one in history["operations"].as_array().unwrap() {
                assert_ne!(one["status"], "running", "{case}: {one}");
            }
            let deleted = instance.run(&["delete", &victim, "--yes"]);
            assert!(deleted.status.success(), "{case}: {}", text(&deleted));
            assert_eq!(all_verify(&instance, &case), [kept.as_str()], "{case}");
            assert_eq!(left(&instance), Vec::<String>::new(), "{case}");
            let left = leftovers(&instance, false, &case);
            assert_eq!(left, Vec::<String>::new(), "{case}");
            runs += 1;
        }
    }
    println!("{runs} runs over {} calls, {deaths} deaths", trace.len());
    // Half of the runs are to die.
    assert!(deaths > runs / 3, "{deaths} deaths in {runs} runs");
}
