//! Files in places where nothing can be renamed, written or created: single files that are mounted,
//! links, and read-only mounts.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/disk.rs"]
mod disk;
#[path = "support/scene.rs"]
mod scene;
mod support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use disk::{Disk, done, run};
use scene::{change, live, small};
use support::{Instance, database_rows, named_like, text};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

/// Guards against secrets of arc.toml that everybody can read in a backup, and an Arc that can't
/// read its file after a restore.
#[test]
fn files_with_secrets_are_private_in_a_backup_and_get_their_mode_back() {
    let instance = small();
    let (config, database) = (instance.path("arc.toml"), instance.path("data/arc.db"));
    for (path, bits) in [(&config, 0o644), (&database, 0o640)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
    }
    let id = instance.backup();
    let folder = instance.backup_folder(&id);
    assert_eq!(mode(&folder.join("config/arc.toml")), 0o600);
    assert_eq!(mode(&folder.join("metadata/arc.db")), 0o600);
    let inventory = crate::support::inventory_of(&folder);
    for (path, bits) in [("config/arc.toml", 0o644), ("metadata/arc.db", 0o640)] {
        let line = inventory.lines().find(|line| line.contains(path)).unwrap();
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let recorded = &line["mode"];
        let is_right = *recorded == bits || recorded.as_str() == Some(&format!("{bits:04o}"));
        assert!(is_right, "{line}");
    }
    instance.configure("# changed");
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::remove_file(&database).unwrap();
    instance.ok(&["restore", &id, "--yes", "--with-config"]);
    assert_eq!((mode(&config), mode(&database)), (0o644, 0o640));
}

/// Guards against a restore that can't be completed because arc.toml is mounted as a single file.
#[test]
fn arc_toml_that_nothing_can_be_renamed_over_is_written_in_its_place() {
    let instance = small();
    let path = instance.path("arc.toml");
    let (config, inode) = (
        std::fs::read(&path).unwrap(),
        std::fs::metadata(&path).unwrap().ino(),
    );
    let (id, before) = (instance.backup(), live(&instance));
    change(&instance);
    let changed = std::fs::read(&path).unwrap();
    assert!(changed.len() > config.len());
    let done = done(
        &instance,
        &Disk::Mounted("arc.toml"),
        &["restore", &id, "--yes", "--with-config"],
    );
    assert_eq!(std::fs::read(&path).unwrap(), config);
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
    assert!(live(&instance) == before);
    let kept = done["kept"].as_array().unwrap();
    let kept = kept
        .iter()
        .find(|path| path.as_str().unwrap().contains("arc.toml"));
    let kept = kept.unwrap().as_str().unwrap();
    assert_eq!(
        std::fs::read(instance.path(kept)).unwrap(),
        changed,
        "{kept}"
    );
    let (_, status) = instance.json(&["status"]);
    assert_eq!(status.get("restore_in_progress"), None, "{status}");
}

/// An instance with `arc.toml` in the folder `conf`, and the arguments before each command.
fn with_config_elsewhere() -> Instance {
    let instance = small();
    std::fs::create_dir(instance.path("conf")).unwrap();
    std::fs::rename(instance.path("arc.toml"), instance.path("conf/arc.toml")).unwrap();
    instance
}

const ELSEWHERE: [&str; 2] = ["--config", "conf/arc.toml"];

/// Guards against an arc.toml that can't be restored because Arc's user may not write its folder.
#[test]
fn arc_toml_in_a_folder_that_is_closed_is_written_in_its_place_and_kept_in_the_state_folder() {
    let instance = with_config_elsewhere();
    let path = instance.path("conf/arc.toml");
    let id = instance.ok(&[&ELSEWHERE[..], &["backup"]].concat());
    let config = std::fs::read_to_string(&path).unwrap();
    let changed = format!("{config}\n# changed, and longer\n");
    std::fs::write(&path, &changed).unwrap();
    let arguments = [&ELSEWHERE[..], &["restore", &id, "--yes", "--with-config"]].concat();
    done(&instance, &Disk::Closed("conf"), &arguments);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), config);
    let kept = support::kept(&instance.path("data/backups/.arc-backup/arc.toml"));
    assert_eq!(std::fs::read_to_string(&kept[0]).unwrap(), changed);
    assert_eq!(support::files(&instance.path("conf")), ["arc.toml"]);
}

