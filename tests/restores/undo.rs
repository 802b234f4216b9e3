//! Restores that are taken back.

#[path = "undo_again.rs"]
mod again;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;

use super::*;
pub(super) use again::*;
use arc_backup_test_s3::S3Server;
use support::database_rows;

/// Everything that a restore changes: the data, the rows of the database, `arc.toml`.
pub(super) type State = (BTreeMap<String, Vec<u8>>, Vec<String>, Vec<u8>);

pub(super) fn state(instance: &Instance, data: &Place) -> State {
    let mut files = contents(&data.sink);
    files.retain(|key, _| !key.contains(".arc-backup"));
    (
        files,
        database_rows(&instance.path("data/arc.db")),
        std::fs::read(instance.path("arc.toml")).unwrap(),
    )
}

/// Replaces, removes and adds a file, and changes the database and `arc.toml`.
pub(super) fn change_three(instance: &Instance, data: &Place) {
    put(&data.sink, LARGE, b"rewritten");
    stores::delete(&data.sink, &["iot/temperature/b.parquet"]);
    put(&data.sink, "iot/added.parquet", b"added");
    let connection = rusqlite::Connection::open(instance.path("data/arc.db")).unwrap();
    connection
        .execute_batch("DELETE FROM api_tokens WHERE id > 1")
        .unwrap();
    instance.configure("# changed");
}

/// Runs a restore or an undo, and returns its id.
pub(super) fn operation_of(instance: &Instance, arguments: &[&str]) -> String {
    let (code, done) = instance.json(&[arguments, &["--yes"]].concat());
    assert_eq!(code, 0, "{done}");
    done["operation_id"].as_str().unwrap().to_owned()
}

/// Guards against: a restore that was wrong, and that nothing brings the live state back from.
pub(super) fn a_restore_is_taken_back_to_the_byte_and_so_is_the_undo() {
    let server = s3_server();
    for (kind, prefix) in [
        (Kind::Local, true),
        (Kind::S3, true),
        (Kind::S3, false),
        (Kind::Azure, true),
    ] {
        let case = format!("{kind:?}, prefix: {prefix}");
        let instance = small();
        let data = stores::storage(kind, &instance, &server, prefix);
        let far = Place::local(&instance, "data/far");
        configure(&instance, &data, &far);
        let id = instance.ok(&["backup", "--target", "far"]);
        let old = state(&instance, &data);
        change_three(&instance, &data);
        let now = state(&instance, &data);
        let restore = operation_of(&instance, &["restore", &id, "--with-config"]);
        let after = state(&instance, &data);
        assert!(after.0 == old.0 && after.1 == old.1, "{case}");

        let (code, plan) = instance.json(&["undo", &restore, "--dry-run"]);
        assert_eq!(code, 0, "{case}: {plan}");
        assert_eq!(
            [&plan["returned_files"], &plan["removed_files"]],
            [2, 1],
            "{case}: {plan}"
        );
        assert!(state(&instance, &data) == after, "{case}: a dry run");
        let undo = operation_of(&instance, &["undo", &restore]);
        assert!(state(&instance, &data) == now, "{case}: taken back");
        let output = instance.run(&["undo", &restore, "--yes"]);
        assert_eq!(output.status.code(), Some(2), "{case}: {}", text(&output));
        let (_, kept) = instance.json(&["set-aside"]);
        assert_eq!(kept["count"], 1, "{case}: {kept}");
        assert_eq!(kept["set_aside"][0]["operation_id"], undo.as_str());
        // What an undo did can be taken back too, and that again.
        let again = operation_of(&instance, &["undo", &undo]);
        assert!(state(&instance, &data) == after, "{case}: the undo undone");
        operation_of(&instance, &["undo", &again]);
        assert!(state(&instance, &data) == now, "{case}: and that again");
        let (_, status) = instance.json(&["status"]);
        assert_eq!(status["operation"], "undo", "{case}: {status}");
        assert!(status.get("restore_in_progress").is_none(), "{case}");
        let (code, _) = instance.json(&["verify", &id]);
        assert_eq!(code, 0, "{case}");
    }
}

