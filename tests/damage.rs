//! Faults in a backup, kills, and bad input: named, and nothing lost.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use support::{Instance, files, text, tree};

fn first_data_file(folder: &Path) -> String {
    files(folder)
        .into_iter()
        .find(|name| name.starts_with("data/"))
        .unwrap()
}

/// Lost otherwise: the live data, to a backup that is not what it was.
#[test]
fn a_flipped_truncated_missing_or_additional_file_is_named_and_nothing_live_changes() {
    for kind in ["checksum", "size", "missing", "unexpected"] {
        let instance = Instance::new();
        let id = instance.backup();
        let folder = instance.backup_folder(&id);
        let mut named = first_data_file(&folder);
        let victim = folder.join(&named);
        let mut bytes = std::fs::read(&victim).unwrap();
        match kind {
            "checksum" => {
                bytes[100] ^= 1;
                std::fs::write(&victim, bytes).unwrap();
            }
            "size" => std::fs::write(&victim, &bytes[..bytes.len() - 1]).unwrap(),
            "missing" => std::fs::remove_file(&victim).unwrap(),
            _ => {
                named = "data/iot/added.parquet".to_owned();
                std::fs::write(folder.join(&named), b"added").unwrap();
            }
        }
        let (code, operation) = instance.json(&["verify", &id]);
        let problem = &operation["problems"][0];
        assert_eq!(
            (code, problem["kind"].as_str(), problem["path"].as_str()),
            (1, Some(kind), Some(&*named))
        );
        std::fs::remove_dir_all(instance.path("data/arc/iot")).unwrap();
        std::fs::write(instance.path("data/arc/other.parquet"), b"live").unwrap();
        let before = tree(&instance.path("data/arc"));
        let database = std::fs::read(instance.path("data/arc.db")).unwrap();
        let (code, operation) = instance.json(&["restore", &id, "--yes", "--with-config"]);
        assert_eq!(
            (code, operation["status"].as_str()),
            (1, Some("failed")),
            "{operation}"
        );
        assert!(
            operation["error"].as_str().unwrap().contains(&named),
            "{operation}"
        );
        assert_eq!(
            tree(&instance.path("data/arc")),
            before,
            "{kind}: live data changed"
        );
        assert_eq!(
            std::fs::read(instance.path("data/arc.db")).unwrap(),
            database
        );
        assert!(!instance.path("data/arc.db.before-restore").exists());
        let leavings: Vec<_> = files(&instance.path(""))
            .into_iter()
            .filter(|name| name.contains(".tmp"))
            .collect();
        assert_eq!(leavings, Vec::<String>::new());
    }
}

/// Lost otherwise: a folder that Arc, or somebody, is writing this very moment; and the operator's trust in the list.
#[test]
fn what_only_looks_like_a_backup_is_named_as_damaged_and_left_alone() {
    let instance = Instance::new();
    let id = instance.backup();
    let manifest = instance.backup_folder(&id).join("manifest.json");
    let mut bytes = std::fs::read(&manifest).unwrap();
    let at = bytes
        .windows(5)
        .position(|window| window == b"\"full")
        .unwrap();
    bytes[at + 1] = b'F';
    std::fs::write(&manifest, bytes).unwrap();
    let being_written = "backup-20260101-000000-00000001";
    std::fs::create_dir_all(instance.backup_folder(being_written).join("data")).unwrap();
    let link = "backup-20260101-000000-00000002";
    std::os::unix::fs::symlink("/", instance.backup_folder(link)).unwrap();
    instance.backup();
    instance.ok(&["sweep", "--apply"]);
    let (_, list) = instance.json(&["list"]);
    let damaged: Vec<_> = list["damaged"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["backup_id"].as_str().unwrap())
        .collect();
    assert_eq!(damaged, [id.as_str(), link, being_written]);
    assert_eq!(list["count"], 3);
    for id in damaged {
        assert!(
            instance.backup_folder(id).symlink_metadata().is_ok(),
            "{id} was removed"
        );
        assert_eq!(
            instance.run(&["restore", id, "--yes"]).status.code(),
            Some(1)
        );
    }
    let (code, operation) = instance.json(&["verify", &id]);
    assert_eq!(
        (code, operation["problems"][0]["kind"].as_str()),
        (1, Some("manifest"))
    );
    // Deleting is the one thing that removes it, and a link's target stays.
    instance.ok(&["delete", link, "--yes"]);
    assert!(instance.backup_folder(link).symlink_metadata().is_err());
}

