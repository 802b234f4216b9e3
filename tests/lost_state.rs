//! A restore is killed, and the state folder is lost with its container. The restore marker beside
//! the data remains.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/faults/mod.rs"]
mod faults;
#[path = "support/scene.rs"]
mod scene;
#[path = "support/stores.rs"]
mod stores;
mod support;

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use faults::{by_name, faulty};
use scene::{leftovers, listed, live, small};
use serde_json::Value;
use stores::{Kind, Place, contents, put, s3_server};
use support::{Instance, named_like, text};

fn main() -> ExitCode {
    let mut tests = by_name![
        beside_local_data,
        an_unreadable_restore_marker_still_counts,
        a_storage_that_can_not_be_written_does_not_prevent_a_restore_of_databases,
        the_snapshot_of_a_killed_backup_is_removed_when_the_service_starts,
        a_service_that_starts_leaves_a_backup_alone,
        a_restore_over_data_that_can_not_be_marked_changes_nothing
    ];
    tests.push(("beside_data_on_s3", || in_a_store(Kind::S3)));
    tests.push(("beside_data_on_azure", || in_a_store(Kind::Azure)));
    faults::main(tests)
}

/// An instance with its own state folder.
fn with_state() -> Instance {
    let instance = small();
    instance.configure("state_path = \"./state/history.db\"");
    instance
}

fn is_reported(instance: &Instance, id: &str) -> Value {
    let (_, status) = instance.json(&["status"]);
    assert_eq!(status["restore_in_progress"]["backup_id"], id, "{status}");
    let said = text(&instance.run(&["status"]));
    assert!(said.contains(&format!("arc-backup restore {id}")), "{said}");
    let service = instance.serve();
    let served = service.get("/api/v1/backup/status").json();
    assert_eq!(served["restore_in_progress"]["backup_id"], id, "{served}");
    let (_, report) = instance.json(&["doctor"]);
    let checks = report["checks"].as_array().unwrap();
    let reported = (checks.iter()).any(|check| check["check"] == "restore" && check["ok"] == false);
    assert!(reported, "{report}");
    status["restore_in_progress"].clone()
}

/// Kills a restore after its first change, and removes the state folder.
fn kill_and_lose(instance: &Instance, id: &str, calls: &str) {
    let (output, trace) = faulty(instance, "die:after:2", calls, &["restore", id, "--yes"]);
    assert_eq!(output.status.signal(), Some(9), "{}", text(&output));
    assert_eq!(trace.len(), 2, "{trace:?}");
    std::fs::remove_dir_all(instance.path("state")).unwrap();
}

