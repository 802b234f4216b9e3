//! Kills at any moment, and two processes at once: nothing is lost, and no partial backup is
//! listed.
//!
//! 25 kills of each operation; 300 in all:
//! `cargo test --release --test kills -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::{
    Instance, change_live, database_rows, enlarge, kill_within, named_like, text as text_of,
    whole_backups, xorshift,
};

/// Guards against losing an earlier backup, and listing a partial one, after a crash.
#[test]
fn a_backup_killed_at_any_moment_leaves_whole_backups_and_the_next_one_cleans_up() {
    backups_killed(25, 0x5eed_0001);
}

#[test]
#[ignore = "100 kills"]
fn a_hundred_kills_of_backups() {
    backups_killed(100, 0x5eed_1001);
}

fn backups_killed(rounds: usize, seed: u64) {
    println!("{rounds} kills, seed {seed:#x}");
    let instance = Instance::new();
    enlarge(&instance);
    let began = Instant::now();
    instance.backup();
    let mut whole = u64::try_from(began.elapsed().as_micros()).unwrap();
    let mut random = xorshift(seed);
    let mut known = BTreeSet::new();
    let mut hits = 0;
    for round in 0..rounds {
        hits += usize::from(kill_within(&instance, &["backup"], &mut random, &mut whole));
        whole_backups(&instance, &mut known);
        if round % 3 == 0 {
            // A file that can't be reused, so that kills happen during copies and not only during
            // links.
            let fresh = format!("data/arc/iot/fresh{round}.parquet");
            std::fs::write(instance.path(&fresh), vec![7; 1 << 20]).unwrap();
            instance.backup();
            let listed = whole_backups(&instance, &mut known);
            let folders = std::fs::read_dir(instance.path("data/backups")).unwrap();
            assert_eq!(
                folders.count(),
                listed + 1,
                "round {round}: an unfinished one"
            );
            let left = named_like(&instance.path("data"), &[".tmp", "-freeze"]);
            assert_eq!(left, Vec::<String>::new(), "round {round}");
        }
    }
    for id in known {
        instance.ok(&["verify", &id]);
    }
    enough(hits, rounds);
}

/// A kill after the end proves nothing, so enough kills have to come before it.
fn enough(hits: usize, rounds: usize) {
    println!("{hits} of {rounds} were killed at it");
    assert!(
        hits * 2 > rounds,
        "only {hits} of {rounds} were killed at it"
    );
}

/// Guards against live data between two states that no restore can complete.
#[test]
fn a_restore_killed_at_any_moment_is_completed_by_the_same_restore() {
    restores_killed(25, 0x5eed_0002);
}

#[test]
#[ignore = "80 kills"]
fn eighty_kills_of_restores() {
    restores_killed(80, 0x5eed_1002);
}

fn restores_killed(rounds: usize, seed: u64) {
    println!("{rounds} kills, seed {seed:#x}");
    let instance = Instance::new();
    enlarge(&instance);
    let database = instance.path("data/arc.db");
    let (live, rows) = (instance.live(), database_rows(&database));
    let id = instance.backup();
    let change = || {
        change_live(&instance);
        std::fs::remove_dir_all(instance.path("data/arc/iot/vibration")).unwrap();
    };
    change();
    let began = Instant::now();
    instance.ok(&["restore", &id, "--yes"]);
    let mut whole = u64::try_from(began.elapsed().as_micros()).unwrap();
    let mut random = xorshift(seed);
    let (mut known, mut marks, mut hits) = (BTreeSet::new(), 0, 0);
    for round in 0..rounds {
        change();
        let changed = instance.live();
        if round % 3 == 1 {
            let marker = instance.path("data/backups/.arc-backup/restore-in-progress.json");
            kill_at(&instance, &["restore", &id, "--yes"], || {
                std::fs::read_to_string(&marker).is_ok_and(|text| text.contains("applying"))
            });
            hits += 1;
        } else {
            let restore = ["restore", &*id, "--yes"];
            hits += usize::from(kill_within(&instance, &restore, &mut random, &mut whole));
        }
        let (_, status) = instance.json(&["status"]);
        let marked = status["restore_in_progress"]["backup_id"] == *id;
        let mut now = instance.live();
        // Staged files lie beside the live files, and are not part of them.
        now.retain(|path, _| !path.contains(".arc-backup-"));
        assert!(
            marked || now == changed || now == live,
            "round {round}: neither old nor new, and not marked: {status}"
        );
        marks += usize::from(marked);
        whole_backups(&instance, &mut known);
        instance.ok(&["restore", &id, "--yes"]);
        let case = format!("round {round}");
        assert!(instance.live() == live, "{case}: not the backup's state");
        assert_eq!(database_rows(&database), rows, "{case}");
        let left = named_like(&instance.path("data"), &[".tmp", "restore-in-progress"]);
        assert_eq!(left, Vec::<String>::new(), "{case}");
    }
    assert!(
        marks > 0,
        "no kill fell between the first change and the last"
    );
    enough(hits, rounds);
    instance.ok(&["verify", &id]);
}

