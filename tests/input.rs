//! Bad input, and files that no backup can hold: each is distinguished and named.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use serde_json::Value;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use support::{
    ARC_OLD, Instance, UNKNOWN, files, make_fifo, refused, text, timely, timely_json, tree,
};

/// Guards against an empty document that breaks a script which reads it.
#[test]
fn json_is_one_document_also_for_what_is_damaged_or_unknown() {
    let instance = Instance::new();
    for command in ["verify", "restore", "delete"] {
        let yes = if command == "verify" {
            "--quick"
        } else {
            "--yes"
        };
        let (code, document) = timely_json(&instance, &[command, UNKNOWN, yes]);
        assert_eq!(code, Some(1), "{document}");
    }
    for arguments in [
        &["zap"][..],
        &["show"],
        &["verify", ARC_OLD, "--sample", "0"],
    ] {
        let (code, document) = timely_json(&instance, arguments);
        assert_eq!(code, Some(2), "{document}");
        assert!(document["error"].is_string(), "{document}");
    }
}

fn expect(instance: &Instance, arguments: &[&str], code: i32, named: &str) {
    let output = timely(instance, arguments);
    let (got, said) = (output.status.code(), text(&output));
    assert_eq!(got, Some(code), "{arguments:?}: {said}");
    assert!(
        said.contains(named) && !said.contains("panicked"),
        "{arguments:?}: {said}"
    );
}

/// Guards against a target inside the data, and one file that is configured as two databases.
#[test]
fn folders_that_must_differ_are_refused_when_they_are_the_same() {
    for (config, named) in [
        (
            "[storage]\nlocal_path = \"./d\"\n[backup]\nlocal_path = \"./x/../d\"\n",
            "backup.local_path",
        ),
        (
            "[storage]\nlocal_path = \"./d\"\n[backup]\nstate_path = \"./d/history.db\"\n",
            "backup.state_path",
        ),
        (
            "[backup.targets.a]\ntype = \"local\"\nlocal_path = \"./data/backups\"\n",
            "another target",
        ),
    ] {
        expect(&Instance::with_config(config), &["list"], 2, named);
    }
}

/// Guards against a wrong exit code of a backup whose messages nobody reads.
#[test]
fn a_closed_standard_error_costs_no_exit_code() {
    let instance = Instance::new();
    let mut command = instance.command(&["backup"]);
    let mut child = (command.stdout(std::process::Stdio::piped()))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Guards against scripts that can't distinguish a mistake from a failure.
#[test]
fn every_command_distinguishes_bad_input_from_failure() {
    let instance = Instance::new();
    let before = instance.live();
    let with_id = |id| {
        [
            "show ID",
            "verify ID",
            "restore ID --yes",
            "delete ID --yes",
        ]
        .map(|text| -> Vec<&str> {
            text.split(' ')
                .map(|word| if word == "ID" { id } else { word })
                .collect()
        })
    };
    let long = format!("backup-20260101-000000-{}", "0".repeat(5000));
    let wrong = "|..|/etc|backup-|backup-20260101-000000-0000000g|backup-20260101-000000-00000000/..|backup-20260101-000000-00000000\n";
    for id in wrong.split('|').chain([&*long]) {
        for arguments in with_id(id) {
            let named = if arguments.contains(&"") {
                "`` is not a backup id"
            } else {
                "not a backup id"
            };
            expect(&instance, &arguments, 2, named);
        }
    }
    for arguments in with_id(UNKNOWN) {
        expect(&instance, &arguments, 1, UNKNOWN);
    }
    expect(&instance, &["restore", ARC_OLD], 2, "--yes");
    expect(&instance, &["delete", ARC_OLD], 2, "--yes");
    for command in ["backup", "list"] {
        expect(&instance, &[command, "--target", "moon"], 2, "local");
    }
    expect(&instance, &["verify", ARC_OLD, "--sample", "0%"], 2, "0%");
    expect(&instance, &["nonsense"], 2, "nonsense");
    for (config, named) in [
        ("[backup]\ntimeout = \"soon\"\n", "backup.timeout"),
        (
            "[backup.targets.x]\ntype = \"ftp\"\n",
            "backup.targets.x.type",
        ),
    ] {
        expect(&Instance::with_config(config), &["list"], 2, named);
    }
    let broken = Instance::with_config("[storage]\nbackend = \"local\"\nlocal_path = \n");
    let s3 = Instance::with_config("[storage]\nbackend = \"s3\"\n");
    let plain = ["backup", "list", "status", "history", "sweep"].map(|command| vec![command]);
    let serve = vec!["serve", "--listen", "127.0.0.1:0"];
    for arguments in with_id(UNKNOWN).into_iter().chain(plain).chain([serve]) {
        let absent = [&["--config", "absent.toml"], &arguments[..]].concat();
        expect(&instance, &absent, 2, "absent.toml");
        expect(&broken, &arguments, 2, "line 3");
        expect(&s3, &arguments, 2, "storage.s3_bucket");
    }
    assert_eq!(files(&s3.path("")), ["arc.toml"], "a wrong start left this");
    assert!(instance.live() == before);
}

/// Guards against files that are silently missing, and a backup that waits for ever on a FIFO.
#[test]
fn files_that_no_backup_can_hold_are_named_and_never_waited_on() {
    let instance = Instance::new();
    let folder = instance.path("data/arc/iot/temperature");
    make_fifo(&folder.join("fifo.parquet"));
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("s.parquet")).unwrap();
    symlink("nowhere", folder.join("dangling.parquet")).unwrap();
    let invalid = std::ffi::OsStr::from_bytes(b"invalid\xff.parquet");
    std::fs::write(folder.join(invalid), b"x").unwrap();
    std::fs::write(folder.join("back\\slash.parquet"), b"x").unwrap();
    let (code, operation) = timely_json(&instance, &["backup"]);
    assert_eq!(code, Some(0), "{operation}");
    let id = operation["backup_id"].as_str().unwrap();
    let (_, manifest) = instance.json(&["show", id]);
    for document in [&operation, &manifest] {
        assert_eq!(document["special_files"], 3, "{document}");
        assert_eq!(document["unaddressable_files"], 2, "{document}");
        let special = document["special_sample"].to_string();
        for name in ["fifo.parquet", "s.parquet", "dangling.parquet"] {
            assert!(special.contains(name), "{special}");
        }
        let unaddressable = document["unaddressable_sample"].to_string();
        assert!(unaddressable.contains("slash") && unaddressable.contains("invalid"));
    }
    instance.ok(&["verify", id]);
}

