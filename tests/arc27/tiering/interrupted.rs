//! Restores with a cold tier that end half-way, and tiers on stores of other kinds.

use arc_backup_test_s3::{Fault, Rule, Verb};

use super::tiers::Tiered;
use crate::stores::{Kind, contents, delete, put, s3_server};
use crate::support::{kill_within, named_like, text, xorshift};

/// Guards against files that a restore leaves in no tier, or in both, when it is run again.
#[test]
fn a_restore_that_failed_in_the_cold_tier_is_completed_by_the_same_restore() {
    for hot in [Kind::Local, Kind::S3] {
        let server = s3_server();
        let tiered = Tiered::on(hot, Kind::S3, &server);
        let moved: Vec<_> = tiered.parquet().into_iter().step_by(3).collect();
        tiered.migrate(&moved);
        let (before, tiers) = (
            tiered.served(),
            (contents(&tiered.hot), contents(&tiered.cold.sink)),
        );
        let id = tiered.instance.backup();
        for key in &moved[..4] {
            delete(&tiered.cold.sink, &[key]);
            put(&tiered.hot, key, b"hot again");
        }
        put(&tiered.cold.sink, &moved[5], b"other");
        let fault = Rule::new(Fault::Deny).verb(Verb::PutObject).key(&moved[2]);
        server.fault(fault);
        let arguments = ["restore", &id, "--yes"];
        let said = text(&tiered.instance.run(&arguments));
        assert!(said.contains("partly restored"), "{hot:?}: {said}");
        // An undo would be refused.
        assert!(!said.contains("take it back"), "{hot:?}: {said}");
        server.heal();
        tiered.instance.ok(&arguments);
        assert!(contents(&tiered.hot) == tiers.0, "{hot:?}");
        assert!(contents(&tiered.cold.sink) == tiers.1, "{hot:?}");
        assert!(tiered.cold_rows().iter().eq(&moved), "{hot:?}");
        assert!(tiered.served() == before, "{hot:?}");
    }
}

/// Guards against tiers that only work beside local disk.
#[test]
fn both_tiers_may_be_in_stores() {
    for (hot, cold) in [(Kind::S3, Kind::Azure), (Kind::Azure, Kind::S3)] {
        let server = s3_server();
        let tiered = Tiered::on(hot, cold, &server);
        let moved: Vec<_> = tiered.parquet().into_iter().step_by(3).collect();
        tiered.migrate(&moved);
        let (before, tiers) = (
            tiered.served(),
            (contents(&tiered.hot), contents(&tiered.cold.sink)),
        );
        let id = tiered.instance.backup();
        let rest = tiered.parquet();
        tiered.migrate(&rest[..5]);
        delete(&tiered.hot, &[&rest[7]]);
        delete(&tiered.cold.sink, &[&moved[0]]);
        put(&tiered.cold.sink, &moved[1], b"other");
        let (code, done) = tiered
            .instance
            .json(&["restore", &id, "--yes", "--no-metadata"]);
        assert_eq!(code, 0, "{hot:?}: {done}");
        assert_eq!(
            done["cold_files_skipped_already_cold"], 5,
            "{hot:?}: {done}"
        );
        assert!(tiered.served() == before, "{hot:?}");
        let hot_now = contents(&tiered.hot);
        assert!(
            hot_now.iter().all(|(key, bytes)| tiers.0[key] == *bytes),
            "{hot:?}"
        );
        assert_eq!(hot_now.len(), tiers.0.len() - 5, "{hot:?}");
        let cold_now = contents(&tiered.cold.sink);
        assert!(
            tiers.1.iter().all(|(key, bytes)| cold_now[key] == *bytes),
            "{hot:?}"
        );
        assert_eq!(cold_now.len(), tiers.1.len() + 5, "{hot:?}");
    }
}

/// Guards against a file in no tier or in both, and a staged restore that is lost or stays, after a
/// kill at any moment.
#[test]
fn a_restore_killed_at_any_moment_is_completed_by_the_same_restore() {
    let tiered = Tiered::new(Kind::Local, &s3_server());
    let moved: Vec<_> = tiered.parquet().into_iter().step_by(3).collect();
    tiered.migrate(&moved);
    let (before, tiers) = (
        tiered.served(),
        (contents(&tiered.hot), contents(&tiered.cold.sink)),
    );
    let id = tiered.instance.backup();
    let arguments = ["restore", &id, "--yes"];
    let (mut random, mut takes) = (xorshift(0x5eed_2701), 400_000);
    let pending = tiered.instance.path("data/arc.db.pending-restore");
    let mut folders = std::collections::BTreeSet::new();
    for round in 0..6 {
        for key in &moved[..4] {
            delete(&tiered.cold.sink, &[key]);
            put(&tiered.hot, key, b"hot again");
        }
        put(&tiered.cold.sink, &moved[5], b"other");
        let staged = format!("staged {round}");
        std::fs::write(&pending, &staged).unwrap();
        kill_within(&tiered.instance, &arguments, &mut random, &mut takes);
        let marker = "data/backups/.arc-backup/restore-in-progress.json";
        // Before that, its folder is made to try it, and is empty.
        let marker = std::fs::read_to_string(tiered.instance.path(marker));
        let was_interrupted = marker.is_ok_and(|text| text.contains("applying"));
        let output = tiered.instance.run(&arguments);
        let said = text(&output);
        assert!(output.status.success(), "{round}: {said}");
        // What the killed run has set aside from the cold tier is named.
        let aside = std::fs::read_dir(tiered.instance.path("cold.before-restore"));
        for folder in aside.into_iter().flatten() {
            let name = folder.unwrap().file_name().into_string().unwrap();
            let is_new = folders.insert(name.clone());
            assert!(
                !is_new || !was_interrupted || said.contains(&name),
                "{round}: {name}: {said}"
            );
        }
        assert!(contents(&tiered.hot) == tiers.0, "{round}");
        assert!(contents(&tiered.cold.sink) == tiers.1, "{round}");
        assert!(tiered.cold_rows().iter().eq(&moved), "{round}");
        assert!(tiered.served() == before, "{round}");
        assert!(!pending.exists(), "{round}");
        let kept = named_like(
            &tiered.instance.path("data"),
            &[".pending-restore.before-restore"],
        );
        let has = |path: &String| std::fs::read_to_string(path).is_ok_and(|text| text == staged);
        assert!(kept.iter().any(has), "{round}: {kept:?}");
    }
}
