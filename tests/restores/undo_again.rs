//! Undos of what was interrupted, and undos that are asked for twice.

use super::*;
use support::ADMIN;

/// An instance whose restore was killed after it had brought a first file, with the state from
/// before it.
fn half_restored() -> (Instance, Place, String, State) {
    let instance = small();
    let data = Place::local(&instance, "data/arc");
    let id = instance.backup();
    change_three(&instance, &data);
    let now = state(&instance, &data);
    let arguments = ["restore", id.as_str(), "--yes"];
    let (killed, _) = faulty(&instance, "die:after:1", "storage.promote", &arguments);
    assert_eq!(killed.status.signal(), Some(9), "{}", text(&killed));
    assert!(state(&instance, &data) != now, "nothing was changed");
    (instance, data, id, now)
}

/// The operation that changes live data and has not ended.
fn interrupted(instance: &Instance) -> String {
    let (_, status) = instance.json(&["status"]);
    let marker = &status["restore_in_progress"];
    marker["operation_id"].as_str().unwrap().to_owned()
}

/// Runs an undo that has to be refused, and to change nothing.
fn not_undone(instance: &Instance, data: &Place, operation: &str, code: i32, parts: &[&str]) {
    let before = state(instance, data);
    let output = instance.run(&["undo", operation, "--yes"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{operation}: {said}");
    for part in parts {
        assert!(said.contains(part), "{operation}: no {part:?} in {said}");
    }
    assert!(state(instance, data) == before, "live data changed: {said}");
}

/// Guards against: half a restore that comes back as a whole, without a marker.
pub(crate) fn what_was_interrupted_is_not_brought_back_by_an_undo_of_its_undo() {
    let (instance, data, _, now) = half_restored();
    let half = interrupted(&instance);
    let undo = operation_of(&instance, &["undo", &half]);
    assert!(state(&instance, &data) == now);
    not_undone(&instance, &data, &undo, 2, &[&half, "restore a backup"]);

    // Of an undo that was interrupted there is no way back either, and the restore stays undoable.
    let instance = small();
    let data = Place::local(&instance, "data/arc");
    let id = instance.backup();
    change_three(&instance, &data);
    let now = state(&instance, &data);
    let restore = operation_of(&instance, &["restore", &id]);
    let arguments = ["undo", restore.as_str(), "--yes"];
    let (killed, _) = faulty(&instance, "die:after:1", "storage.put_back", &arguments);
    assert_eq!(killed.status.signal(), Some(9), "{}", text(&killed));
    let first = interrupted(&instance);
    let completes = format!("arc-backup undo {restore}");
    not_undone(&instance, &data, &first, 2, &["interrupted", &completes]);
    assert_eq!(interrupted(&instance), first, "the marker is gone");
    operation_of(&instance, &["undo", &restore]);
    assert!(state(&instance, &data) == now);
}

/// Guards against: rows that are there twice, where compaction has merged files that half a restore
/// had brought.
pub(crate) fn half_a_restore_whose_files_were_compacted_is_not_taken_back() {
    let (instance, data, id, _) = half_restored();
    let half = interrupted(&instance);
    let brought = "iot/temperature/b.parquet";
    assert!(contents(&data.sink).contains_key(brought));
    let merged = "iot/temperature/b_1_daily.parquet";
    let bytes = contents(&data.sink)[brought].clone();
    put(&data.sink, merged, &bytes);
    stores::delete(&data.sink, &[brought]);
    not_undone(&instance, &data, &half, 1, &[brought, "it is gone"]);
    // The refused undo has left what the restore has staged, and the restore completes.
    let (code, done) = instance.json(&["restore", &id, "--yes"]);
    assert_eq!(code, 0, "{done}");

    let server = s3_server();
    let (instance, data, id) = in_s3(&server);
    stores::delete(&data.sink, &[brought]);
    put(&data.sink, LARGE, b"rewritten");
    let now = contents(&data.sink);
    let arguments = ["restore", id.as_str(), "--yes"];
    let (killed, _) = faulty(&instance, "die:after:2", "storage.commit", &arguments);
    assert_eq!(killed.status.signal(), Some(9), "{}", text(&killed));
    let half = interrupted(&instance);
    assert!(contents(&data.sink).contains_key(brought), "not yet there");
    put(&data.sink, merged, &bytes);
    stores::delete(&data.sink, &[brought]);
    not_undone(&instance, &data, &half, 1, &[brought, "it is gone"]);
    // Without that output, it was deleted, or never brought.
    stores::delete(&data.sink, &[merged]);
    operation_of(&instance, &["undo", &half]);
    let mut after = contents(&data.sink);
    after.retain(|key, _| !key.starts_with(".arc-backup"));
    let mut now = now;
    now.retain(|key, _| !key.starts_with(".arc-backup"));
    assert!(after == now);
}

/// Guards against: a restore that Arc has staged, and that an undo removes for good.
pub(crate) fn what_arc_had_staged_itself_returns() {
    let instance = small();
    let data = Place::local(&instance, "data/arc");
    let id = instance.backup();
    change_three(&instance, &data);
    let place = instance.path("data/arc.db.pending-restore");
    std::fs::copy(instance.path("data/arc.db"), &place).unwrap();
    let staged = std::fs::read(&place).unwrap();
    let restore = operation_of(&instance, &["restore", &id]);
    assert!(!place.exists(), "Arc would put it over the restored one");
    let (_, plan) = instance.json(&["undo", &restore, "--dry-run"]);
    let shown = plan["returned"].to_string();
    assert!(shown.contains("arc.db.pending-restore"), "{plan}");
    let (code, done) = instance.json(&["undo", &restore, "--yes"]);
    assert_eq!(code, 0, "{done}");
    assert_eq!(std::fs::read(&place).unwrap(), staged, "{done}");
    assert!(done["warnings"].to_string().contains("staged"), "{done}");

    // Where another one is there by then, both stay.
    let restore = operation_of(&instance, &["restore", &id, "--no-data"]);
    assert!(!place.exists());
    // The rows are as in the backup now, so the undo puts the database back, and moves this away.
    std::fs::write(&place, b"another").unwrap();
    operation_of(&instance, &["undo", &restore]);
    let all = named_like(&instance.path("data"), &["arc.db.pending-restore"]);
    let has = |bytes: &[u8]| (all.iter()).any(|name| std::fs::read(name).unwrap() == bytes);
    assert!(has(&staged) && has(b"another"), "{all:?}");
}

/// Guards against: an answer that a network loses, and a client that takes the refusal of its
/// second request for a failed undo.
pub(crate) fn a_repeated_request_for_an_undo_gets_the_same_answer() {
    let instance = small();
    let data = Place::local(&instance, "data/arc");
    let id = instance.backup();
    change_three(&instance, &data);
    let restore = operation_of(&instance, &["restore", &id, "--no-metadata"]);
    let service = instance.serve();
    let body = json!({"operation_id": restore, "confirm": true}).to_string();
    let bearer = format!("Bearer {ADMIN}");
    let post = |key: &str| {
        let headers = [("authorization", &*bearer), ("idempotency-key", key)];
        let path = "/api/v1/backup/undo";
        service.request("POST", path, &headers, Some(body.as_bytes()))
    };
    let first = post("one");
    assert_eq!(first.status, 202, "{first:?}");
    assert_eq!(service.wait()["status"], "completed");
    let again = post("one");
    assert_eq!((again.status, again.json()), (202, first.json()));
    assert_eq!(post("two").status, 400);
}

/// Guards against: files of an interrupted run that stay for ever, and look as if an undo could use
/// them.
pub(crate) fn what_an_interrupted_run_set_aside_expires_with_it() {
    let (instance, data, id, _) = half_restored();
    let half = interrupted(&instance);
    let whole = operation_of(&instance, &["restore", &id]);
    let listed = |instance: &Instance| {
        let (_, listed) = instance.json(&["set-aside"]);
        let all = listed["set_aside"].as_array().unwrap().iter();
        let shown = |one: &Value| {
            let id = one["operation_id"].as_str().unwrap().to_owned();
            (id, one["can_be_undone"].as_bool().unwrap())
        };
        all.map(shown).collect::<Vec<_>>()
    };
    assert_eq!(listed(&instance), [(half, false), (whole.clone(), true)]);
    let toml = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    let expiring = format!("{toml}\n[arc_backup]\nkeep_set_aside = \"1s\"\n");
    std::fs::write(instance.path("arc.toml"), expiring).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    instance.backup();
    assert_eq!(listed(&instance), []);
    not_undone(&instance, &data, &whole, 2, &["removed"]);

    // What removes what it replaced is not shown as if it could be taken back.
    let instance = small();
    let data = Place::local(&instance, "data/arc");
    let id = instance.backup();
    change_three(&instance, &data);
    let first = operation_of(&instance, &["restore", &id]);
    put(&data.sink, LARGE, b"rewritten once more");
    let removing = ["restore", id.as_str(), "--extra-files", "remove"];
    let second = operation_of(&instance, &removing);
    assert_eq!(listed(&instance), [(first, false), (second, false)]);
}

/// Guards against: a refusal that does not say what the matter is.
pub(crate) fn an_undo_of_what_can_not_be_undone_says_why() {
    let instance = small();
    let data = Place::local(&instance, "data/arc");
    let id = instance.backup();
    let folder = instance.path("another").display().to_string();
    let (code, elsewhere) = instance.json(&["restore", &id, "--to", &folder]);
    assert_eq!(code, 0, "{elsewhere}");
    let elsewhere = elsewhere["operation_id"].as_str().unwrap();
    not_undone(&instance, &data, elsewhere, 2, &["new folder"]);

    change_three(&instance, &data);
    let restore = operation_of(&instance, &["restore", &id]);
    let undo = operation_of(&instance, &["undo", &restore]);
    let parts = ["was taken back already", &undo];
    not_undone(&instance, &data, &restore, 2, &parts);

    put(&data.sink, LARGE, b"rewritten once more");
    let arguments = ["restore", id.as_str(), "--yes"];
    let slow = || faulty(&instance, "delay:8000:1", "storage.promote", &arguments);
    std::thread::scope(|scope| {
        let slow = scope.spawn(slow);
        let running = loop {
            let (_, status) = instance.json(&["status"]);
            if status["status"] == "running" {
                break status["operation_id"].as_str().unwrap().to_owned();
            }
            assert!(!slow.is_finished(), "{status}");
        };
        let output = instance.run(&["undo", &running, "--yes"]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("is running"), "{said}");
        let (done, _) = slow.join().unwrap();
        assert!(done.status.success(), "{}", text(&done));
    });
}

/// Guards against: a file that appeared while a restore ran, and that an undo removes for ever with
/// what the restore had set aside.
pub(crate) fn a_file_that_appeared_during_a_restore_is_not_lost_by_its_undo() {
    const FILE: &str = "iot/temperature/b.parquet";
    let instance = small();
    let data = Place::local(&instance, "data/arc");
    let id = instance.backup();
    stores::delete(&data.sink, &[FILE]);
    let path = instance.path("data/arc").join(FILE);
    // The second answer is between the plan and the first change.
    let (url, _) = crate::fake_arc::arc(move |number| {
        if number == 2 {
            std::fs::write(&path, b"appeared").unwrap();
        }
        (200, "{\"cycle_running\":false}".to_owned())
    });
    instance.configure(&format!("arc_url = \"{url}\""));
    let restore = operation_of(&instance, &["restore", &id]);
    assert_eq!(contents(&data.sink)[FILE], b"b");
    let before = contents(&data.sink);
    let (code, refused) = instance.json(&["undo", &restore, "--yes"]);
    assert_eq!(code, 1, "{refused}");
    let said = refused["error"].as_str().unwrap();
    assert!(
        said.contains(FILE) && said.contains("appeared during the restore"),
        "{said}"
    );
    assert!(contents(&data.sink) == before);
    let kept = instance.path("data/arc.before-restore").join(&restore);
    assert_eq!(std::fs::read(kept.join(FILE)).unwrap(), b"appeared");
}

/// Guards against: two databases of one file name, of which an undo puts one in the other's place.
pub(crate) fn databases_of_one_file_name_are_taken_back_apart() {
    let instance = small();
    std::fs::create_dir(instance.path("data/other")).unwrap();
    let paths = [
        instance.path("data/arc.db"),
        instance.path("data/other/arc.db"),
    ];
    let config = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    let other = "[retention]\ndb_path = \"./data/other/arc.db\"\n";
    let config = config.replace("[retention]\n", other);
    std::fs::write(instance.path("arc.toml"), config).unwrap();
    let write = |path: &std::path::Path, text: &str| {
        let connection = rusqlite::Connection::open(path).unwrap();
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS x (y); DELETE FROM x; INSERT INTO x VALUES ('{text}')"
        );
        connection.execute_batch(&sql).unwrap();
    };
    let read = || {
        paths.each_ref().map(|path| {
            let connection = rusqlite::Connection::open(path).unwrap();
            let row = connection.query_row("SELECT y FROM x", [], |row| row.get::<_, String>(0));
            row.unwrap()
        })
    };
    write(&paths[0], "auth, old");
    write(&paths[1], "retention, old");
    let id = instance.backup();
    write(&paths[0], "auth, new");
    write(&paths[1], "retention, new");
    let restore = operation_of(&instance, &["restore", &id, "--no-data"]);
    assert_eq!(read(), ["auth, old", "retention, old"]);
    operation_of(&instance, &["undo", &restore]);
    assert_eq!(read(), ["auth, new", "retention, new"]);
}

/// Guards against: an undo that has put everything back and was killed, and that nothing completes
/// once Arc has compacted.
pub(crate) fn an_undo_that_has_put_everything_back_is_completed_whatever_is_live_then() {
    let (instance, data, _, now) = half_restored();
    let restore = interrupted(&instance);
    let arguments = ["undo", restore.as_str(), "--yes"];
    let call = "source-data.discard_unfinished";
    let (killed, _) = faulty(&instance, "die:after:1", call, &arguments);
    assert_eq!(killed.status.signal(), Some(9), "{}", text(&killed));
    assert!(state(&instance, &data) == now);
    let marker = instance.json(&["status"]).1["restore_in_progress"].clone();
    assert_eq!(marker["undoes"], restore.as_str(), "{marker}");
    // A job consumes what was put back.
    stores::delete(&data.sink, &[LARGE]);
    put(&data.sink, "metrics/large_daily.parquet", b"rows");
    let compacted = state(&instance, &data);
    operation_of(&instance, &["undo", &restore]);
    assert!(state(&instance, &data) == compacted, "it was changed");
    let (_, status) = instance.json(&["status"]);
    assert!(status.get("restore_in_progress").is_none(), "{status}");
}
