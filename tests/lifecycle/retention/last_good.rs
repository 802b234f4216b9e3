//! What `delete` looks at before it deletes anything: pins, and the last good backup.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::history::{add, damage, folders, ids, small};
use crate::support::{Instance, text};

fn refused(instance: &Instance, arguments: &[&str], code: i32, named: &str) {
    let output = instance.run(arguments);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(named), "{arguments:?}: {said}");
}

/// Guards against: the last good backup deleted by a command that has seen another one before it
/// waited for its turn.
#[test]
fn the_last_good_backup_is_looked_for_when_the_turn_has_come() {
    let instance = small();
    let base = instance.backup();
    let old = add(&instance, &base, "2026-02-10T00:00:00Z");
    let lock = std::fs::File::options()
        .write(true)
        .open(instance.path("data/backups/.arc-backup/lock"))
        .unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let mut command = instance.command(&["delete", &old, "--yes", "--wait", "1m"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let waits = lines.next().unwrap().unwrap();
    assert!(waits.contains("waiting"), "{waits}");
    damage(&instance, &base);
    drop(lock);
    let said: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(2), "{said:?}");
    assert!(said.join(" ").contains("--even-last"), "{said:?}");
    assert_eq!(ids(&instance), [base, old]);
    let (_, history) = instance.json(&["history", "--operation", "delete"]);
    assert_eq!(history["count"], 0, "{history}");
}

/// Guards against: a dry run that promises what the deletion refuses, on any interface.
#[test]
fn a_dry_run_refuses_what_the_deletion_refuses() {
    let instance = small();
    let base = instance.backup();
    refused(&instance, &["delete", &base, "--dry-run"], 2, "--even-last");
    instance.ok(&["delete", &base, "--dry-run", "--even-last"]);
    let old = add(&instance, &base, "2026-02-10T00:00:00Z");
    instance.ok(&["delete", &old, "--dry-run"]);
    instance.ok(&["pin", &old]);
    for last in [&[][..], &["--even-last"]] {
        let dry_run = [&["delete", &old, "--dry-run"], last].concat();
        refused(&instance, &dry_run, 1, "pinned");
    }
    let service = instance.serve();
    let path = format!("/api/v1/backup/{old}");
    for path in [format!("{path}?dry_run=true"), path] {
        let answer = service.delete(&path);
        assert_eq!(answer.status, 409, "{answer:?}");
        assert!(answer.text.contains("pinned"), "{answer:?}");
    }
}

/// Guards against: several backups of which some are deleted, and the others are refused.
#[test]
fn several_are_deleted_only_if_all_may_be() {
    let instance = small();
    let base = instance.backup();
    let old = ["2026-02-09", "2026-02-10", "2026-02-11"]
        .map(|day| add(&instance, &base, &format!("{day}T00:00:00Z")));
    instance.ok(&["pin", &old[1]]);
    for last in ["--yes", "--even-last"] {
        let all = ["delete", &old[0], &old[1], &old[2], "--yes", last];
        refused(
            &instance,
            &all[..if last == "--yes" { 5 } else { 6 }],
            1,
            "pinned",
        );
        assert_eq!(folders(&instance.path("data/backups")).len(), 4);
    }
    instance.ok(&["unpin", &old[1]]);
    instance.ok(&["delete", &old[0], &old[1], &old[2], "--yes"]);
    assert_eq!(ids(&instance), [base]);
}