/// Guards against a restore that can't be completed because it can set nothing aside.
#[test]
fn a_restore_that_can_set_nothing_aside_changes_nothing() {
    let instance = Instance::new();
    let id = instance.backup();
    support::change_live(&instance);
    let place = instance.path("data/arc.before-restore");
    std::fs::write(&place, b"a file where the folder would be").unwrap();
    let before = instance.live();
    let output = instance.run(&["restore", &id, "--yes"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("arc.before-restore"),
        "{}",
        text(&output)
    );
    assert!(instance.live() == before, "live data changed");
    std::fs::remove_file(place).unwrap();
    instance.ok(&["restore", &id, "--yes"]);
}

/// Guards against a restore that writes through a link in the live storage.
#[test]
fn a_restore_writes_through_no_linked_folder() {
    for linked in ["iot", "iot/temperature/2026/11/20"] {
        let instance = Instance::new();
        let id = instance.backup();
        let place = instance.path("data/arc").join(linked);
        let outside = instance.path("outside");
        std::fs::rename(&place, &outside).unwrap();
        let gone = outside.join(&files(&outside)[0]);
        std::fs::remove_file(gone).unwrap();
        symlink(&outside, &place).unwrap();
        let before = tree(&outside);
        refused(&instance, &id, linked, linked);
        assert!(tree(&outside) == before && place.is_symlink());
    }
}

/// Guards against an empty list with exit code 0 where only the environment names the targets.
#[test]
fn targets_may_be_configured_by_the_environment_alone() {
    let instance = Instance::new();
    let run = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = instance.command(arguments);
        let output = command.envs(environment.iter().copied()).output().unwrap();
        (output.status.code(), text(&output))
    };
    let far = [
        ("ARC_BACKUP_TARGET_NAMES", "far"),
        ("ARC_BACKUP_TARGETS_FAR_TYPE", "local"),
        ("ARC_BACKUP_TARGETS_FAR_LOCAL_PATH", "./data/far"),
    ];
    // Arc 27.01 wants a default target where there is any.
    let (code, said) = run(&["backup", "--target", "far"], &far);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("`backup.default_target`"), "{said}");
    let with_default = [&far[..], &[("ARC_BACKUP_DEFAULT_TARGET", "far")]].concat();
    let (code, said) = run(&["backup"], &with_default);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        !said.contains("warning") && !said.contains("WARN"),
        "{said}"
    );
    let (code, said) = run(&["list", "--target", "far"], &far);
    assert!(code == Some(0) && said.contains("backup-"), "{said}");
    let (code, said) = run(&["list"], &with_default);
    assert!(code == Some(0) && said.contains("far"), "{said}");

    // Without the names, every command and every request for the target prints the missing
    // variable.
    let (code, said) = run(&["list"], &far[1..]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("ARC_BACKUP_TARGET_NAMES=far"), "{said}");
    let (code, said) = run(&["--json", "list", "--target", "far"], &far[1..]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.lines()
            .any(|line| line.starts_with("{\"error\"")
                && line.contains("ARC_BACKUP_TARGET_NAMES=far")),
        "{said}"
    );
    let (code, said) = run(&["list", "--target", "fra"], &far);
    assert!(
        code == Some(2) && said.contains("did you mean \"far\""),
        "{said}"
    );
    for (environment, named) in [
        (&far[..1], "ARC_BACKUP_TARGETS_FAR_TYPE"),
        (&[("ARC_BACKUP_TARGET_NAMES", "off-site")], "off-site"),
        (
            &[("ARC_BACKUP_TARGET_NAMES", "local")],
            "ARC_BACKUP_TARGETS_LOCAL_TYPE",
        ),
        (
            &[("ARC_BACKUP_ARC_TOKEN_FILE", "/nowhere/token")],
            "ARC_BACKUP_ARC_TOKEN_FILE",
        ),
    ] {
        let (code, said) = run(&["list"], environment);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(named), "{said}");
    }
}