/// An instance whose live data was replaced by a restore.
struct Restored {
    instance: Instance,
    data: Place,
    /// The operation.
    restore: String,
    /// The state before it.
    now: State,
    /// Holds the data on S3.
    _server: Option<S3Server>,
}

fn restored_in(kind: Kind) -> Restored {
    let instance = small();
    let server = (kind == Kind::S3).then(s3_server);
    let (data, id) = match &server {
        None if kind == Kind::Local => (Place::local(&instance, "data/arc"), instance.backup()),
        _ => {
            let empty = s3_server();
            let data = stores::storage(kind, &instance, server.as_ref().unwrap_or(&empty), true);
            configure(&instance, &data, &Place::local(&instance, "data/far"));
            (data, instance.ok(&["backup", "--target", "far"]))
        }
    };
    change_three(&instance, &data);
    let now = state(&instance, &data);
    let restore = operation_of(&instance, &["restore", &id, "--with-config"]);
    Restored {
        instance,
        data,
        restore,
        now,
        _server: server,
    }
}

/// The same in a copy, on local disk; on other storages it is made once more.
fn once_more(of: &Restored) -> Restored {
    if of.data.kind != Kind::Local {
        return restored_in(of.data.kind);
    }
    let instance = scene::copy(&of.instance);
    let data = Place::local(&instance, "data/arc");
    Restored {
        instance,
        data,
        restore: of.restore.clone(),
        now: of.now.clone(),
        _server: None,
    }
}

/// Guards against: live data that an interrupted undo leaves between two states for ever. `limit`
/// is how many calls it dies at, beside those that change something.
fn killed(kind: Kind, limit: usize) {
    let first = restored_in(kind);
    let (mut runs, mut deaths) = (0, 0);
    for fault in ["die:before", "die:after"] {
        let counting = once_more(&first);
        let arguments = ["undo", counting.restore.as_str(), "--yes"];
        let (whole, trace) = faulty(
            &counting.instance,
            &format!("{fault}:1000000"),
            "",
            &arguments,
        );
        assert!(whole.status.success(), "{}", text(&whole));
        let step = trace.len().div_ceil(limit);
        let changes = [".put_back\t", ".set_aside\t", ".apply\t", ".remove_aside\t"];
        let is_met = |number: &usize| {
            let call = &trace[number - 1];
            number.is_multiple_of(step) || changes.iter().any(|change| call.contains(change))
        };
        for number in (1..=trace.len()).filter(is_met) {
            runs += 1;
            let Restored {
                instance,
                data,
                restore,
                now,
                _server,
            } = once_more(&first);
            let arguments = ["undo", restore.as_str(), "--yes"];
            let (died, _) = faulty(&instance, &format!("{fault}:{number}"), "", &arguments);
            let case = format!(
                "{kind:?}, {fault}, call {number} of {}: {}: {}",
                trace.len(),
                trace[number - 1],
                text(&died)
            );
            if died.status.signal() == Some(9) {
                deaths += 1;
            } else {
                // Elsewhere, the number of calls is not the same in each run.
                assert!(case.contains(".needed") || kind != Kind::Local, "{case}");
            }
            let (_, shown) = instance.json(&["status"]);
            if let Some(marker) = shown.get("restore_in_progress") {
                assert_eq!(marker["undoes"], restore.as_str(), "{case}: {shown}");
            }
            let again = instance.run(&arguments);
            let is_done = text(&again).contains("was taken back already");
            assert!(
                again.status.success() || is_done,
                "{case}: {}",
                text(&again)
            );
            assert!(state(&instance, &data) == now, "{case}: other live data");
            let (_, shown) = instance.json(&["status"]);
            assert!(
                shown.get("restore_in_progress").is_none(),
                "{case}: {shown}"
            );
            // A part of a file that was to be set aside goes with the others there.
            let mut left = named_like(&instance.path("data"), &[".arc-backup-2", ".tmp"]);
            left.retain(|path| !path.contains("before-restore"));
            assert_eq!(left, Vec::<String>::new(), "{case}");
        }
    }
    println!("{kind:?}: {deaths} killed undos of {runs}");
    assert!(
        deaths > 4 && runs - deaths <= 1 + runs / 10,
        "{deaths} of {runs}"
    );
}