/// Kills the command as soon as `moment` has come.
fn kill_at(instance: &Instance, arguments: &[&str], moment: impl Fn() -> bool) {
    let mut command = instance.command(arguments);
    let mut child = (command.stdout(Stdio::null()).stderr(Stdio::null()))
        .spawn()
        .unwrap();
    while child.try_wait().unwrap().is_none() {
        if moment() {
            child.kill().unwrap();
            break;
        }
    }
    child.wait().unwrap();
}

/// Guards against losing the restore marker when something else is restored.
#[test]
fn an_interrupted_restore_stays_marked_until_all_of_it_is_restored() {
    let instance = Instance::new();
    let id = instance.backup();
    let marker = instance.path("data/backups/.arc-backup/restore-in-progress.json");
    let text = format!(
        r#"{{"operation_id":"x","backup_id":"{id}","sections":["data","metadata"],"phase":"applying","written_at":""}}"#
    );
    std::fs::write(&marker, text).unwrap();
    for option in ["--no-data", "--no-metadata"] {
        let output = instance.run(&["restore", &id, "--yes", option]);
        assert_eq!(output.status.code(), Some(2), "{}", text_of(&output));
        assert!(text_of(&output).contains("was interrupted"));
        assert!(marker.exists());
    }
    let (_, made) = instance.json(&["backup"]);
    assert!(
        made["warnings"].to_string().contains("was interrupted"),
        "{made}"
    );
    instance.ok(&["restore", &id, "--yes"]);
    assert!(!marker.exists());
    let (_, status) = instance.json(&["status"]);
    assert!(status.get("restore_in_progress").is_none(), "{status}");
}

/// Guards against staged files of a killed restore that use space until the next restore.
#[test]
fn files_staged_by_a_killed_restore_are_removed_by_the_next_backup() {
    let instance = Instance::new();
    let id = instance.backup();
    let state = instance.path("data/backups/.arc-backup");
    let marker = format!(
        r#"{{"operation_id":"op-1","backup_id":"{id}","sections":["data"],"phase":"staging","written_at":""}}"#
    );
    std::fs::write(state.join("restore-in-progress.json"), marker).unwrap();
    let staged = instance.path("data/arc/iot/.arc-backup-op-1-a.parquet.tmp");
    std::fs::write(&staged, b"staged").unwrap();
    instance.backup();
    assert!(!staged.exists());
}

/// Guards against a listed partial backup, or damage to others, after an interrupted deletion.
#[test]
fn a_deletion_killed_at_any_moment_leaves_a_backup_whole_or_gone() {
    deletions_killed(25, 0x5eed_0003);
}

#[test]
#[ignore = "60 kills"]
fn sixty_kills_of_deletions() {
    deletions_killed(60, 0x5eed_1003);
}

fn deletions_killed(rounds: usize, seed: u64) {
    println!("{rounds} kills, seed {seed:#x}");
    let instance = Instance::new();
    enlarge(&instance);
    let kept = instance.backup();
    let mut victim = instance.backup();
    let began = Instant::now();
    instance.ok(&["delete", &victim, "--yes", "--even-last"]);
    let mut whole = u64::try_from(began.elapsed().as_micros()).unwrap();
    let mut random = xorshift(seed);
    let (mut cut_short, mut swept) = (0, 0);
    victim = instance.backup();
    for round in 0..rounds {
        if round % 5 < 2 {
            // The manifest is removed first.
            let manifest = instance.backup_folder(&victim).join("manifest.json");
            kill_at(
                &instance,
                &["delete", &victim, "--yes", "--even-last"],
                || !manifest.exists(),
            );
        } else {
            let delete = ["delete", &*victim, "--yes", "--even-last"];
            kill_within(&instance, &delete, &mut random, &mut whole);
        }
        // Every listed backup is complete after each kill.
        whole_backups(&instance, &mut BTreeSet::new());
        let (_, list) = instance.json(&["list"]);
        if !list.to_string().contains(&victim) {
            let there = instance.backup_folder(&victim).exists();
            cut_short += usize::from(there);
            if round % 2 == 0 {
                let dry = instance.ok(&["sweep"]);
                // All of it may be gone but its journal.
                let journal = format!("data/backups/.arc-backup/journal/{victim}.json");
                let is_unfinished = there || instance.path(&journal).exists();
                assert_eq!(dry.contains(&victim), is_unfinished, "round {round}: {dry}");
                instance.ok(&["sweep", "--apply"]);
                swept += usize::from(there);
            } else {
                let next = instance.backup();
                instance.ok(&["delete", &next, "--yes", "--even-last"]);
            }
            assert!(!instance.backup_folder(&victim).exists(), "round {round}");
            victim = instance.backup();
        }
    }
    assert!(cut_short > 0 && swept > 0, "no kill fell into a deletion");
    instance.ok(&["verify", &kept]);
}