/// Guards against backups in `/data/backups` of a machine without Arc, and an empty list with exit
/// code 0.
#[test]
fn nothing_is_created_where_no_instance_exists() {
    let nowhere = tempfile::tempdir().unwrap();
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_arc-backup"));
        let output = (command.arg("-C").arg(nowhere.path()).args(arguments))
            .env("HOME", home.path())
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        (output.status.code(), text(&output))
    };
    for (arguments, code) in [
        (&["backup"][..], 2),
        (&["list"], 2),
        (&["show", UNKNOWN], 2),
        (&["restore", UNKNOWN, "--yes"], 2),
        (&["verify", UNKNOWN], 2),
        (&["delete", UNKNOWN, "--yes"], 2),
        (&["sweep", "--apply"], 2),
        (&["serve", "--listen", "127.0.0.1:0"], 2),
        (&["doctor"], 1),
        (&["status"], 0),
        (&["history"], 0),
    ] {
        let (got, said) = run(arguments);
        assert_eq!(got, Some(code), "{arguments:?}: {said}");
        if code > 0 {
            for words in [
                "no arc.toml was found",
                "/etc/arc/arc.toml",
                "-C",
                "--config",
            ] {
                assert!(said.contains(words), "{arguments:?}: {said}");
            }
        }
        assert_eq!(files(nowhere.path()), Vec::<String>::new(), "{arguments:?}");
        let made = std::fs::read_dir(nowhere.path()).unwrap().count();
        assert_eq!(made, 0, "{arguments:?} made something");
    }
    // With a configuration, and without the volume.
    let instance = Instance::with_config("[storage]\nlocal_path = \"./volume/arc\"\n");
    let output = instance.run(&["backup"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("storage.local_path") && said.contains("volume/arc"),
        "{said}"
    );
    let left: Vec<_> = std::fs::read_dir(instance.path("")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// Guards against hiding a missing file among files that nobody configured.
#[test]
fn a_database_that_is_not_configured_is_not_an_omission() {
    let instance = Instance::new();
    let other = instance.path("data/other.db");
    std::fs::rename(instance.path("data/arc.db"), &other).unwrap();
    // As in the sample: retention is switched on, and Arc creates its database where it runs.
    for (enabled, is_reported) in [("false", false), ("true", true)] {
        let mut command = instance.command(&["--json", "backup"]);
        let output = command
            .env("ARC_AUTH_DB_PATH", "./data/other.db")
            .env("ARC_CONTINUOUS_QUERY_ENABLED", "false")
            .env("ARC_RETENTION_ENABLED", enabled)
            .output()
            .unwrap();
        let made: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{made}");
        let omitted = made["not_included"].to_string();
        let missing = "./data/arc.db (`retention.db_path`) does not exist";
        assert_eq!(omitted.contains(missing), is_reported, "{omitted}");
        assert_eq!(omitted.contains("does not exist"), is_reported, "{omitted}");
    }
}

/// Guards against another `arc.toml` than the one that Arc reads.
#[test]
fn the_first_arc_toml_that_is_found_counts() {
    let (instance, home) = (Instance::new(), tempfile::tempdir().unwrap());
    // Each file has a wrong value of its own, which is in the error.
    let wrong = |value: &str| format!("[backup]\ntimeout = \"{value}\"\n");
    std::fs::create_dir(home.path().join(".arc")).unwrap();
    std::fs::write(home.path().join(".arc/arc.toml"), wrong("of home")).unwrap();
    let read = || {
        let mut command = instance.command(&["list"]);
        let output = command.env("HOME", home.path()).output().unwrap();
        (output.status.code(), text(&output))
    };
    for value in ["of the folder", "of home"] {
        let file = instance.path("arc.toml");
        if value == "of home" {
            std::fs::remove_file(file).unwrap();
        } else {
            std::fs::write(file, wrong(value)).unwrap();
        }
        let (code, said) = read();
        assert!(code == Some(2) && said.contains(value), "{value}: {said}");
    }
    // None at all: Arc runs with its defaults, and so its backups are found.
    std::fs::remove_file(home.path().join(".arc/arc.toml")).unwrap();
    let (code, said) = read();
    assert!(code == Some(0) && said.contains(ARC_OLD), "{said}");
}
