//! Backups of a storage while Arc adds, compacts and rewrites files, and is killed while it does
//! so.
//!
//! The long versions:
//! `cargo test --release --test compaction -- --ignored --nocapture --test-threads 1`. Each run
//! prints its seed; `ARC_BACKUP_TEST_SEED` sets it.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/arc_writer/mod.rs"]
mod arc_writer;
#[path = "support/stores.rs"]
mod stores;
mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use arc_writer::check::{self, Counts, Files, Seen};
use arc_writer::scene::{copy_of, empty_instance, places, seed, writer_of};
use arc_writer::{STAGES, now};
use serde_json::Value;
use stores::{Kind, Place, keys, s3_server};
use support::{Instance, named_like, text, tree, xorshift};

/// A backup by the program, and when it was made.
struct Made {
    id: String,
    /// Files that were not copied.
    reused: u64,
    seen: Seen,
    took: Duration,
}

/// What may happen to the writer during a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lives,
    /// It is dead during the backup.
    KilledBefore,
    KilledMeanwhile,
    /// It is dead when the backup begins, and starts again.
    StartsMeanwhile,
}

const FATES: [Fate; 4] = [
    Fate::Lives,
    Fate::KilledMeanwhile,
    Fate::KilledBefore,
    Fate::StartsMeanwhile,
];