/// Guards against losing an earlier backup to an interrupted sweep.
#[test]
fn a_sweep_killed_at_any_moment_is_finished_by_the_next() {
    sweeps_killed(12, 0x5eed_0004);
}

#[test]
#[ignore = "60 kills"]
fn sixty_kills_of_sweeps() {
    sweeps_killed(60, 0x5eed_1004);
}

fn sweeps_killed(rounds: usize, seed: u64) {
    println!("{rounds} kills, seed {seed:#x}");
    let instance = Instance::new();
    enlarge(&instance);
    let kept = instance.backup();
    let began = Instant::now();
    instance.ok(&["sweep", "--apply"]);
    let mut whole = u64::try_from(began.elapsed().as_micros()).unwrap();
    let mut random = xorshift(seed);
    let backups = instance.path("data/backups");
    let folders = || std::fs::read_dir(&backups).unwrap().count();
    let (before, mut cut_short) = (folders(), 0);
    let fresh = instance.path("data/arc/iot/fresh.parquet");
    for round in 0..rounds {
        // Other content each time, so that there is something to copy.
        std::fs::write(&fresh, vec![u8::try_from(round).unwrap(); 1 << 20]).unwrap();
        kill_at(&instance, &["backup"], || folders() > before);
        let began = Instant::now();
        if round % 2 == 0 {
            // As soon as it has begun.
            let lock = instance.path("data/backups/.arc-backup/instance.lock");
            let before = std::fs::read(&lock).unwrap();
            kill_at(&instance, &["sweep", "--apply"], || {
                std::fs::read(&lock).is_ok_and(|now| !now.is_empty() && now != before)
            });
        } else {
            kill_within(&instance, &["sweep", "--apply"], &mut random, &mut whole);
        }
        let case = format!("round {round}, {:?}", began.elapsed());
        cut_short += usize::from(folders() > before);
        whole_backups(&instance, &mut BTreeSet::new());
        instance.ok(&["sweep", "--apply"]);
        let (_, list) = instance.json(&["list"]);
        let listed = list["backups"].as_array().unwrap().len();
        assert_eq!(folders(), listed + 1, "{case}: an unfinished one");
        let left = named_like(&instance.path("data"), &[".tmp", "-freeze"]);
        assert_eq!(left, Vec::<String>::new(), "{case}");
        // A backup that was published before the kill.
        for row in list["backups"]
            .as_array()
            .unwrap()
            .iter()
            .take(listed + 1 - before)
        {
            instance.ok(&[
                "delete",
                row["backup_id"].as_str().unwrap(),
                "--yes",
                "--even-last",
            ]);
        }
    }
    println!("{cut_short} of {rounds} sweeps were cut short");
    assert!(cut_short > 0, "no kill fell into a sweep");
    instance.ok(&["verify", &kept]);
}

/// Guards against two operations that remove each other's files as leftovers.
#[test]
fn a_second_command_is_busy_within_a_second_until_the_holder_is_dead() {
    let instance = Instance::new();
    let id = instance.backup();
    instance.configure("concurrency = 1");
    let big = ["a", "b"].map(|n| instance.path(&format!("data/arc/iot/{n}.parquet")));
    for path in &big {
        std::fs::File::create(path)
            .unwrap()
            .set_len(600 << 20)
            .unwrap();
    }
    let mut command = instance.command(&["backup"]);
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut holder = quiet.spawn().unwrap();
    let lock = instance.path("data/backups/.arc-backup/lock");
    let pid = holder.id().to_string();
    while !std::fs::read_to_string(&lock).is_ok_and(|text| text.contains(&pid)) {
        assert!(holder.try_wait().unwrap().is_none(), "ended too early");
        std::thread::sleep(Duration::from_millis(1));
    }
    let restore = ["restore", &*id, "--yes"];
    let delete = ["delete", &*id, "--yes", "--even-last"];
    for arguments in [&["backup"][..], &restore, &delete] {
        let began = Instant::now();
        let output = instance.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {said}");
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{arguments:?} took its time"
        );
        assert!(
            said.contains("backup") && said.contains(&pid),
            "{arguments:?}: {said}"
        );
    }
    assert!(instance.run(&["list"]).status.success());
    assert!(holder.try_wait().unwrap().is_none(), "the holder ended");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let (_, status) = instance.json(&["status"]);
    assert_eq!(
        (&status["status"], &status["error"]),
        (&"failed".into(), &"interrupted".into())
    );
    for path in big {
        std::fs::remove_file(path).unwrap();
    }
    instance.ok(&["verify", &id]);
    instance.backup();
}
