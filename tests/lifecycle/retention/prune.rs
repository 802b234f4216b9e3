//! `arc-backup prune`: the plan, and what is done.

use serde_json::{Value, json};

use super::history::{add, add_with, damage, folders, ids, planned, row, small};
use crate::support::{Instance, text, tree};

/// An instance with a backup of now, and two of each day from 1 to 10 February 2026.
fn ten_days() -> (Instance, String) {
    let instance = small();
    let now = instance.backup();
    for day in 1..=10 {
        for hour in [3, 15] {
            add(
                &instance,
                &now,
                &format!("2026-02-{day:02}T{hour:02}:00:00Z"),
            );
        }
    }
    (instance, now)
}

fn reversed(mut ids: Vec<String>) -> Vec<String> {
    ids.reverse();
    ids
}

/// Guards against: a dry run that changes something, or says something else than is done then.
#[test]
fn what_the_plan_says_is_done_and_nothing_before() {
    let (instance, now) = ten_days();
    let before = tree(&instance.path("data/backups"));
    let rules = ["prune", "--keep-daily", "3", "--keep-weekly", "3"];
    let (code, plan) = instance.json(&rules);
    assert_eq!(code, 0, "{plan}");
    let changed = |(path, _): &(&String, _)| !path.starts_with(".arc-backup/");
    let after = tree(&instance.path("data/backups"));
    assert!(
        before
            .iter()
            .filter(changed)
            .eq(after.iter().filter(changed))
    );
    // Three days: today, 10 and 9 February. Three weeks: today's, that of 9 February, and that
    // which ends on 8 February.
    let kept = ["20260210-150000", "20260209-150000", "20260208-150000"];
    let kept = kept.map(|time| format!("backup-{time}-0000000a"));
    let expected: Vec<_> = [now.clone()].into_iter().chain(kept.clone()).collect();
    assert_eq!(planned(&plan, true), expected, "{plan}");
    assert_eq!(
        row(&plan, &now)["reasons"],
        json!(["daily snapshot", "weekly snapshot"])
    );
    assert_eq!(row(&plan, &kept[1])["reasons"], json!(["daily snapshot"]));
    assert_eq!(row(&plan, &kept[2])["reasons"], json!(["weekly snapshot"]));
    let goes = row(&plan, "backup-20260201-030000-0000000a");
    assert_eq!(goes["reasons"], json!(["no rule keeps it"]), "{goes}");
    assert_eq!(plan["keep_count"], 4);
    assert_eq!(plan["delete_count"], 17);
    assert!(plan["freed_bytes"].as_u64() > Some(17), "{plan}");

    let (code, done) = instance.json(&[&rules[..], &["--confirm"]].concat());
    assert_eq!((code, &done["status"]), (0, &json!("completed")), "{done}");
    assert_eq!(
        (&done["operation"], &done["backup_id"]),
        (&json!("prune"), &json!(""))
    );
    // Oldest first.
    let deleted = reversed(planned(&plan, false));
    assert_eq!(done["deleted_backups"], json!(deleted), "{done}");
    assert_eq!(done["freed_files"], plan["freed_files"], "{done}");
    assert_eq!(done["freed_bytes"], plan["freed_bytes"], "{done}");
    assert_eq!(ids(&instance), expected);
    assert_eq!(
        folders(&instance.path("data/backups")),
        reversed(expected.clone())
    );
    for id in &expected {
        instance.ok(&["verify", id]);
    }
    // It is in the history, and a second one has nothing to do.
    let (_, history) = instance.json(&["history", "--operation", "prune"]);
    assert_eq!(history["count"], 1, "{history}");
    let (_, again) = instance.json(&rules);
    assert_eq!(again["delete_count"], 0, "{again}");
}