pub(super) fn an_undo_that_was_killed_is_completed() {
    for (kind, limit) in [(Kind::Local, 5), (Kind::S3, 2), (Kind::Azure, 2)] {
        killed(kind, limit);
    }
}

pub(super) fn an_undo_that_was_killed_at_any_call_is_completed() {
    for kind in stores::KINDS {
        killed(kind, usize::MAX);
    }
}

/// Guards against: a restore that failed half-way, and can only be completed.
pub(super) fn half_a_restore_is_taken_back() {
    for call in ["storage.promote", "source-metadata.apply"] {
        let instance = small();
        let data = Place::local(&instance, "data/arc");
        let id = instance.backup();
        change_three(&instance, &data);
        let now = state(&instance, &data);
        let arguments = ["restore", id.as_str(), "--yes"];
        let (failed, _) = faulty(&instance, "error:1", call, &arguments);
        let said = text(&failed);
        assert_eq!(failed.status.code(), Some(1), "{call}: {said}");
        let (_, status) = instance.json(&["status"]);
        let operation = status["operation_id"].as_str().unwrap();
        let (completes, undoes) = (
            format!("arc-backup restore {id}"),
            format!("arc-backup undo {operation}"),
        );
        let counts = match call {
            "storage.promote" => "0 data files are restored, 2 are not",
            _ => "2 data files are restored, 0 are not",
        };
        for part in [counts, "set aside in", &completes, &undoes] {
            assert!(said.contains(part), "{call}: no {part:?} in {said}");
        }
        assert!(
            state(&instance, &data) != now,
            "{call}: nothing was changed"
        );
        // Only what was interrupted may change live data.
        operation_of(&instance, &["undo", operation]);
        assert!(state(&instance, &data) == now, "{call}");
        assert_eq!(leftovers(&instance, false, call), Vec::<String>::new());
    }
    // And of a restore of two runs, the state from before the first.
    let instance = small();
    let data = Place::local(&instance, "data/arc");
    let id = instance.backup();
    change_three(&instance, &data);
    let now = state(&instance, &data);
    let arguments = ["restore", id.as_str(), "--yes"];
    let (failed, _) = faulty(&instance, "die:after:1", "storage.promote", &arguments);
    assert_eq!(failed.status.signal(), Some(9), "{}", text(&failed));
    let whole = operation_of(&instance, &["restore", &id]);
    operation_of(&instance, &["undo", &whole]);
    assert!(state(&instance, &data) == now, "of two runs");
}