/// Guards against a partial restore that can never be completed.
#[test]
fn arc_toml_that_can_not_be_written_is_refused_before_the_first_change_and_can_be_omitted() {
    let instance = with_config_elsewhere();
    let path = instance.path("conf/arc.toml");
    let id = instance.ok(&[&ELSEWHERE[..], &["backup"]].concat());
    let old = live(&instance);
    std::fs::write(instance.path("data/arc/iot/temperature/a.parquet"), "other").unwrap();
    let now = live(&instance);
    // Equal bytes need no write.
    let disk = Disk::ReadOnly("conf");
    let with_config = [&ELSEWHERE[..], &["restore", &id, "--yes", "--with-config"]].concat();
    done(&instance, &disk, &with_config);
    assert!(live(&instance) == old);
    std::fs::write(instance.path("data/arc/iot/temperature/a.parquet"), "other").unwrap();
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{config}\n# changed\n")).unwrap();
    let output = run(&instance, &disk, &with_config);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let said = text(&output);
    assert!(
        said.contains("nothing was changed") && said.contains("config/arc.toml"),
        "{said}"
    );
    assert!(
        said.contains("--with-config") && said.contains("conf/arc.toml"),
        "{said}"
    );
    assert!(live(&instance) == now);
    assert!(!instance.path("data/arc.arc-backup-restore.json").exists());

    // An interrupted restore that had restored the data before the mount became read-only.
    let marker = format!(
        r#"{{"operation_id":"x-1","backup_id":"{id}","sections":["data","metadata","config"],"done":["data"],"phase":"applying","written_at":"2026-11-24T00:00:00Z"}}"#
    );
    std::fs::write(
        instance.path("data/backups/.arc-backup/restore-in-progress.json"),
        marker,
    )
    .unwrap();
    let output = run(&instance, &disk, &with_config);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("nothing more was changed"),
        "{}",
        text(&output)
    );
    // It must not be omitted where it can be written.
    let without = [&ELSEWHERE[..], &["restore", &id, "--yes"]].concat();
    let output = instance.run(&without);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("omits a part"), "{}", text(&output));
    let ended = done(&instance, &disk, &without);
    assert!(
        ended["warnings"]
            .to_string()
            .contains("arc.toml stays as it is"),
        "{ended}"
    );
    assert!(live(&instance) == old);
    let (_, status) = instance.json(&[&ELSEWHERE[..], &["status"]].concat());
    assert_eq!(status.get("restore_in_progress"), None, "{status}");
}

/// Guards against a restore that replaces a link, or loses the bytes of its target.
#[test]
fn a_link_stays_and_its_target_is_replaced_and_kept() {
    let instance = small();
    for (link, real) in [
        ("arc.toml", "conf/real.toml"),
        ("data/arc.db", "other/real.db"),
    ] {
        let real = instance.path(real);
        std::fs::create_dir(real.parent().unwrap()).unwrap();
        std::fs::rename(instance.path(link), &real).unwrap();
        std::os::unix::fs::symlink(&real, instance.path(link)).unwrap();
    }
    let id = instance.backup();
    let (config, before) = (
        std::fs::read(instance.path("arc.toml")).unwrap(),
        live(&instance),
    );
    change(&instance);
    let changed = std::fs::read(instance.path("arc.toml")).unwrap();
    // SQLite can't write into garbage: the file is moved away.
    std::fs::write(instance.path("data/arc.db"), "garbage".repeat(1000)).unwrap();
    instance.ok(&["restore", &id, "--yes", "--with-config"]);
    assert!(live(&instance) == before);
    for link in ["arc.toml", "data/arc.db"] {
        let meta = std::fs::symlink_metadata(instance.path(link)).unwrap();
        assert!(meta.is_symlink(), "{link}");
    }
    let read = |path| std::fs::read(instance.path(path)).unwrap();
    assert_eq!(read("conf/real.toml"), config);
    let kept = |path| std::fs::read(&support::kept(&instance.path(path))[0]).unwrap();
    assert_eq!(kept("conf/real.toml"), changed);
    assert_eq!(kept("other/real.db"), "garbage".repeat(1000).as_bytes());
}

