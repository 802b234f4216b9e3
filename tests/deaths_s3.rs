//! Death at every call where nothing can be staged: Arc's data in S3, restored from local disk, and
//! backed up to S3.
//!
//! Without arguments every k-th call; every one:
//! `cargo test --release --test deaths_s3 -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/faults/mod.rs"]
mod faults;
#[path = "support/scene.rs"]
mod scene;
#[path = "support/short_locks.rs"]
mod short_locks;
#[path = "support/stores.rs"]
mod stores;
mod support;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use arc_backup_test_s3::S3Server;
use libtest_mimic::{Arguments, Trial};
use scene::{copy, small};
use short_locks::{LOCK_TIMES, with_short_locks};
use stores::{Place, contents, put_all, s3_server};
use support::{Instance, database_rows, text};

/// How many calls of each operation a short run covers, for each of the two deaths.
const SHORT: usize = 3;
/// The time after which a dead holder's lock is free here.
const LOCK_TIMEOUT: Duration = Duration::from_secs(20);
const PREFIX: &str = "live/arc";

fn main() -> ExitCode {
    if let Some(code) = faults::child_with(with_short_locks) {
        return code;
    }
    let mut trials = Vec::new();
    for (name, operation) in [
        ("restore", Operation::Restore),
        ("backup", Operation::Backup),
        ("incremental_backup", Operation::Incremental),
        ("delete", Operation::Delete),
    ] {
        for (kind, limit, is_long) in [
            ("death_in_a", SHORT, false),
            ("death_at_every_call_of_a", usize::MAX, true),
        ] {
            let trial = Trial::test(format!("{kind}_{name}"), move || {
                each_call(operation, limit);
                Ok(())
            });
            trials.push(trial.with_ignored_flag(is_long));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    /// A backup on local disk, over data in S3.
    Restore,
    /// Data in S3, to S3.
    Backup,
    /// The same, on the base of an earlier one.
    Incremental,
    /// A backup in S3.
    Delete,
}

type Objects = BTreeMap<String, Vec<u8>>;

/// An instance whose data is in one bucket and whose backups are in another.
struct World {
    instance: Instance,
    server: S3Server,
    /// Arc's data.
    data: Place,
    /// The target `far`.
    far: Place,
}

impl World {
    fn on(instance: Instance, server: S3Server) -> Self {
        Self {
            data: Place::s3(&server, "data", PREFIX),
            far: Place::s3(&server, "backups", "of/arc-1"),
            instance,
            server,
        }
    }

    fn new() -> Self {
        let instance = small();
        let local = Place::local(&instance, "data/arc");
        let world = Self::on(instance, s3_server());
        put_all(&world.data.sink, &contents(&local.sink));
        std::fs::remove_dir_all(world.instance.path("data/arc")).unwrap();
        stores::configure(&world.instance, &world.data, &world.far);
        world
    }

    /// A copy of it, on a separate server.
    fn again(&self) -> Self {
        let world = Self::on(copy(&self.instance), s3_server());
        for (from, to) in [(&self.data, &world.data), (&self.far, &world.far)] {
            put_all(&to.all, &contents(&from.all));
        }
        let path = world.instance.path("arc.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        let (old, new) = (self.server.endpoint(), world.server.endpoint());
        std::fs::write(path, config.replace(&old, &new)).unwrap();
        world
    }

    fn run(&self, fault: &str, arguments: &[&str]) -> (Output, Vec<String>) {
        let trace = tempfile::NamedTempFile::new().unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .env(faults::CHILD, "1")
            .env(faults::FAULT, fault)
            .env(faults::TRACE, trace.path())
            .env(LOCK_TIMES, "200,1000")
            .arg("-C")
            .arg(self.instance.path(""))
            .arg("--json")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let trace = std::fs::read_to_string(trace.path()).unwrap();
        (output, trace.lines().map(str::to_owned).collect())
    }

    /// Retries the command until the lock of the dead process is free.
    fn ok(&self, arguments: &[&str], case: &str) {
        let begun = Instant::now();
        loop {
            let (output, _) = self.run("none", arguments);
            match output.status.code() {
                Some(0) => return,
                Some(3) if begun.elapsed() < LOCK_TIMEOUT => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                _ => panic!("{case}: {arguments:?}: {}", text(&output)),
            }
        }
    }

    fn live(&self) -> (Objects, Vec<String>) {
        let rows = database_rows(&self.instance.path("data/arc.db"));
        (contents(&self.data.sink), rows)
    }

    /// The listed ids in a target, each of which verifies; none is damaged.
    fn all_verify(&self, target: &str, case: &str) -> Vec<String> {
        let (_, list) = self.instance.json(&["list", "--target", target]);
        assert_eq!(list["damaged"], serde_json::json!([]), "{case}: {list}");
        let rows = list["backups"].as_array().unwrap().iter();
        let ids: Vec<_> = rows
            .map(|row| row["backup_id"].as_str().unwrap().to_owned())
            .collect();
        for id in &ids {
            self.ok(&["verify", id, "--target", target], case);
        }
        ids
    }

    /// Files in the target that belong to no listed backup.
    fn leftovers(&self, listed: &[String]) -> Vec<String> {
        let own = [".arc-backup/lock", ".arc-backup/notes/"];
        (contents(&self.far.sink).into_keys())
            .filter(|key| {
                !own.iter().any(|own| key.starts_with(own))
                    && !listed.iter().any(|id| key.starts_with(id.as_str()))
            })
            .collect()
    }
}

/// Runs the operation once for each call that it makes, up to `limit` of them, and kills it there.
fn each_call(operation: Operation, limit: usize) {
    let world = World::new();
    let target = match operation {
        Operation::Restore => "local",
        Operation::Backup | Operation::Incremental | Operation::Delete => "far",
    };
    let (output, _) = world.run("none", &["backup", "--target", target]);
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let id = made["backup_id"].as_str().unwrap().to_owned();
    let old = world.live();
    // One object that is changed, one that is gone, one that is new.
    let keys: Vec<&String> = old.0.keys().collect();
    stores::put(&world.data.sink, keys[0], b"changed");
    stores::delete(&world.data.sink, &[keys[1]]);
    stores::put(
        &world.data.sink,
        "iot/new/2026/11/24/00/new.parquet",
        b"new",
    );
    let now = world.live();
    let arguments = match operation {
        Operation::Restore => vec!["restore", &*id, "--yes", "--into-other-instance"],
        Operation::Backup => vec!["backup", "--target", "far"],
        Operation::Incremental => vec!["backup", "--incremental", "--target", "far"],
        Operation::Delete => vec!["delete", &*id, "--yes", "--even-last"],
    };
    // A base that was made there: the store of a copy is another one.
    let again = |world: &World| {
        let world = world.again();
        if operation == Operation::Incremental {
            world.ok(&["backup", "--target", "far"], "the base");
        }
        world
    };
    let (mut runs, mut met, mut marks) = (0, 0, 0);
    for fault in ["die:before", "die:after"] {
        let counting = again(&world);
        let (whole, trace) = counting.run(&format!("{fault}:0"), &arguments);
        assert!(whole.status.success(), "{}", text(&whole));
        let step = trace.len().div_ceil(limit);
        // Calls that change live or listed files: a short run covers them, too.
        let is_decisive = |call: &str| {
            let changes_live = call.contains("\tstorage.set_aside\t")
                || call.contains("\tstorage.commit\t") && operation == Operation::Restore;
            let publishes =
                call.contains("\ttarget-far.commit\t") && call.ends_with("/manifest.json");
            changes_live || publishes || call.contains(".remove_tree\t")
        };
        let numbers = (1..=trace.len()).filter(|number| {
            number % step == trace.len() % step || is_decisive(&trace[number - 1])
        });
        for number in numbers {
            let world = again(&world);
            let (output, trace) = world.run(&format!("{fault}:{number}"), &arguments);
            let call = (trace.get(number - 1)).map_or("(not reached)", String::as_str);
            let case = format!("{operation:?}, {fault}, call {call}");
            runs += 1;
            if output.status.signal() == Some(9) {
                met += 1;
            } else {
                assert!(output.status.success(), "{case}: {}", text(&output));
            }
            let ids = world.all_verify(target, &case);
            match operation {
                Operation::Restore => {
                    marks += usize::from(restored(&world, &id, &old, &now, &case));
                }
                Operation::Backup | Operation::Incremental => {
                    assert!(world.live() == now, "{case}: a backup changed live data");
                    assert!(ids.contains(&id), "{case}: the earlier backup is gone");
                    world.ok(&arguments, &case);
                    let ids = world.all_verify(target, &case);
                    assert!(ids.contains(&id) && ids.len() >= 2, "{case}: {ids:?}");
                    assert_eq!(
                        world.leftovers(&ids),
                        Vec::<String>::new(),
                        "{case}: left over"
                    );
                }
                Operation::Delete => {
                    if ids.contains(&id) {
                        world.ok(&arguments, &case);
                    }
                    world.ok(&["sweep", "--apply"], &case);
                    assert_eq!(
                        world.leftovers(&[]),
                        Vec::<String>::new(),
                        "{case}: left over"
                    );
                }
            }
            for bucket in ["data", "backups"] {
                assert_eq!(
                    world.server.uploads(bucket),
                    [],
                    "{case}: an upload is left"
                );
            }
        }
    }
    println!(
        "{operation:?}: {runs} runs, {met} of them died, {marks} were marked as half restored"
    );
    // The last call is always among them, and may not come the next time.
    assert!(met + 1 + runs / 10 >= runs, "only {met} of {runs} died");
    assert!(
        operation != Operation::Restore || marks > 0,
        "no death fell between the first change and the last"
    );
}

/// Live data is old, new, or has a restore marker. The same restore completes it, and the replaced
/// files still exist. Returns whether there was a marker.
fn restored(
    world: &World,
    id: &str,
    old: &(Objects, Vec<String>),
    now: &(Objects, Vec<String>),
    case: &str,
) -> bool {
    let (_, status) = world.instance.json(&["status"]);
    let marked = status["restore_in_progress"]["backup_id"] == id;
    let live = world.live();
    assert!(
        marked || live == *now || live == *old,
        "{case}: neither old nor new, and not marked: {status}"
    );
    world.ok(&["restore", id, "--yes", "--into-other-instance"], case);
    assert!(world.live() == *old, "{case}: not the backup's state");
    let (_, status) = world.instance.json(&["status"]);
    assert!(
        status.get("restore_in_progress").is_none(),
        "{case}: {status}"
    );
    let all = contents(&world.data.all);
    for (key, bytes) in &now.0 {
        let is_aside = |(place, kept): (&String, &Vec<u8>)| {
            place.starts_with(&format!("{PREFIX}.before-restore/"))
                && place.ends_with(key)
                && kept == bytes
        };
        assert!(
            old.0.get(key) == Some(bytes) || all.iter().any(is_aside),
            "{case}: `{key}` as it was live before is nowhere"
        );
    }
    marked
}