/// Guards against: rows that are lost or doubled by an undo over data that has changed since.
pub(super) fn a_restore_over_whose_files_arc_has_written_is_not_taken_back() {
    let instance = small();
    let data = Place::local(&instance, "data/arc");
    let id = instance.backup();
    change_three(&instance, &data);
    let restore = operation_of(&instance, &["restore", &id]);
    let good = contents(&data.sink);
    let refused = |undo: &str, code: i32, parts: &[&str]| {
        let before = state(&instance, &data);
        let output = instance.run(&["undo", undo, "--yes"]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        for part in parts {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
        assert!(
            state(&instance, &data) == before,
            "live data changed: {said}"
        );
    };
    put(&data.sink, LARGE, b"rewritten by a delete");
    refused(
        &restore,
        1,
        &[LARGE, "changed after the restore", "nothing was changed"],
    );
    put(&data.sink, LARGE, &good[LARGE]);
    let brought = "iot/temperature/b.parquet";
    stores::delete(&data.sink, &[brought]);
    refused(&restore, 1, &[brought, "it is gone"]);
    put(&data.sink, brought, &good[brought]);
    // A later one has to go first, and what is no restore can't.
    let later = operation_of(&instance, &["restore", &id]);
    refused(&restore, 2, &[&format!("arc-backup undo {later}")]);
    refused("20260101-000000-01234567", 1, &["no operation"]);
    let (_, history) = instance.json(&["history", "--operation", "backup"]);
    let backup = history["operations"][0]["operation_id"].as_str().unwrap();
    refused(backup, 2, &["was a backup"]);
    operation_of(&instance, &["undo", &later]);
    // What Arc writes since stays.
    put(&data.sink, "iot/since.parquet", b"since");
    operation_of(&instance, &["undo", &restore]);
    assert_eq!(contents(&data.sink)["iot/since.parquet"], b"since");
    assert_eq!(contents(&data.sink)[LARGE], b"rewritten");
}

/// Guards against: replaced files that are removed without a word, or never.
pub(super) fn what_is_set_aside_is_listed_and_expires() {
    let instance = small();
    let data = Place::local(&instance, "data/arc");
    let id = instance.backup();
    change_three(&instance, &data);
    let first = operation_of(&instance, &["restore", &id]);
    put(&data.sink, LARGE, b"rewritten once more");
    let second = operation_of(&instance, &["restore", &id, "--no-metadata"]);
    let service = instance.serve();
    let listed = service.get("/api/v1/backup/set-aside").json();
    assert_eq!(listed["count"], 2, "{listed}");
    let all = listed["set_aside"].as_array().unwrap();
    let one = (all.iter())
        .find(|one| one["operation_id"] == *first)
        .unwrap();
    assert_eq!(one["backup_id"], *id);
    // Two files of the data, and the database.
    assert_eq!(one["files"], 3, "{listed}");
    assert!(one.get("expires_at").is_none(), "{listed}");
    let unknown = "20260101-000000-01234567";
    let path = |id: &str| format!("/api/v1/backup/set-aside/{id}");
    assert_eq!(service.delete(&path(unknown)).status, 404);
    assert_eq!(service.delete(&path(&second)).status, 200);
    for (body, status) in [
        (json!({}), 400),
        (json!({"operation_id": first}), 400),
        (json!({"operation_id": unknown, "confirm": true}), 404),
        (json!({"operation_id": unknown, "dry_run": true}), 404),
        // What came after it can't be taken back any more.
        (json!({"operation_id": first, "dry_run": true}), 400),
    ] {
        let answer = service.post("/api/v1/backup/undo", &body.to_string());
        assert_eq!(answer.status, status, "{body}: {}", answer.json());
    }
    drop(service);
    let toml = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    let expiring = format!("{toml}\n[arc_backup]\nkeep_set_aside = \"1s\"\n");
    std::fs::write(instance.path("arc.toml"), expiring).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let (code, made) = instance.json(&["backup"]);
    assert_eq!(code, 0, "{made}");
    let warnings = made["warnings"].to_string();
    assert!(
        warnings.contains(&first) && warnings.contains("keep_set_aside"),
        "{made}"
    );
    let (_, listed) = instance.json(&["set-aside"]);
    assert_eq!(listed["count"], 0, "{listed}");
    let output = instance.run(&["undo", &first, "--yes"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
}

/// Guards against: an undo that REST can't ask for, or that does something else there.
pub(super) fn a_restore_is_taken_back_over_rest() {
    let instance = small();
    let data = Place::local(&instance, "data/arc");
    let id = instance.backup();
    change_three(&instance, &data);
    let now = state(&instance, &data);
    let restore = operation_of(&instance, &["restore", &id, "--no-metadata"]);
    let service = instance.serve();
    let dry = json!({"operation_id": restore, "dry_run": true}).to_string();
    let plan = service.post("/api/v1/backup/undo", &dry);
    assert_eq!(plan.status, 200);
    assert_eq!(plan.json()["returned_files"], 2, "{}", plan.json());
    let body = json!({"operation_id": restore, "confirm": true}).to_string();
    let done = stores::done(&service, "/api/v1/backup/undo", &body);
    assert_eq!(done["undoes"], restore.as_str(), "{done}");
    assert!(state(&instance, &data).0 == now.0);
}