/// Lost otherwise: whatever lies where a hostile inventory points.
#[test]
fn an_inventory_that_leads_out_of_its_place_is_refused() {
    for path in [
        "data/../../evil",
        "/etc/evil",
        "data//evil",
        "data/a\\\\b",
        "evil",
    ] {
        let instance = Instance::new();
        let id = instance.backup();
        let folder = instance.backup_folder(&id);
        let inventory = folder.join("inventory.jsonl");
        let old = std::fs::read_to_string(&inventory).unwrap();
        let first = first_data_file(&folder);
        let new = old.replacen(&first, path, 1);
        std::fs::write(&inventory, &new).unwrap();
        let mut manifest: arc_backup::manifest::Manifest =
            serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
        let mut reference = manifest.inventory.unwrap();
        reference.sha256 = arc_backup_core::Digest::of(new.as_bytes()).to_string();
        manifest.inventory = Some(reference);
        std::fs::write(
            folder.join("manifest.json"),
            arc_backup::manifest::seal(&mut manifest).unwrap(),
        )
        .unwrap();
        for command in [&["verify", &*id][..], &["restore", &*id, "--yes"]] {
            let (code, operation) = instance.json(command);
            assert_eq!(
                (code, operation["problems"][0]["kind"].as_str()),
                (1, Some("inventory")),
                "{path}: {operation}"
            );
        }
        assert!(
            !files(&instance.path(""))
                .iter()
                .any(|name| name.contains("evil"))
        );
    }
}

/// Lost otherwise: memory, to a manifest of 300 MiB; and the list of the good ones.
#[test]
fn a_huge_manifest_and_impossible_counts_are_damage_and_the_rest_is_listed() {
    let instance = Instance::new();
    let good = instance.backup();
    let huge = instance.backup();
    let file = std::fs::File::options()
        .write(true)
        .open(instance.backup_folder(&huge).join("manifest.json"))
        .unwrap();
    file.set_len(300 << 20).unwrap();
    let counts = "backup-20260101-000000-00000003";
    std::fs::create_dir(instance.backup_folder(counts)).unwrap();
    let text = format!(
        r#"{{"backup_id":"{counts}","created_at":"","total_files":18446744073709551616,"total_size_bytes":1}}"#
    );
    std::fs::write(instance.backup_folder(counts).join("manifest.json"), text).unwrap();
    let (_, list) = instance.json(&["list"]);
    assert_eq!(
        (
            list["count"].as_u64(),
            list["damaged"].as_array().unwrap().len()
        ),
        (Some(3), 2),
        "{list}"
    );
    assert_eq!(list["backups"][0]["backup_id"], good.as_str());
}

/// Lost otherwise: the promise that a kill at any moment loses nothing.
#[test]
fn kills_at_any_moment_leave_whole_backups_and_a_restore_that_can_be_completed() {
    let instance = Instance::new();
    let good = instance.backup();
    let live = instance.live();
    let mut state = 20_261_124_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for round in 0..30 {
        let arguments: &[&str] = if round % 2 == 0 {
            &["backup"]
        } else {
            &["restore", &good, "--yes"]
        };
        if round % 2 == 1 {
            std::fs::remove_dir_all(instance.path("data/arc/iot/vibration")).unwrap_or_default();
        }
        let mut child = instance
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(random(120)));
        child.kill().unwrap();
        child.wait().unwrap();
        let (_, list) = instance.json(&["list"]);
        assert_eq!(list["damaged"].as_array().unwrap().len(), 0, "{list}");
    }
    instance.ok(&["restore", &good, "--yes"]);
    assert_eq!(instance.live(), live);
    let last = instance.backup();
    let (_, list) = instance.json(&["list"]);
    let listed: Vec<&str> = list["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| b["backup_id"].as_str().unwrap())
        .collect();
    assert_eq!(listed[0], last);
    for id in &listed {
        instance.ok(&["verify", id]);
    }
    let folders = std::fs::read_dir(instance.path("data/backups"))
        .unwrap()
        .count();
    assert_eq!(
        folders,
        listed.len() + 1,
        "something else than backups and `.arc-backup` is left"
    );
    let leavings: Vec<_> = files(&instance.path("data"))
        .into_iter()
        .filter(|name| name.contains(".tmp"))
        .collect();
    assert_eq!(leavings, Vec::<String>::new());
}