/// A backup made now warns about the marker and does not hold it, and a partial restore is refused.
fn assert_marker_is_respected(instance: &Instance, id: &str) {
    let (code, made) = instance.json(&["backup"]);
    assert_eq!(code, 0, "{made}");
    let warnings = made["warnings"].to_string();
    assert!(
        warnings.contains(id) && warnings.contains("interrupted"),
        "{made}"
    );
    let half = made["backup_id"].as_str().unwrap();
    let inventory = crate::support::inventory_of(&instance.backup_folder(half));
    assert!(
        !inventory.contains("restore"),
        "the marker is not data: {inventory}"
    );
    let refused = instance.run(&["restore", id, "--yes", "--no-data"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(
        text(&refused).contains("omits a part"),
        "{}",
        text(&refused)
    );
    instance.ok(&["delete", half, "--yes", "--even-last"]);
}

fn change(instance: &Instance) {
    let root = instance.path("data/arc");
    std::fs::write(root.join("metrics/large.parquet"), b"rewritten").unwrap();
    std::fs::write(root.join("iot/temperature/a.parquet"), b"too").unwrap();
    std::fs::remove_file(root.join("iot/temperature/b.parquet")).unwrap();
    std::fs::write(root.join("iot/added.parquet"), b"added").unwrap();
}

/// Guards against a backup of half-restored files that completes without a warning.
fn beside_local_data() {
    let instance = with_state();
    let id = instance.backup();
    let old = live(&instance);
    change(&instance);
    kill_and_lose(&instance, &id, "storage.promote");
    assert!(live(&instance) != old, "nothing is left to be done");
    let beside = instance.path("data/arc.arc-backup-restore.json");
    assert!(beside.exists());
    is_reported(&instance, &id);
    assert_marker_is_respected(&instance, &id);
    let (code, done) = instance.json(&["restore", &id, "--yes"]);
    assert_eq!(code, 0, "{done}");
    assert!(live(&instance) == old);
    // The files that the killed run had set aside lie under its own id.
    assert!(
        done["warnings"].to_string().contains("before-restore"),
        "{done}"
    );
    assert!(!beside.exists());
    let (_, status) = instance.json(&["status"]);
    assert_eq!(status.get("restore_in_progress"), None, "{status}");
    std::fs::remove_dir_all(instance.path("state")).unwrap();
    assert_eq!(
        leftovers(&instance, false, "restored"),
        Vec::<String>::new()
    );
    assert_eq!(listed(&instance, "restored"), [id]);
}

/// The same in a store, where nothing is staged.
fn in_a_store(kind: Kind) {
    let (instance, server) = (with_state(), s3_server());
    let place = stores::storage(kind, &instance, &server, true);
    let target = Place::local(&instance, "data/far");
    stores::configure(&instance, &place, &target);
    let id = instance.backup();
    let old = contents(&place.sink);
    let keys: Vec<_> = old.keys().cloned().collect();
    for key in &keys[..3] {
        put(&place.sink, key, b"rewritten");
    }
    // The first commit writes the marker.
    kill_and_lose(&instance, &id, "storage.commit");
    let marker = ".arc-backup/restore-in-progress.json";
    assert!(contents(&place.sink).contains_key(marker), "{kind:?}");
    let marked = is_reported(&instance, &id);
    assert_eq!(marked["sections"][0], "data", "{marked}");
    assert_marker_is_respected(&instance, &id);
    let (code, done) = instance.json(&["restore", &id, "--yes"]);
    assert_eq!(code, 0, "{kind:?}: {done}");
    // As an extra file of the storage, the marker would have been set aside.
    let aside = done["set_aside_location"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let now = contents(&place.sink);
    let now: Vec<_> = (now.into_iter())
        .filter(|(key, _)| !key.contains("before-restore"))
        .collect();
    assert!(
        now == old.into_iter().collect::<Vec<_>>(),
        "{kind:?}: {aside}"
    );
    let (_, status) = instance.json(&["status"]);
    assert_eq!(status.get("restore_in_progress"), None, "{status}");
}

/// Guards against ignoring a damaged restore marker, and against setting it aside as data.
fn an_unreadable_restore_marker_still_counts() {
    // Beside the root, and inside it, where a volume is mounted at the root.
    for place in [
        "data/arc.arc-backup-restore.json",
        "data/arc/.arc-backup-restore.json",
    ] {
        let instance = with_state();
        let id = instance.backup();
        let marker = instance.path(place);
        std::fs::write(&marker, b"{").unwrap();
        let (_, status) = instance.json(&["status"]);
        let said = status["restore_in_progress"]["unreadable"].to_string();
        assert!(
            said.contains("arc-backup-restore.json"),
            "{place}: {status}"
        );
        let refused = instance.run(&["restore", &id, "--yes", "--no-metadata"]);
        assert_eq!(
            refused.status.code(),
            Some(1),
            "{place}: {}",
            text(&refused)
        );
        assert_eq!(std::fs::read(&marker).unwrap(), b"{", "{place}");
        let (_, made) = instance.json(&["backup"]);
        assert!(
            made["warnings"].to_string().contains("restore.json"),
            "{made}"
        );
        let data = support::files(&instance.path("data/arc")).into_iter();
        let data = data
            .filter(|path| !path.contains("arc-backup-restore"))
            .count();
        // And the database, and arc.toml.
        assert_eq!(made["total_files"], data + 2, "{place}: {made}");
        let (code, done) = instance.json(&["restore", &id, "--yes"]);
        assert_eq!(code, 0, "{place}: {done}");
        assert_eq!(done["set_aside_files"], 0, "{place}: {done}");
        assert!(!marker.exists(), "{place}");
    }
}

/// Guards against a database that can't be restored because the bucket is read-only or down.
fn a_storage_that_can_not_be_written_does_not_prevent_a_restore_of_databases() {
    for (fault, calls) in [
        ("unavailable:1+", "storage."),
        ("error:1+", "storage."),
        ("error:1+", "storage.begin"),
    ] {
        let (instance, server) = (with_state(), s3_server());
        let place = stores::storage(Kind::S3, &instance, &server, true);
        stores::configure(&instance, &place, &Place::local(&instance, "data/far"));
        let id = instance.backup();
        let connection = rusqlite::Connection::open(instance.path("data/arc.db")).unwrap();
        connection.execute_batch("DELETE FROM api_tokens").unwrap();
        drop(connection);
        let arguments = ["--json", "restore", &id, "--yes", "--no-data"];
        let (output, _) = faulty(&instance, fault, calls, &arguments);
        assert_eq!(output.status.code(), Some(0), "{fault}: {}", text(&output));
        let done: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            done["warnings"].to_string().contains("marker"),
            "{fault}: {done}"
        );
        assert!(!instance.path("state/restore-in-progress.json").exists());
    }
}

/// Guards against half-restored live data without a restore marker.
fn a_restore_over_data_that_can_not_be_marked_changes_nothing() {
    let (instance, server) = (with_state(), s3_server());
    let place = stores::storage(Kind::S3, &instance, &server, true);
    stores::configure(&instance, &place, &Place::local(&instance, "data/far"));
    let id = instance.backup();
    let old = contents(&place.sink);
    let key = old.keys().next().unwrap();
    put(&place.sink, key, b"rewritten");
    let now = contents(&place.sink);
    let (output, trace) = faulty(
        &instance,
        "error:1",
        "storage.begin",
        &["restore", &id, "--yes"],
    );
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(trace[0].contains("restore-in-progress.json"), "{trace:?}");
    let said = text(&output);
    assert!(
        said.contains("marker") && said.contains("nothing was changed"),
        "{said}"
    );
    assert!(contents(&place.sink) == now);
    let (_, status) = instance.json(&["status"]);
    assert_eq!(status.get("restore_in_progress"), None, "{status}");
}

/// The folders of hard links and of scratch files.
fn held(instance: &Instance) -> Vec<String> {
    let mut held = named_like(&instance.path("data"), &["-freeze-"]);
    let scratch = instance.path("state/scratch");
    for folder in ["operations", "stale"] {
        let children = std::fs::read_dir(scratch.join(folder));
        let children = children.into_iter().flatten();
        held.extend(children.map(|child| child.unwrap().path().display().to_string()));
    }
    held
}

/// Guards against a killed backup whose hard links keep the space of all that Arc deletes.
fn the_snapshot_of_a_killed_backup_is_removed_when_the_service_starts() {
    let instance = with_state();
    let (output, _) = faulty(&instance, "die:before:3", "target.begin", &["backup"]);
    assert_eq!(output.status.signal(), Some(9), "{}", text(&output));
    assert!(held(&instance).len() >= 2, "{:?}", held(&instance));
    let service = instance.serve();
    let until = Instant::now() + Duration::from_secs(30);
    while !held(&instance).is_empty() {
        assert!(Instant::now() < until, "{:?}", held(&instance));
        std::thread::sleep(Duration::from_millis(20));
    }
    let made = stores::done(&service, "/api/v1/backup", "");
    instance.ok(&["verify", made["backup_id"].as_str().unwrap()]);
}

/// Guards against a starting service that damages a backup of a running command.
fn a_service_that_starts_leaves_a_backup_alone() {
    let instance = with_state();
    let backup = Command::new(std::env::current_exe().unwrap())
        .env(faults::CHILD, "1")
        .env(faults::FAULT, "delay:3000:3")
        .env(faults::CALLS, "target.begin")
        .arg("-C")
        .arg(instance.path(""))
        .args(["--json", "backup"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while held(&instance).len() < 2 {
        assert!(Instant::now() < until, "it froze nothing");
        std::thread::sleep(Duration::from_millis(5));
    }
    let _service = instance.serve();
    let output = backup.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (_, manifest) = instance.json(&["show", made["backup_id"].as_str().unwrap()]);
    assert_eq!(
        manifest["consistency"]["method"], "hard-links",
        "{manifest}"
    );
    instance.ok(&["verify", made["backup_id"].as_str().unwrap()]);
}
