//! Death and error at every call of a sink or source: nothing is lost, no partial backup is listed,
//! and no leftovers stay.
//!
//! Without arguments every k-th call; every one:
//! `cargo test --release --test deaths -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/faults/mod.rs"]
mod faults;
#[path = "support/referring.rs"]
mod referring;
#[path = "support/scene.rs"]
mod scene;
mod support;
#[path = "support/verdict.rs"]
mod verdict;

use std::os::unix::process::ExitStatusExt;
use std::process::ExitCode;
use std::time::Duration;

use arc_backup_local::{LocalConfig, LocalSink};
use faults::faulty;
use libtest_mimic::{Arguments, Trial};
use scene::{Live, all_verify, copy, leftovers, listed, live, small};
use support::{Instance, change_live, files, text, tree};
use verdict::{Operation, at, failed_well, message};

/// How many calls of each operation a short run covers, for each of the four faults.
const SHORT: usize = 4;

fn main() -> ExitCode {
    if let Some(code) = faults::child() {
        return code;
    }
    let mut trials = vec![Trial::test("a_deletion_works_on_a_full_disk", || {
        a_deletion_works_on_a_full_disk();
        Ok(())
    })];
    let plain = |name: &str, test: fn(usize), limit: usize, is_long: bool| {
        Trial::test(name, move || {
            test(limit);
            Ok(())
        })
        .with_ignored_flag(is_long)
    };
    for (limit, is_long, every) in [(SHORT, false, ""), (usize::MAX, true, "_at_every_call")] {
        let name = format!("a_bit_that_a_disk_flips_is_found{every}");
        trials.push(plain(
            &name,
            a_bit_that_a_disk_flips_is_found,
            limit,
            is_long,
        ));
        let name = format!("a_slow_call_fails_no_operation{every}");
        trials.push(plain(&name, a_slow_call_fails_no_operation, limit, is_long));
    }
    for (name, operation) in [
        ("backup", Operation::Backup),
        ("incremental_backup", Operation::Incremental),
        ("restore", Operation::Restore),
        ("delete", Operation::Delete),
        ("delete_of_a_base", Operation::DeleteBase),
        ("sweep", Operation::Sweep),
    ] {
        let trial = |kind: &str, limit: usize, concurrent: bool, faults: [&'static str; 2]| {
            Trial::test(format!("{kind}_{name}"), move || {
                each_call(operation, limit, concurrent, faults);
                Ok(())
            })
        };
        let bytes = match operation {
            // A bit that is flipped before it is hashed counts as a bit of the file.
            Operation::Backup | Operation::Incremental => Some(["short-read", "short-write"]),
            Operation::Restore => Some(["short-read", "flip-read"]),
            Operation::Delete | Operation::DeleteBase | Operation::Sweep => None,
        };
        let full = match operation {
            // For one call, and for all later calls.
            Operation::Backup | Operation::Incremental | Operation::Restore => {
                Some(["no-space", "no-space+"])
            }
            Operation::Delete | Operation::DeleteBase | Operation::Sweep => None,
        };
        let (deaths, errors) = (["die:before", "die:after"], ["error", "error-after"]);
        trials.push(trial("death_in_a", SHORT, false, deaths));
        let gone = ["unavailable", "throttled"];
        trials.push(trial("error_in_a", SHORT, false, errors));
        trials.push(trial("silence_in_a", SHORT, false, gone));
        let name = "silence_at_every_call_of_a";
        trials.push(trial(name, usize::MAX, false, gone).with_ignored_flag(true));
        let every = usize::MAX;
        trials
            .push(trial("death_at_every_call_of_a", every, false, deaths).with_ignored_flag(true));
        trials
            .push(trial("error_at_every_call_of_a", every, false, errors).with_ignored_flag(true));
        if let Some(full) = full {
            trials.push(trial("full_disk_in_a", SHORT, false, full));
            let name = "full_disk_at_every_call_of_a";
            trials.push(trial(name, every, false, full).with_ignored_flag(true));
        }
        if let Some(bytes) = bytes {
            trials.push(trial("spoiled_bytes_in_a", SHORT, false, bytes));
            let name = "spoiled_bytes_at_every_call_of_a";
            trials.push(trial(name, every, false, bytes).with_ignored_flag(true));
        }
        let many = "death_at_every_call_of_a_concurrent";
        trials.push(trial(many, every, true, deaths).with_ignored_flag(true));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Guards against a full disk on which no deletion is possible.
fn a_deletion_works_on_a_full_disk() {
    let scene = Scene::new(Operation::Delete, false);
    let (output, trace) = faulty(&scene.instance, "no-space:1+", "", &scene.arguments());
    assert!(output.status.success(), "{}", text(&output));
    assert!(!trace.is_empty(), "it asked for no room");
    let case = "deleted on a full disk";
    assert_eq!(all_verify(&scene.instance, case), [scene.kept.as_str()]);
    let left = leftovers(&scene.instance, false, case);
    assert_eq!(left, Vec::<String>::new(), "{case}");
}

/// An instance in which the operation is about to run.
struct Scene {
    instance: Instance,
    operation: Operation,
    /// The backup that has to survive everything.
    kept: String,
    /// The backup that is deleted.
    victim: String,
    /// The live state when `kept` was made.
    old: Live,
    /// The live state now.
    now: Live,
}

impl Scene {
    fn new(operation: Operation, concurrent: bool) -> Self {
        let instance = small();
        if concurrent {
            let path = instance.path("arc.toml");
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(path, text.replace("concurrency = 1", "")).unwrap();
        }
        let (mut kept, old) = (instance.backup(), live(&instance));
        let mut victim = String::new();
        match operation {
            Operation::Backup | Operation::Incremental | Operation::Restore => {
                drop(change_live(&instance));
            }
            Operation::Delete => victim = instance.backup(),
            Operation::DeleteBase => {
                victim = std::mem::take(&mut kept);
                // One that can't be read does not make the other look like the only one.
                for number in 0..2 {
                    let name = format!("data/arc/iot/added-{number}.parquet");
                    std::fs::write(instance.path(&name), "added").unwrap();
                    std::fs::write(instance.path("data/arc/iot/temperature/a.parquet"), name)
                        .unwrap();
                    kept = instance.backup();
                    refer(&instance, &kept, &victim);
                }
            }
            Operation::Sweep => {
                let (dead, trace) = faulty(&instance, "die:before:3", "target.commit", &["backup"]);
                assert_eq!(dead.status.signal(), Some(9), "{}", text(&dead));
                assert_eq!(trace.len(), 3);
            }
        }
        let now = live(&instance);
        Self {
            instance,
            operation,
            kept,
            victim,
            old,
            now,
        }
    }

    /// A copy of it. An incremental backup has a base that was made there: files that are copied
    /// are other files.
    fn copy(&self) -> Instance {
        let copy = copy(&self.instance);
        if self.operation == Operation::Incremental {
            let root = copy.path("data/arc");
            for file in files(&root) {
                let file = std::fs::File::options().write(true).open(root.join(file));
                let moment = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
                file.unwrap().set_modified(moment).unwrap();
            }
            copy.backup();
            // Two files are written again, with the same bytes.
            for file in ["iot/added.parquet", "metrics/large.parquet"] {
                let bytes = std::fs::read(root.join(file)).unwrap();
                std::fs::write(root.join(file), bytes).unwrap();
            }
        }
        copy
    }

    fn arguments(&self) -> Vec<&str> {
        match self.operation {
            Operation::Backup => vec!["--json", "backup"],
            Operation::Incremental => vec!["--json", "backup", "--incremental"],
            Operation::Restore => {
                // In a copy of the instance, whose data has another path.
                vec![
                    "--json",
                    "restore",
                    &self.kept,
                    "--yes",
                    "--into-other-instance",
                ]
            }
            Operation::Delete | Operation::DeleteBase => {
                vec!["--json", "delete", &self.victim, "--yes", "--even-last"]
            }
            Operation::Sweep => vec!["--json", "sweep", "--apply"],
        }
    }
}

/// Makes a full backup one that refers to the files of another.
fn refer(instance: &Instance, id: &str, base: &str) {
    let target = LocalSink::new(LocalConfig::new(instance.path("data/backups")));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(referring::refer(&target, id, base));
}

/// Runs the operation once for each call that it makes, up to `limit` of them, with each of the
/// faults at that call.
fn each_call(operation: Operation, limit: usize, concurrent: bool, faults: [&str; 2]) {
    let scene = Scene::new(operation, concurrent);
    let (mut runs, mut well, mut missed) = (0, 0, 0);
    let (mut calls, mut failures) = (Vec::new(), Vec::new());
    for fault in faults {
        // A call that never comes. The number of calls depends on the kind of fault.
        let counting = scene.copy();
        let (whole, trace) = faulty(&counting, &at(fault, 0), "", &scene.arguments());
        assert!(whole.status.success(), "{}", text(&whole));
        check(&scene, &counting, false, "without a fault");
        assert!(trace.len() > 5, "only {} calls", trace.len());
        let step = trace.len().div_ceil(limit);
        let is_met = |number: &usize| {
            number % step == trace.len() % step
                || fault.starts_with("die") && is_decisive(&trace[number - 1])
        };
        for number in (1..=trace.len()).filter(is_met) {
            runs += 1;
            // All failures are reported, not only the first.
            let fault = at(fault, number);
            match std::panic::catch_unwind(|| one_call(&scene, &fault, number, concurrent)) {
                Ok(Met::WentWell) => well += 1,
                Ok(Met::Failed) => {}
                Ok(Met::NotReached) => missed += 1,
                Err(failure) => failures.push(message(&*failure)),
            }
        }
        calls.push(trace.len());
    }
    println!(
        "{operation:?}, concurrent: {concurrent}: {faults:?} in {calls:?} calls, {runs} runs, {well} of them done all the same, \
         {missed} too short to come to the call"
    );
    // With several files at once, or a journal write every 5 s, there may be one call less: the
    // last one is always among the runs.
    assert!(missed <= 1 + runs / 10, "{missed} of {runs} met no fault");
    assert!(
        failures.is_empty(),
        "{} of {runs} runs:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Calls that change live or listed files: a short run covers them, too.
fn is_decisive(call: &str) -> bool {
    let changes = [".promote\t", ".set_aside\t", ".apply\t", ".remove_tree\t"];
    let publishes = call.contains(".commit\t") && call.ends_with("/manifest.json");
    // A list of files that must stay.
    let retains = call.contains("\ttarget.") && call.contains("retained");
    publishes || retains || changes.iter().any(|change| call.contains(change))
}

/// The result of an operation with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Failed,
    /// It succeeded in spite of an error.
    WentWell,
    /// There was no such call.
    NotReached,
}

fn one_call(scene: &Scene, fault: &str, number: usize, concurrent: bool) -> Met {
    let (operation, instance) = (scene.operation, scene.copy());
    let before = listed(&instance, "before");
    let (output, trace) = faulty(&instance, fault, "", &scene.arguments());
    let call = (trace.get(number - 1)).map_or("(not reached)", String::as_str);
    let case = format!("{operation:?}, {fault}, concurrent: {concurrent}, call {call}");
    let (reached, dies) = (trace.len() >= number, fault.starts_with("die"));
    let mut went_well = false;
    if dies {
        let died = output.status.signal() == Some(9);
        // Death after the last row of a listing is reached only by a caller that asks for one more.
        let may_live = fault.contains("after") && call.contains(".needed");
        assert!(died || !reached || may_live, "{case}: {}", text(&output));
    } else if reached {
        // This call checks the lock before the sweep of older leftovers. The sweep then waits for
        // the next operation, with a warning.
        let before = &trace[..number - 1];
        let published = (before.iter())
            .position(|call| call.contains(".commit\t") && call.ends_with("/manifest.json"));
        let checks = |at: usize| {
            before[at..]
                .iter()
                .any(|call| call.contains("\ttarget.check\t"))
        };
        let of_sweep = call.contains("\ttarget.check\t") && published.is_some_and(checks);
        if operation.is_backup() && of_sweep && output.status.success() {
            assert!(text(&output).contains("for the next operation"), "{case}");
            went_well = true;
        } else {
            went_well = !failed_well(operation, &output, fault, call, &case);
        }
    }
    if operation.is_backup() && fault.starts_with("no-space") && !went_well {
        // The used space must be free at once, not only after the next backup.
        let folders = std::fs::read_dir(instance.path("data/backups")).unwrap();
        let folders: Vec<_> = folders.map(|folder| folder.unwrap().file_name()).collect();
        assert_eq!(
            folders.len(),
            before.len() + 1,
            "{case}: room was not given back: {folders:?}"
        );
    }
    let now = listed(&instance, &case);
    let lost = before.iter().find(|id| !now.contains(id));
    let is_deleted = |id: &String| operation.is_deletion() && *id == scene.victim;
    assert!(lost.is_none_or(is_deleted), "{case}: {lost:?} is gone");
    let of_source = !call.contains("\ttarget") && !dies;
    check(scene, &instance, of_source, &case);
    match (reached, went_well) {
        (false, _) => Met::NotReached,
        (true, true) => Met::WentWell,
        (true, false) => Met::Failed,
    }
}

/// Guards against a `completed` backup on a disk that wrote other bytes than it was given.
fn a_bit_that_a_disk_flips_is_found(limit: usize) {
    let scene = Scene::new(Operation::Backup, false);
    let calls = "target.write";
    let counting = scene.copy();
    let (whole, trace) = faulty(&counting, "flip-write:0", calls, &scene.arguments());
    assert!(whole.status.success(), "{}", text(&whole));
    let step = trace.len().div_ceil(limit);
    let (mut runs, mut found) = (0, 0);
    for number in (1..=trace.len()).filter(|number| number % step == trace.len() % step) {
        let instance = copy(&scene.instance);
        let fault = format!("flip-write:{number}");
        let (output, trace) = faulty(&instance, &fault, calls, &scene.arguments());
        let path = trace[number - 1].rsplit('\t').next().unwrap().to_owned();
        let case = format!("{fault}, {path}");
        runs += 1;
        let done: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let id = done["backup_id"].as_str().unwrap();
        // The tool's own journal is not part of the backup.
        if path.starts_with(".arc-backup/") {
            continue;
        }
        assert!(output.status.success(), "{case}: {}", text(&output));
        let verified = instance.run(&["verify", id]);
        let said = text(&verified);
        assert_eq!(verified.status.code(), Some(1), "{case}: {said}");
        let file = path.rsplit('/').next().unwrap();
        assert!(said.contains(file), "{case}: {said}");
        let refused = instance.run(&["restore", id, "--with-config", "--yes"]);
        assert_eq!(refused.status.code(), Some(1), "{case}: {}", text(&refused));
        assert!(
            live(&instance) == scene.now,
            "{case}: live data was changed"
        );
        let kept = instance.run(&["verify", &scene.kept]);
        assert!(kept.status.success(), "{case}: {}", text(&kept));
        found += 1;
    }
    println!("{found} of {runs} flipped bits were in the backup, and each was found");
    assert!(found > 2, "only {found} of {runs}");
}

/// Guards against failing an operation because a disk or store is slow, before or after the call.
fn a_slow_call_fails_no_operation(limit: usize) {
    for operation in [
        Operation::Backup,
        Operation::Restore,
        Operation::Delete,
        Operation::Sweep,
    ] {
        let scene = Scene::new(operation, false);
        let counting = scene.copy();
        let (_, trace) = faulty(&counting, "delay:1:0", "", &scene.arguments());
        let step = trace.len().div_ceil(limit);
        for number in (1..=trace.len()).filter(|number| number % step == trace.len() % step) {
            for fault in [format!("delay:300:{number}"), format!("late:300:{number}")] {
                let instance = copy(&scene.instance);
                let (output, _) = faulty(&instance, &fault, "", &scene.arguments());
                let case = format!("{operation:?}, {fault}");
                assert!(output.status.success(), "{case}: {}", text(&output));
                if operation == Operation::Restore {
                    assert!(live(&instance) == scene.old, "{case}");
                }
                all_verify(&instance, &case);
            }
        }
    }
}

/// The conditions after a fault, and after the next operation.
fn check(scene: &Scene, instance: &Instance, of_source: bool, case: &str) {
    let ids = all_verify(instance, case);
    assert!(
        ids.contains(&scene.kept),
        "{case}: the earlier backup is gone"
    );
    match scene.operation {
        Operation::Backup | Operation::Incremental => {
            assert!(
                live(instance) == scene.now,
                "{case}: a backup changed live data"
            );
            let (code, made) = instance.json(&scene.arguments()[1..]);
            assert_eq!(code, 0, "{case}: {made}");
            if scene.operation == Operation::Incremental {
                let reused = made["reused_files"].as_u64().unwrap_or_default();
                assert!(reused >= 3, "{case}: {made}");
            }
        }
        Operation::Restore => restored(scene, instance, case),
        Operation::Delete | Operation::DeleteBase => {
            if ids.contains(&scene.victim) {
                instance.ok(&["delete", &scene.victim, "--yes", "--even-last"]);
            }
            instance.ok(&["sweep", "--apply"]);
            let is_left = instance.backup_folder(&scene.victim).exists();
            let is_base = scene.operation == Operation::DeleteBase;
            assert_eq!(is_left, is_base, "{case}");
        }
        Operation::Sweep => drop(instance.ok(&["sweep", "--apply"])),
    }
    let ids = all_verify(instance, case);
    assert!(
        ids.contains(&scene.kept),
        "{case}: the earlier backup is gone"
    );
    assert!(!ids.contains(&scene.victim), "{case}");
    let left = leftovers(instance, of_source, case);
    assert_eq!(left, Vec::<String>::new(), "{case}: left over");
}

/// Live data is old, new, or has a restore marker. The same restore completes it, and the replaced
/// files still exist.
fn restored(scene: &Scene, instance: &Instance, case: &str) {
    let (_, status) = instance.json(&["status"]);
    let marked = status["restore_in_progress"]["backup_id"] == *scene.kept;
    let now = live(instance);
    assert!(
        marked || now == scene.now || now == scene.old,
        "{case}: neither old nor new, and not marked: {status}"
    );
    let output = instance.run(&["restore", &scene.kept, "--yes", "--into-other-instance"]);
    assert!(output.status.success(), "{case}: again: {}", text(&output));
    assert!(
        live(instance) == scene.old,
        "{case}: not the backup's state"
    );
    let (_, status) = instance.json(&["status"]);
    assert!(
        status.get("restore_in_progress").is_none(),
        "{case}: {status}"
    );
    let aside: Vec<_> = tree(&instance.path("data/arc.before-restore"))
        .into_iter()
        .collect();
    for (path, bytes) in &scene.now.0 {
        let found = scene.old.0.get(path) == Some(bytes)
            || (aside.iter())
                .any(|(other, (kept, ..))| other.ends_with(path.as_str()) && kept == bytes);
        assert!(found, "{case}: `{path}` as it was live before is nowhere");
    }
    let before = (support::files(&instance.path("data")).into_iter())
        .filter(|name| name.starts_with("arc.db.before-restore"))
        .map(|name| support::database_rows(&instance.path("data").join(name)));
    let is_kept = before.into_iter().any(|rows| rows == scene.now.1);
    assert!(is_kept, "{case}: the database as it was before is nowhere");
    drop(listed(instance, case));
}