/// Lost otherwise: two backups that sweep each other's files away.
#[test]
fn a_second_command_line_is_busy_and_names_the_holder_until_that_is_dead() {
    let instance = Instance::new();
    std::fs::File::create(instance.path("data/arc/iot/large.parquet"))
        .unwrap()
        .set_len(2 << 30)
        .unwrap();
    let mut first = instance
        .command(&["backup"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while instance.json(&["status"]).1["status"] != "running" {
        assert!(
            first.try_wait().unwrap().is_none(),
            "it ended before it was seen to run"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    let second = instance.run(&["backup"]);
    assert_eq!(second.status.code(), Some(3), "{}", text(&second));
    assert!(
        text(&second).contains(&format!("process {}", first.id())),
        "{}",
        text(&second)
    );
    first.kill().unwrap();
    first.wait().unwrap();
    let (_, status) = instance.json(&["status"]);
    assert_eq!(
        (status["status"].as_str(), status["error"].as_str()),
        (Some("failed"), Some("interrupted"))
    );
    std::fs::remove_file(instance.path("data/arc/iot/large.parquet")).unwrap();
    instance.backup();
}

/// Lost otherwise: files that nobody said were not in the backup; or a backup that waits for ever on a FIFO.
#[test]
fn what_is_no_regular_file_is_named_and_never_waited_on() {
    let instance = Instance::new();
    let folder = instance.path("data/arc/iot");
    std::os::unix::fs::symlink("nowhere", folder.join("dangling")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(folder.join("fifo"))
        .status()
        .unwrap();
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("s")).unwrap();
    std::fs::write(folder.join("back\\slash"), b"x").unwrap();
    let (code, operation) = instance.json(&["backup"]);
    assert_eq!(code, 0, "{operation}");
    assert_eq!(
        (
            operation["special_files"].as_u64(),
            operation["unaddressable_files"].as_u64()
        ),
        (Some(3), Some(1))
    );
    let id = operation["backup_id"].as_str().unwrap();
    let manifest: Value = serde_json::from_str(&instance.ok(&["show", id])).unwrap();
    assert_eq!(manifest["special_sample"], operation["special_sample"]);
    instance.ok(&["verify", id]);
}

/// Lost otherwise: whatever lies behind a link that a restore writes through.
#[test]
fn a_restore_does_not_write_through_a_linked_folder() {
    let instance = Instance::new();
    let id = instance.backup();
    let elsewhere = instance.path("elsewhere");
    std::fs::rename(instance.path("data/arc/iot"), &elsewhere).unwrap();
    let before = tree(&elsewhere);
    std::os::unix::fs::symlink(&elsewhere, instance.path("data/arc/iot")).unwrap();
    let output = instance.run(&["restore", &id, "--yes"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("iot"), "{}", text(&output));
    assert_eq!(tree(&elsewhere), before);
}

/// Lost otherwise: an operator's time: each mistake is told from a failure, and says what is wrong.
#[test]
fn bad_input_is_told_from_failure_and_named() {
    let instance = Instance::new();
    let unknown = "backup-20260101-000000-00000000";
    for (arguments, code, named) in [
        (&["show", "nonsense"][..], 2, "nonsense"),
        (&["show", "../../etc"], 2, "../../etc"),
        (&["show", unknown], 1, unknown),
        (&["verify", unknown], 1, unknown),
        (&["restore", unknown, "--yes"], 1, unknown),
        (&["restore", support::ARC_OLD], 2, "--yes"),
        (&["delete", support::ARC_OLD], 2, "--yes"),
        (&["delete", unknown, "--yes"], 1, unknown),
        (&["backup", "--target", "moon"], 2, "local"),
        (&["--config", "absent.toml", "list"], 2, "absent.toml"),
        (&["verify", support::ARC_OLD, "--sample", "0%"], 2, "0%"),
        (&["nonsense"], 2, "nonsense"),
    ] {
        let output = instance.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            text(&output)
        );
        assert!(
            text(&output).contains(named),
            "{arguments:?}: {}",
            text(&output)
        );
    }
    for (config, named) in [
        ("[storage]\nbackend = \"s3\"\n", "s3"),
        ("[storage\n", "line 1"),
        ("[backup]\ntimeout = \"soon\"\n", "backup.timeout"),
        (
            "[backup.targets.x]\ntype = \"ftp\"\n",
            "backup.targets.x.type",
        ),
    ] {
        let output = Instance::with_config(config).run(&["list"]);
        assert_eq!(output.status.code(), Some(2), "{config}: {}", text(&output));
        assert!(text(&output).contains(named), "{config}: {}", text(&output));
    }
}