/// Guards against a restore that stops halfway at a broken database mounted as a single file.
#[test]
fn a_database_that_nothing_can_be_renamed_over_is_written_in_its_place_and_kept() {
    let instance = small();
    let path = instance.path("data/arc.db");
    let (id, rows) = (instance.backup(), database_rows(&path));
    let garbage = "garbage".repeat(100_000);
    std::fs::write(&path, &garbage).unwrap();
    let disk = Disk::Mounted("data/arc.db");
    done(&instance, &disk, &["restore", &id, "--yes"]);
    assert_eq!(database_rows(&path), rows);
    let kept = std::fs::read_to_string(&support::kept(&path)[0]).unwrap();
    assert!(kept == garbage);
}

/// An instance with only Arc's files in `data`, as for a sidecar with a read-only mount.
fn beside_a_read_only_mount() -> Instance {
    let instance = small();
    let path = instance.path("arc.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let config = config.replace("./data/backups", "./backups");
    std::fs::write(
        path,
        format!("{config}\nstate_path = \"./state/history.db\"\n"),
    )
    .unwrap();
    instance
}

fn in_wal_mode(instance: &Instance) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(instance.path("data/arc.db")).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; CREATE TABLE probe (x); INSERT INTO probe VALUES (1), (2), (3)",
        )
        .unwrap();
    connection
}

fn rows_in_backup(instance: &Instance, made: &serde_json::Value) -> Vec<String> {
    let id = made["backup_id"].as_str().unwrap();
    let copy = instance.path("copy.db");
    std::fs::copy(
        instance.path(&format!("backups/{id}/metadata/arc.db")),
        &copy,
    )
    .unwrap();
    database_rows(&copy)
}

/// Guards against a sidecar whose backups fail while Arc is stopped.
#[test]
fn a_database_in_wal_mode_on_a_mount_that_can_only_be_read_is_backed_up() {
    let instance = beside_a_read_only_mount();
    drop(in_wal_mode(&instance));
    assert_eq!(
        named_like(&instance.path("data"), &["-wal", "-shm"]),
        [""; 0]
    );
    let disk = Disk::ReadOnly("data");
    let made = done(&instance, &disk, &["backup"]);
    assert_eq!(
        named_like(&instance.path("data"), &["-wal", "-shm"]),
        [""; 0]
    );
    let rows = rows_in_backup(&instance, &made);
    assert!(
        rows.iter().any(|row| row.starts_with("probe: Integer(3)")),
        "{rows:?}"
    );
    assert_eq!(rows, database_rows(&instance.path("data/arc.db")));
    let report = run(&instance, &disk, &["--json", "doctor"]);
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let database = checks
        .iter()
        .find(|check| check["subject"] == "database arc.db");
    assert_eq!(database.unwrap()["ok"], true, "{report}");
    assert_eq!(named_like(&instance.path("state"), &[".source"]), [""; 0]);
}

/// Guards against losing rows that a killed Arc had committed, which are only in the `-wal`.
#[test]
fn the_wal_of_a_killed_arc_is_in_the_backup_from_a_read_only_mount() {
    let instance = beside_a_read_only_mount();
    let connection = in_wal_mode(&instance);
    let folder = instance.path("data");
    let killed = instance.path("killed");
    std::fs::create_dir(&killed).unwrap();
    for name in ["arc.db", "arc.db-wal"] {
        std::fs::copy(folder.join(name), killed.join(name)).unwrap();
    }
    drop(connection);
    for name in ["arc.db", "arc.db-wal"] {
        std::fs::rename(killed.join(name), folder.join(name)).unwrap();
    }
    let wal = std::fs::read(folder.join("arc.db-wal")).unwrap();
    assert!(!wal.is_empty());
    let made = done(&instance, &Disk::ReadOnly("data"), &["backup"]);
    let rows = rows_in_backup(&instance, &made);
    assert!(
        rows.iter().any(|row| row.starts_with("probe: Integer(3)")),
        "{rows:?}"
    );
    assert_eq!(std::fs::read(folder.join("arc.db-wal")).unwrap(), wal);
}