/// Runs a backup; `when_begun` is called after it has begun.
fn backup(
    instance: &Instance,
    kind: &str,
    target: &str,
    method: &str,
    when_begun: impl FnOnce(),
) -> Made {
    let begun = now();
    let clock = Instant::now();
    let child = (instance.command(&["--json", "backup", kind, "--target", target]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    when_begun();
    let output = child.wait_with_output().unwrap();
    let (took, ended) = (clock.elapsed(), now());
    assert!(output.status.success(), "{}", text(&output));
    let operation: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(operation["status"], "completed", "{operation}");
    assert_eq!(operation["problems"], serde_json::json!([]), "{operation}");
    let id = operation["backup_id"].as_str().unwrap().to_owned();
    let (_, manifest) = instance.json(&["show", &id]);
    // The snapshot must not use the fallback for storages without a better method.
    assert_eq!(manifest["consistency"]["method"], method, "{manifest}");
    let moment = manifest["consistency"]["moment"].as_str();
    let moment: jiff::Timestamp = moment.expect("the manifest has no moment").parse().unwrap();
    let moment = SystemTime::UNIX_EPOCH + moment.as_duration().unsigned_abs();
    // The manifest may record whole seconds.
    assert!(
        moment + Duration::from_secs(1) > begun && moment < ended,
        "{manifest}"
    );
    let moment = Some(moment);
    Made {
        id,
        reused: operation["reused_files"].as_u64().unwrap_or_default(),
        seen: Seen {
            begun,
            ended,
            moment,
        },
        took,
    }
}

/// Verifies a backup and restores it into an empty storage.
fn restored(copy: &Instance, id: &str) -> Files {
    copy.ok(&["verify", id]);
    let root = copy.path("data/arc");
    if root.exists() {
        std::fs::remove_dir_all(&root).unwrap();
    }
    std::fs::create_dir(&root).unwrap();
    copy.ok(&["restore", id, "--yes", "--into-other-instance"]);
    bytes_in(&root)
}

fn bytes_in(root: &Path) -> Files {
    (tree(root).into_iter())
        .map(|(path, (bytes, ..))| (path, bytes))
        .collect()
}

/// The backup's own files must be gone from the storage and beside it. The writer must be idle.
fn nothing_is_left(instance: &Instance, live: &Place) {
    let parts = ["freeze", ".tmp", ".part", "before-restore"];
    let left = named_like(&instance.path("data"), &parts);
    assert_eq!(left, Vec::<String>::new());
    let mut left = keys(&live.all);
    left.retain(|key| parts.iter().any(|part| key.contains(part)));
    assert_eq!(left, Vec::<String>::new());
}

/// No snapshot folder may exist beside the live storage after the backup.
fn no_snapshot_is_left(instance: &Instance) {
    let children = std::fs::read_dir(instance.path("data")).unwrap();
    let names = children.map(|child| child.unwrap().file_name().into_string().unwrap());
    let snapshots: Vec<_> = names.filter(|name| name.contains("freeze")).collect();
    assert_eq!(snapshots, Vec::<String>::new());
}

/// Makes backup after backup while the writer writes, and checks every row of each.
fn race(kind: Kind, backup_type: &str, rounds: usize, files: usize) {
    let seed = seed();
    let mut random = xorshift(seed);
    let server = s3_server();
    let (instance, live, far) = places(kind, &server, "live/arc");
    let copy = copy_of(&instance, &far);
    let mut writer = writer_of(&live, seed);
    writer.fill(files);
    if backup_type == "--incremental" {
        // Files of the last two seconds are read again.
        std::thread::sleep(Duration::from_millis(2_500));
    }
    writer.start();
    let mut times = Vec::new();
    let mut reused = 0;
    let mut sum = Counts::default();
    let mut killed_meanwhile = 0;
    for round in 0..rounds {
        let fate = FATES[(round + random(2) as usize) % FATES.len()];
        let stage = STAGES[random(STAGES.len() as u64) as usize];
        let target = ["local", "far"][round % 2];
        let dead = matches!(fate, Fate::KilledBefore | Fate::StartsMeanwhile);
        if dead {
            writer.kill_at(stage);
            writer.wait_killed();
        }
        let usual = times.last().copied().unwrap_or(Duration::from_millis(300));
        let pause = usual.mul_f64(random(100) as f64 / 100.0);
        let method = match kind {
            Kind::Local => "hard-links",
            Kind::S3 | Kind::Azure => "settled-listing",
        };
        let made = backup(&instance, backup_type, target, method, || {
            std::thread::sleep(pause);
            match fate {
                Fate::KilledMeanwhile => writer.kill_at(stage),
                Fate::StartsMeanwhile => writer.start(),
                _ => {}
            }
        });
        killed_meanwhile += usize::from(fate == Fate::KilledMeanwhile && writer.is_killed());
        match fate {
            Fate::KilledMeanwhile => writer.wait_killed(),
            Fate::KilledBefore | Fate::Lives | Fate::StartsMeanwhile => {}
        }
        let case = format!("{kind:?} to {target}, round {round}: {fate:?} ({stage:?})");
        let counts = match writer.check(restored(&copy, &made.id), &made.seen) {
            Ok(counts) => counts,
            Err(faults) => panic!("{case}: {} is wrong: {faults}", made.id),
        };
        println!("{case}: {:.2?}, {counts:?}", made.took);
        if matches!(fate, Fate::KilledBefore | Fate::KilledMeanwhile) {
            writer.start();
        }
        times.push(made.took);
        reused += made.reused;
        sum.pending += counts.pending;
        sum.undecided += counts.undecided;
        no_snapshot_is_left(&instance);
    }
    writer.stop();
    // Full ones in a store copy within it what the target has.
    assert!(reused > 0 || backup_type == "--full", "nothing was reused");
    times.sort();
    println!(
        "{kind:?}: {rounds} backups, each {:.2?} (longest {:.2?}); {} pending jobs and {} undecided rows in all; writer: {}",
        times[rounds / 2],
        times[rounds - 1],
        sum.pending,
        sum.undecided,
        writer.figures()
    );
    println!("{killed_meanwhile} writers were killed before the backup had ended");
    if rounds >= 30 {
        // The writer must have been as busy as the long versions require.
        let figures = writer.figures();
        let rate = figures.changes as f64 / figures.seconds;
        assert!(rate >= 50.0, "only {rate:.1} changes a second");
        assert!(
            sum.pending > 0 && killed_meanwhile > 0,
            "no job was cut short"
        );
    }
    nothing_is_left(&instance, &live);
    for bucket in ["data", "backups"] {
        assert_eq!(server.uploads(bucket), [], "an upload is left");
    }
}

/// Guards against rows that compaction moves during the copy, so that a backup lacks them or has
/// them twice.
#[test]
fn no_backup_of_a_storage_that_is_compacted_lacks_a_row_or_has_one_twice() {
    race(Kind::Local, "--full", 6, 600);
}

/// Guards against: files that are not held, as an earlier backup has them, and that compaction
/// takes away.
#[test]
fn no_incremental_backup_of_a_storage_that_is_compacted_lacks_a_row_or_has_one_twice() {
    race(Kind::Local, "--incremental", 6, 600);
    race(Kind::S3, "--incremental", 3, 400);
}

#[test]
#[ignore = "a hundred backups"]
fn no_incremental_backup_of_a_hundred_lacks_a_row_or_has_one_twice() {
    race(Kind::Local, "--incremental", 100, 2_000);
}

/// Guards against the same on S3.
#[test]
fn no_backup_of_a_bucket_that_is_compacted_lacks_a_row_or_has_one_twice() {
    race(Kind::S3, "--full", 2, 400);
}

/// Guards against the same on Azure.
#[test]
fn no_backup_of_a_container_that_is_compacted_lacks_a_row_or_has_one_twice() {
    race(Kind::Azure, "--full", 2, 400);
}

#[test]
#[ignore = "a hundred backups"]
fn no_backup_of_a_hundred_lacks_a_row_or_has_one_twice() {
    race(Kind::Local, "--full", 100, 2_000);
}

#[test]
#[ignore = "thirty backups of a bucket"]
fn no_backup_of_thirty_of_a_bucket_lacks_a_row_or_has_one_twice() {
    race(Kind::S3, "--full", 30, 1_000);
}

#[test]
#[ignore = "thirty backups of a container"]
fn no_backup_of_thirty_of_a_container_lacks_a_row_or_has_one_twice() {
    race(Kind::Azure, "--full", 30, 1_000);
}

/// Guards against a writer that is too slow to matter: a plain copy made under it has to be wrong.
#[test]
fn a_plain_copy_of_a_storage_that_is_written_to_is_wrong() {
    let instance = empty_instance();
    let live = Place::local(&instance, "data/arc");
    let root = instance.path("data/arc");
    let mut writer = writer_of(&live, seed());
    writer.fill(600);
    writer.start();
    let mut found = Vec::new();
    for round in 0..200 {
        let begun = now();
        let mut copy = Files::new();
        let mut listed = keys(&live.sink);
        if round % 2 == 1 {
            // State files come last here, and are gone when their jobs have ended.
            listed.reverse();
        }
        for key in listed {
            // Files that are gone by now are skipped, as in Arc's own backup.
            if let Ok(bytes) = std::fs::read(root.join(&key)) {
                copy.insert(key, bytes);
            }
            // A slow disk.
            std::thread::sleep(Duration::from_micros(200));
        }
        let seen = Seen {
            begun,
            ended: now(),
            moment: None,
        };
        if let Err(faults) = writer.check(copy, &seen) {
            found.extend(faults.0.into_iter().map(|(kind, _)| kind));
        }
        if found.contains(&check::LOST) && found.contains(&check::TWICE) {
            break;
        }
    }
    writer.stop();
    println!("{found:?}; writer: {}", writer.figures());
    for kind in [check::LOST, check::TWICE] {
        assert!(found.contains(&kind), "no copy had a row {kind}");
    }
}

/// Guards against checks that find nothing: they have to find every fault that is there.
#[test]
fn the_checks_find_every_fault_in_a_copy_and_none_where_none_is() {
    let seed = seed();
    let instance = empty_instance();
    let live = Place::local(&instance, "data/arc");
    let root = instance.path("data/arc");
    let mut writer = writer_of(&live, seed);
    for stage in STAGES {
        writer.fill(300);
        let before = bytes_in(&root);
        writer.rewrite(20);
        writer.start();
        std::thread::sleep(Duration::from_millis(300));
        writer.kill_at(stage);
        writer.wait_killed();
        let begun = now();
        let copy = bytes_in(&root);
        let ended = now();
        let moment = None;
        let seen = Seen {
            begun,
            ended,
            moment,
        };
        let counts = writer
            .check(copy.clone(), &seen)
            .unwrap_or_else(|e| panic!("{stage:?}: {e}"));
        println!("{stage:?}: {counts:?}");
        assert!(counts.pending > 0, "{stage:?}: no job was broken off");

        // From here on the copy has only the faults that the test makes.
        writer.start();
        writer.stop();
        let (begun, copy) = (now(), bytes_in(&root));
        let ended = now();
        let seen = Seen {
            begun,
            ended,
            moment,
        };
        let counts = writer.check(copy.clone(), &seen).unwrap();
        assert_eq!((counts.pending, counts.undecided), (0, 0), "{stage:?}");
        assert_eq!(counts.rows, writer.ids().len(), "{stage:?}");
        writer.fill(1);
        let later = bytes_in(&root);
        let find = |kind: &str, change: &dyn Fn(&mut Files)| {
            let mut files = copy.clone();
            change(&mut files);
            let faults = writer.check(files, &seen).expect_err(kind);
            assert!(faults.has(kind), "{kind}: {faults}");
            assert!(faults.0.len() < 3, "{kind}: {faults}");
        };
        let added = later.iter().find(|(key, _)| !copy.contains_key(*key));
        let (added, added_bytes) = added.unwrap();
        let old = before
            .iter()
            .find(|(key, bytes)| copy.get(*key).is_some_and(|now| now != *bytes));
        let (old, old_bytes) = old.unwrap();
        // Not the output of a job: each file with the same rows would be a fault of its own.
        let added_as_is: Vec<_> = (copy.keys())
            .filter(|key| !key.ends_with("_compacted.parquet") && !key.ends_with("_daily.parquet"))
            .filter(|key| key.ends_with(".parquet"))
            .collect();
        let some = added_as_is[added_as_is.len() / 2];
        find(check::LOST, &|files| drop(files.remove(some)));
        find(check::TWICE, &|files| {
            files.insert(some.replace(".parquet", "x.parquet"), copy[some].clone());
        });
        find(check::LATER, &|files| {
            files.insert(added.clone(), added_bytes.clone());
        });
        find(check::REMOVED, &|files| {
            files.insert(old.clone(), old_bytes.clone());
        });
        find(check::UNREADABLE, &|files| {
            files.get_mut(some).unwrap().truncate(100);
        });
        find(check::STRAY, &|files| {
            files.insert("iot/.arc-1.tmp".to_owned(), Vec::new());
        });
        // While a file is being added it may exist or not, but never half of it.
        let wide = Seen {
            ended: now(),
            ..seen
        };
        let mut torn = later.clone();
        assert!(writer.check(torn.clone(), &wide).unwrap().undecided > 0);
        assert!(writer.check(copy.clone(), &wide).is_ok());
        torn.insert(added.clone(), writer.half_of(added_bytes.clone()));
        let faults = writer.check(torn, &wide).expect_err(check::TORN);
        assert!(
            faults.has(check::TORN) && faults.0.len() == 1,
            "{stage:?}: {faults}"
        );
        let stranger = writer_of(&live, seed).foreign_file();
        find(check::UNKNOWN, &|files| {
            files.insert(
                "iot/cpu/2026/11/20/00/x.parquet".to_owned(),
                stranger.clone(),
            );
        });
    }
}
