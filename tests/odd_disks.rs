//! File systems that lack a feature: SMB, WebDAV, FUSE, sandboxes.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/disk.rs"]
mod disk;
#[path = "support/scene.rs"]
mod scene;
mod support;

use disk::{Disk, done, run};
use scene::{change, leftovers, live, small};
use support::{Instance, named_like, text};

/// Errors by which file systems report that they lack a feature.
const NO_SUCH_CALL: i32 = 38;
const NOT_SUPPORTED: i32 = 95;
const NOT_PERMITTED: i32 = 1;
const INVALID: i32 = 22;

/// A backup, its verification and a restore, with all live files changed in between.
fn round_trip(calls: &str) {
    round_trip_on(&small(), &Disk::Lacks(calls.to_owned()), calls);
}

fn round_trip_on(instance: &Instance, disk: &Disk, calls: &str) {
    let (before, config) = (
        live(instance),
        std::fs::read(instance.path("arc.toml")).unwrap(),
    );
    let made = done(instance, disk, &["backup"]);
    let id = made["backup_id"].as_str().unwrap();
    done(instance, disk, &["verify", id]);
    change(instance);
    done(instance, disk, &["restore", id, "--yes", "--with-config"]);
    assert!(live(instance) == before, "{calls}");
    assert_eq!(
        std::fs::read(instance.path("arc.toml")).unwrap(),
        config,
        "{calls}"
    );
    std::fs::remove_file(&support::kept(&instance.path("arc.toml"))[0]).unwrap();
    let left = leftovers(instance, false, calls);
    assert_eq!(left, Vec::<String>::new(), "{calls}");
    done(instance, disk, &["delete", id, "--yes", "--even-last"]);
    done(instance, disk, &["sweep", "--apply"]);
}

/// Guards against a backup that fails on a share without modes, times, owners or hard links.
#[test]
fn a_backup_works_without_calls_that_a_file_system_lacks() {
    for call in ["fchmod", "utimensat", "fchown", "linkat"] {
        for error in [NOT_SUPPORTED, NOT_PERMITTED, NO_SUCH_CALL] {
            round_trip(&format!("{call}={error}"));
        }
    }
    for (call, error) in [
        ("syncfs", NO_SUCH_CALL),
        ("syncfs", NOT_PERMITTED),
        ("renameat2", NOT_PERMITTED),
        ("renameat2", INVALID),
        ("openat2", NO_SUCH_CALL),
        ("fstatfs", NO_SUCH_CALL),
        ("copy_file_range", NOT_SUPPORTED),
    ] {
        round_trip(&format!("{call}={error}"));
    }
    // A share that has none of them.
    let all = [
        "chmod",
        "fchmod",
        "fchmodat",
        "utimensat",
        "chown",
        "fchown",
        "fchownat",
        "link",
        "linkat",
        "syncfs",
    ];
    let all: Vec<_> = all
        .iter()
        .map(|call| format!("{call}={NOT_SUPPORTED}"))
        .collect();
    round_trip(&format!(
        "{},renameat2={INVALID},statfs={NO_SUCH_CALL}",
        all.join(",")
    ));
}

/// Guards against a backup that fails on a share whose files can't be synced. (SQLite needs
/// syncing: the state folder is on local disk.)
#[test]
fn a_backup_works_on_a_file_system_that_can_not_sync() {
    let instance = small();
    instance.configure("state_path = \"./state/history.db\"");
    std::fs::create_dir(instance.path("data/backups")).unwrap();
    let disk = Disk::NoSync("data/backups");
    let made = done(&instance, &disk, &["backup"]);
    let id = made["backup_id"].as_str().unwrap();
    done(&instance, &disk, &["verify", id]);
    let before = live(&instance);
    change(&instance);
    // The data, too. The databases need SQLite's own syncing.
    let disk = Disk::NoSync("data/arc");
    done(&instance, &disk, &["restore", id, "--yes", "--no-metadata"]);
    assert!(live(&instance).0 == before.0);
}

/// Guards against two backups at once where locks do not work, and a message that does not name the
/// cause.
#[test]
fn a_file_system_without_locks_is_named() {
    for error in [NOT_SUPPORTED, NO_SUCH_CALL, 37] {
        let disk = Disk::Lacks(format!("flock={error}"));
        let instance = small();
        let output = run(&instance, &disk, &["backup"]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        let said = text(&output);
        assert!(
            said.contains("locks") && said.contains("backup.state_path"),
            "{said}"
        );
        assert_eq!(
            named_like(&instance.path("data"), &["-freeze-", ".tmp"]),
            [""; 0]
        );
        let id = instance.backup();
        assert!(text(&run(&instance, &disk, &["list"])).contains(&id));
        assert!(run(&instance, &disk, &["status"]).status.success());
    }
}
