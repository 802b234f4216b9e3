//! Pins: what they keep, until when, and what else a note says.

use serde_json::{Value, json};

use super::history::{add, ids, note_path, planned, row, small, write_note};
use crate::support::{UNKNOWN, text};

/// Guards against: a pinned backup that is deleted, by hand or by rules; and one that can't be
/// deleted once it is unpinned.
#[test]
fn nothing_deletes_a_pinned_backup() {
    let instance = small();
    let base = instance.backup();
    let old = add(&instance, &base, "2026-02-10T00:00:00Z");
    let (code, pinned) = instance.json(&["pin", &old, "--reason", "audit 2026", "--until", "30d"]);
    assert_eq!(code, 0, "{pinned}");
    assert_eq!(
        (&pinned["locked"], &pinned["backup_id"]),
        (&json!(true), &json!(old))
    );
    assert_eq!(pinned["pin"]["reason"], "audit 2026", "{pinned}");
    assert!(pinned["pin"]["until"].is_string(), "{pinned}");

    let output = instance.run(&["delete", &old, "--yes"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    for named in ["pinned", "audit 2026", "unpin"] {
        assert!(text(&output).contains(named), "{}", text(&output));
    }
    // Refused: it is not in the history.
    let (_, history) = instance.json(&["history", "--operation", "delete"]);
    assert_eq!(history["count"], 0, "{history}");
    let (_, plan) = instance.json(&["prune", "--keep-last", "1"]);
    assert_eq!(
        row(&plan, &old)["reasons"],
        json!(["pinned: audit 2026"]),
        "{plan}"
    );
    assert_eq!(row(&plan, &old)["locked"], true, "{plan}");
    let (_, done) = instance.json(&["prune", "--keep-last", "1", "--confirm"]);
    assert_eq!(done["deleted_backups"], Value::Null, "{done}");

    let (code, unpinned) = instance.json(&["unpin", &old]);
    assert_eq!(
        (code, &unpinned["locked"]),
        (0, &json!(false)),
        "{unpinned}"
    );
    // Twice is no error.
    instance.ok(&["unpin", &old]);
    let (_, done) = instance.json(&["prune", "--keep-last", "1", "--confirm"]);
    assert_eq!(done["deleted_backups"], json!([old]), "{done}");
    assert_eq!(ids(&instance), [base]);
}

/// Guards against: a pin that never ends, or is over at once.
#[test]
fn a_pin_ends_when_it_says() {
    let instance = small();
    let base = instance.backup();
    let old = add(&instance, &base, "2026-02-10T00:00:00Z");
    for (until, is_kept) in [
        ("2026-02-11T00:00:00Z", false),
        ("2126-02-11T00:00:00Z", true),
        // Nobody knows when: it is kept.
        ("soon", true),
    ] {
        let pin = json!({"at": "2026-02-10T00:00:00Z", "by": "alice", "until": until});
        write_note(&instance, &old, &json!({"pin": pin}));
        let (_, plan) = instance.json(&["prune", "--keep-last", "1"]);
        assert_eq!(planned(&plan, false).is_empty(), is_kept, "{until}: {plan}");
    }
    let output = instance.run(&["delete", &old, "--yes"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    for (wrong, code) in [
        (&["--until", "2026-01-01"][..], 2),
        (&["--until", "soon"], 2),
        (&["--reason", "two\nlines"], 2),
    ] {
        let output = instance.run(&[&["pin", &old], wrong].concat());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{wrong:?}: {}",
            text(&output)
        );
    }
    assert_eq!(instance.run(&["pin", UNKNOWN]).status.code(), Some(1));
}

/// Guards against: a verification that forgets the pin, a pin that forgets the verification, and
/// either that forgets what another release has written.
#[test]
fn a_pin_changes_nothing_else_of_the_note() {
    let instance = small();
    let id = instance.backup();
    instance.ok(&["verify", &id]);
    let note = || -> Value {
        serde_json::from_slice(&std::fs::read(note_path(&instance, &id)).unwrap()).unwrap()
    };
    let mut with_more = note();
    with_more["of_a_later_release"] = json!({"a": 1});
    with_more["labels"] = json!(["x"]);
    write_note(&instance, &id, &with_more);
    instance.ok(&["pin", &id, "--reason", "audit"]);
    let mut pinned = note();
    let pin = pinned.as_object_mut().unwrap().remove("pin").unwrap();
    assert_eq!(pin["reason"], "audit");
    assert_eq!(pinned, with_more);
    instance.ok(&["verify", &id]);
    assert_eq!(note()["pin"], pin);
    // By the beginning of its id.
    instance.ok(&["unpin", &id[..id.len() - 2]]);
    assert_eq!(note()["pin"], Value::Null);
}

/// Guards against: an incident during a long backup, in which nothing can be pinned.
#[test]
fn a_pin_needs_no_turn() {
    let instance = small();
    let id = instance.backup();
    let lock = std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(instance.path("data/backups/.arc-backup/lock"))
        .unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    instance.ok(&["pin", &id]);
    instance.ok(&["unpin", &id]);
    // A deletion needs one.
    for arguments in [
        &["delete", &id, "--yes", "--even-last"][..],
        &["prune", "--keep-last", "1", "--confirm"],
    ] {
        let output = instance.run(arguments);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    }
}
