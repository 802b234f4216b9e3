//! File systems that lack something: SMB, WebDAV, FUSE, sandboxes.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/disk.rs"]
mod disk;
#[path = "support/scene.rs"]
mod scene;
mod support;

use disk::{Disk, done, run};
use scene::{change, live, small, strays};
use support::{Instance, named_like, text};

/// Errors by which file systems say that they do not have something.
const NO_SUCH_CALL: i32 = 38;
const NOT_SUPPORTED: i32 = 95;
const NOT_PERMITTED: i32 = 1;
const INVALID: i32 = 22;

/// A backup, its verification and a restore, with everything that is live changed in between.
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
    std::fs::remove_file(instance.path("arc.toml.before-restore")).unwrap();
    let left = strays(instance, false, calls);
    assert_eq!(left, Vec::<String>::new(), "{calls}");
    done(instance, disk, &["delete", id, "--yes", "--even-last"]);
    done(instance, disk, &["sweep", "--apply"]);
}

/// Lost otherwise: every backup to a share that keeps no modes, times or owners, or has no second names for a file.
#[test]
fn what_a_file_system_lacks_is_done_without() {
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
    // A share that has none of it.
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

/// Lost otherwise: every backup to a share whose files can't be synced. (SQLite needs that: the state folder is on local disk.)
#[test]
fn a_file_system_that_can_not_sync_is_done_with() {
    let instance = small();
    instance.configure("state_path = \"./state/history.db\"");
    std::fs::create_dir(instance.path("data/backups")).unwrap();
    let disk = Disk::NoSync("data/backups");
    let made = done(&instance, &disk, &["backup"]);
    let id = made["backup_id"].as_str().unwrap();
    done(&instance, &disk, &["verify", id]);
    let before = live(&instance);
    change(&instance);
    // The data as well; the databases are SQLite's.
    let disk = Disk::NoSync("data/arc");
    done(&instance, &disk, &["restore", id, "--yes", "--no-metadata"]);
    assert!(live(&instance).0 == before.0);
}

/// Lost otherwise: two backups at once, to a file system where nobody can see the other; or the night, to a message that does not
/// say what is missing.
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