/// Guards against: rules that are not there, or are 0, and mean "delete all".
#[test]
fn without_a_rule_everything_is_kept_with_a_warning() {
    let (instance, _) = ten_days();
    let all = ids(&instance);
    for arguments in [&["prune"][..], &["prune", "--keep-last", "0"]] {
        let (code, plan) = instance.json(arguments);
        assert_eq!((code, &plan["delete_count"]), (0, &json!(0)), "{plan}");
        let warnings = plan["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), 1, "{plan}");
        assert!(
            warnings[0].as_str().unwrap().contains("no retention rule"),
            "{plan}"
        );
        let (code, done) = instance.json(&[arguments, &["--confirm"]].concat());
        assert_eq!((code, &done["warnings"]), (0, &plan["warnings"]), "{done}");
        assert_eq!(ids(&instance), all);
    }
}

/// Guards against: rules of the configuration that are not those of the target, or of the zone; and
/// of which some stay in force beside those of the command line.
#[test]
fn configured_rules_are_those_of_the_target() {
    let (instance, now) = ten_days();
    // 23:30 UTC on 10 February is 11 February in Berlin.
    let late = add(&instance, &now, "2026-02-10T23:30:00Z");
    instance.configure(
        "[arc_backup]\ntimezone = \"Europe/Berlin\"\n[arc_backup.retention]\nkeep_last = 1\n\
         [backup.targets.offsite]\ntype = \"local\"\nlocal_path = \"./offsite\"\n\
         [arc_backup.targets.local.retention]\nkeep_daily = 3\n",
    );
    let (_, plan) = instance.json(&["prune"]);
    let tenth = "backup-20260210-150000-0000000a".to_owned();
    assert_eq!(planned(&plan, true), [now.clone(), late, tenth], "{plan}");
    let (_, plan) = instance.json(&["prune", "--keep-last", "1"]);
    assert_eq!(planned(&plan, true), [now], "{plan}");
    // Those of all targets.
    let elsewhere = instance.ok(&["backup", "--target", "offsite"]);
    instance.ok(&["backup", "--target", "offsite"]);
    let (_, plan) = instance.json(&["prune", "--target", "offsite"]);
    assert_eq!(planned(&plan, false), [elsewhere], "{plan}");
    let said = text(&instance.run(&["doctor"]));
    assert!(!said.contains("is not a known key"), "{said}");
}

/// Guards against: a usage error that deletes something, or does not name what is wrong.
#[test]
fn wrong_rules_are_refused() {
    let instance = small();
    instance.backup();
    for (arguments, named) in [
        (&["--keep-last=-1"][..], "--keep-last"),
        (&["--keep-daily", "many"], "many"),
        (&["--keep-within", "7w"], "2y5m7d3h"),
        (&["--keep-last", "1", "--target", "moon"], "moon"),
        (&["--keep-dayly", "1"], "--keep-dayly"),
    ] {
        let output = instance.run(&[&["prune", "--confirm"], arguments].concat());
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            text(&output)
        );
        assert!(
            text(&output).contains(named),
            "{arguments:?}: {}",
            text(&output)
        );
    }
    instance.configure("[arc_backup.retention]\nkeep_dayly = 1");
    let output = instance.run(&["prune"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("keep_dayly") && text(&output).contains("keep_daily"));
    assert_eq!(folders(&instance.path("data/backups")).len(), 1);
}

/// Guards against: a table that does not say what goes, and a command that seems to have done it.
#[test]
fn the_table_says_what_goes_and_that_nothing_was_done() {
    let instance = small();
    let now = instance.backup();
    add(&instance, &now, "2026-02-11T03:00:00Z");
    let said = instance.ok(&["prune", "--keep-last", "1"]);
    let lines: Vec<&str> = said.lines().collect();
    for column in ["BACKUP", "AGE", "PLAN", "FREES", "REASONS"] {
        assert!(lines[0].contains(column), "{said}");
    }
    assert!(
        lines[1].contains(&now) && lines[1].contains("keep"),
        "{said}"
    );
    assert!(lines[1].contains("last snapshot"), "{said}");
    assert!(
        lines[2].contains("delete") && lines[2].contains("no rule keeps it"),
        "{said}"
    );
    assert!(
        said.contains("1 of 2 backups") && said.contains("--confirm"),
        "{said}"
    );
    assert!(
        lines.iter().all(|line| line.chars().count() <= 100),
        "{said}"
    );
}

/// Guards against: backups of one schedule, or of one database, that push out others.
#[test]
fn the_scope_of_a_backup_counts() {
    let instance = small();
    let whole = instance.backup();
    let of_iot = |moment: &str| {
        add_with(&instance, &whole, moment, |manifest| {
            manifest.scope = vec!["iot".to_owned()];
        })
    };
    let (old, newer) = (
        of_iot("2026-02-10T00:00:00Z"),
        of_iot("2026-02-11T00:00:00Z"),
    );
    let older_whole = add(&instance, &whole, "2026-02-09T00:00:00Z");
    let (_, plan) = instance.json(&["prune", "--keep-last", "1"]);
    assert_eq!(planned(&plan, true), [whole, newer], "{plan}");
    assert_eq!(planned(&plan, false), [old, older_whole], "{plan}");
}

/// Guards against: the only good backup deleted for damaged or empty ones that are newer.
#[test]
fn the_last_good_backup_is_never_removed() {
    let instance = small();
    let base = instance.backup();
    let good = add(&instance, &base, "2026-02-09T00:00:00Z");
    add(&instance, &base, "2026-02-08T00:00:00Z");
    let empty = add_with(&instance, &base, "2026-02-10T00:00:00Z", |manifest| {
        manifest.total_files = 0;
    });
    let damaged = add(&instance, &base, "2026-02-11T00:00:00Z");
    damage(&instance, &damaged);
    instance.ok(&["delete", &base, "--yes"]);
    let (code, done) = instance.json(&["prune", "--keep-last", "1", "--confirm"]);
    assert_eq!(code, 0, "{done}");
    assert_eq!(ids(&instance), [damaged, empty, good.clone()], "{done}");
    let (_, verified) = instance.json(&["verify", &good]);
    assert_eq!(verified["status"], Value::from("completed"));
}
