//! Files that have moved to the cold tier since the backup.

use serde_json::{Value, json};

use super::tiers::Tiered;
use crate::stores::{KINDS, Kind, contents, delete, keys, put, s3_server};
use crate::support::{change_live, refused, text};

fn restore(tiered: &Tiered, id: &str, arguments: &[&str]) -> Value {
    let all = [&["restore", id, "--yes", "--no-metadata"], arguments].concat();
    let (code, done) = tiered.instance.json(&all);
    assert_eq!((code, &done["status"]), (0, &json!("completed")), "{done}");
    done
}

/// Guards against rows that are served twice, as a file is put back beside its cold object.
#[test]
fn rows_of_a_file_that_moved_since_the_backup_are_served_once() {
    let server = s3_server();
    for kind in KINDS {
        let tiered = Tiered::new(kind, &server);
        let (id, before) = (tiered.instance.backup(), tiered.served());
        let moved: Vec<_> = tiered.parquet().into_iter().step_by(3).collect();
        tiered.migrate(&moved);
        assert!(tiered.served() == before, "{kind:?}");
        change_live(&tiered.instance);
        let service = tiered.instance.serve();
        let body = json!({"backup_id": id, "confirm": true, "restore_metadata": false}).to_string();
        let accepted = service.post("/api/v1/backup/restore", &body);
        assert_eq!(accepted.status, 202, "{accepted:?}");
        let plan = &accepted.json()["restore"]["plan"];
        assert_eq!(
            plan["cold_files_skipped_already_cold"],
            moved.len(),
            "{plan}"
        );
        let ended = service.wait();
        assert_eq!(ended["status"], "completed", "{kind:?}: {ended}");
        assert_eq!(
            ended["cold_files_skipped_already_cold"],
            moved.len(),
            "{ended}"
        );
        assert!(tiered.served() == before, "{kind:?}: {:?}", tiered.served());
        let hot = tiered.parquet();
        for key in &moved {
            assert!(!hot.contains(key) && tiered.row(key).as_deref() == Some("cold"));
        }
        assert_eq!(keys(&tiered.cold.sink), moved, "{kind:?}");
    }
}

/// Guards against a file that is nowhere afterwards, as its row says that it is cold.
#[test]
fn a_cold_file_without_an_object_is_restored_hot_and_its_row_says_so() {
    let tiered = Tiered::new(Kind::Local, &s3_server());
    let (id, before) = (tiered.instance.backup(), tiered.served());
    let moved: Vec<_> = tiered.parquet().into_iter().step_by(3).collect();
    tiered.migrate(&moved);
    delete(&tiered.cold.sink, &[&moved[0]]);
    let done = restore(&tiered, &id, &[]);
    assert_eq!(
        done["cold_files_skipped_already_cold"],
        moved.len() - 1,
        "{done}"
    );
    assert_eq!(tiered.row(&moved[0]).as_deref(), Some("hot"));
    assert!(tiered.parquet().contains(&moved[0]));
    assert!(tiered.served() == before);
}

/// Guards against a restore that completes with other bytes in the cold tier than the backup's, and
/// against two copies of one file.
#[test]
fn an_object_that_differs_is_replaced_and_a_second_copy_is_set_aside() {
    let tiered = Tiered::new(Kind::Local, &s3_server());
    let (id, before) = (tiered.instance.backup(), tiered.served());
    let hot = contents(&tiered.hot);
    let moved: Vec<_> = tiered.parquet().into_iter().step_by(3).take(3).collect();
    tiered.migrate(&moved);
    // The same size, other bytes; a hot copy beside the cold one; a cold object of a hot file.
    let mut odd = hot[&moved[0]].clone();
    odd[8] ^= 1;
    put(&tiered.cold.sink, &moved[0], &odd);
    put(&tiered.hot, &moved[1], &hot[&moved[1]]);
    let stays = tiered.parquet().pop().unwrap();
    put(&tiered.cold.sink, &stays, &hot[&stays]);
    let done = restore(&tiered, &id, &[]);
    assert_eq!(done["cold_files_skipped_already_cold"], 2, "{done}");
    assert!(tiered.served() == before, "{:?}", tiered.served());
    assert_eq!(contents(&tiered.cold.sink)[&moved[0]], hot[&moved[0]]);
    assert_eq!(keys(&tiered.cold.sink), moved);
    let kept = done["kept"].as_array().unwrap();
    let kept = kept
        .iter()
        .find(|path| path.as_str().unwrap().contains("2 files of the cold tier"));
    assert!(kept.is_some(), "{done}");
}

/// Guards against rows that are served twice, as it is not known which files have moved.
#[test]
fn a_restore_is_refused_where_it_can_not_be_known_what_has_moved() {
    let tiered = Tiered::new(Kind::Local, &s3_server());
    let id = tiered.instance.backup();
    change_live(&tiered.instance);
    let run = |text: &str| tiered.database().execute_batch(text).unwrap();
    run("ALTER TABLE tier_files RENAME COLUMN migrated_at TO moved_at");
    refused(
        &tiered.instance,
        &id,
        "`tier_files` has no column `migrated_at`",
        "another column",
    );
    run("ALTER TABLE tier_files RENAME COLUMN moved_at TO migrated_at");
    run("UPDATE tier_files SET tier = 'frozen' WHERE id = 1");
    refused(
        &tiered.instance,
        &id,
        "unknown tier \\\"frozen\\\"",
        "another tier",
    );
    run("DROP TABLE tier_files");
    // Without the table, the objects say what has moved.
    restore(&tiered, &id, &["--extra-files", "remove"]);
    let garbage = vec![b'x'; 8192];
    let path = tiered.instance.path("data/arc.db");
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(tiered.instance.path(&format!("data/arc.db{suffix}")));
    }
    std::fs::write(&path, garbage).unwrap();
    refused(
        &tiered.instance,
        &id,
        "can't be known",
        "no database at all",
    );
    // The databases alone can be restored, and then the data.
    tiered.instance.ok(&["restore", &id, "--yes", "--no-data"]);
    tiered.instance.ok(&["restore", &id, "--yes"]);
}

/// Guards against a restore on a new host that is refused, or puts files beside their cold objects.
#[test]
fn on_a_new_host_the_objects_say_what_has_moved() {
    let tiered = Tiered::new(Kind::Local, &s3_server());
    let (id, before) = (tiered.instance.backup(), tiered.served());
    let moved: Vec<_> = tiered.parquet().into_iter().step_by(3).collect();
    tiered.migrate(&moved);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(tiered.instance.path(&format!("data/arc.db{suffix}")));
    }
    std::fs::remove_dir_all(tiered.instance.path("data/arc")).unwrap();
    std::fs::create_dir(tiered.instance.path("data/arc")).unwrap();
    let (code, done) = tiered.instance.json(&["restore", &id, "--yes"]);
    assert_eq!(code, 0, "{done}");
    assert_eq!(
        done["cold_files_skipped_already_cold"],
        moved.len(),
        "{done}"
    );
    // The restored database had these files as hot.
    assert!(tiered.cold_rows().into_iter().eq(moved.iter().cloned()));
    assert!(tiered.served() == before);
}

/// Guards against a preview that knows of no cold tier.
#[test]
fn the_preview_on_the_command_line_names_the_cold_files() {
    let tiered = Tiered::new(Kind::Local, &s3_server());
    let id = tiered.instance.backup();
    let moved: Vec<_> = tiered.parquet().into_iter().take(2).collect();
    tiered.migrate(&moved);
    let output = tiered
        .instance
        .run(&["restore", &id, "--yes", "--no-metadata"]);
    let said = text(&output);
    assert!(
        said.contains("2 files moved there since the backup, and stay there"),
        "{said}"
    );
}

/// Guards against cold files that are put back hot in silence, as this configuration has no cold
/// tier, and a backup that does not say that it lacks them.
#[test]
fn cold_rows_without_a_configured_cold_tier_are_counted_and_not_put_back_hot() {
    let tiered = Tiered::new(Kind::Local, &s3_server());
    let (id, before) = (tiered.instance.backup(), tiered.served());
    let moved: Vec<_> = tiered.parquet().into_iter().step_by(3).collect();
    tiered.migrate(&moved);
    let path = tiered.instance.path("arc.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let off = config.replace("[tiered_storage]\nenabled = true", "[tiered_storage]");
    assert!(off != config);
    std::fs::write(&path, off).unwrap();
    let (code, done) = tiered.instance.json(&["backup"]);
    assert_eq!(code, 0, "{done}");
    assert_eq!(done["cold_files_excluded"], moved.len(), "{done}");
    let said = done["not_included"].to_string();
    assert!(said.contains("has no cold tier"), "{done}");
    refused(
        &tiered.instance,
        &id,
        "`tiered_storage.cold`",
        "no cold tier",
    );
    std::fs::write(&path, config).unwrap();
    restore(&tiered, &id, &[]);
    assert!(tiered.served() == before);
}

/// Guards against rows that are served twice in silence: the inputs of a compaction come back
/// beside its output, which has moved to the cold tier.
#[test]
fn an_output_that_moved_since_the_backup_is_set_aside_or_named() {
    for is_held in [true, false] {
        let tiered = Tiered::new(Kind::Local, &s3_server());
        let setting = format!("[arc_backup]\ninclude_cold_tier = {is_held}\n");
        tiered.instance.configure(&setting);
        let (id, before) = (tiered.instance.backup(), tiered.served());
        let (_, shown) = tiered.instance.json(&["show", &id]);
        let count = is_held.then_some(0);
        assert_eq!(shown.get("cold_files").and_then(Value::as_u64), count);
        // One file of an hour becomes the output of its day, which moves.
        let is_hourly = |key: &&String| key.split('/').count() == 7;
        let input = tiered.parquet().iter().find(is_hourly).unwrap().clone();
        let day = input.rsplitn(3, '/').last().unwrap();
        let output = format!("{day}/m_20260101_000000_1_b1_daily.parquet");
        put(&tiered.cold.sink, &output, &contents(&tiered.hot)[&input]);
        delete(&tiered.hot, &[&input]);
        let done = restore(&tiered, &id, &[]);
        let said = done["warnings"].to_string();
        assert!(tiered.parquet().contains(&input), "{is_held}");
        assert_eq!(keys(&tiered.cold.sink).contains(&output), !is_held);
        if is_held {
            assert_eq!(done["plan"]["extra_files"], 1, "{done}");
            assert!(tiered.served() == before);
        } else {
            assert!(said.contains(&output) && said.contains("twice"), "{said}");
        }
    }
}

/// Guards against cold files that no query finds, as a restored database says that they are hot.
#[test]
fn a_restore_of_the_databases_alone_leaves_cold_files_cold() {
    let tiered = Tiered::new(Kind::Local, &s3_server());
    let (id, before) = (tiered.instance.backup(), tiered.served());
    let all = tiered.parquet();
    // All files of a measurement.
    let start = all[0].splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
    let moved: Vec<_> = all
        .into_iter()
        .filter(|key| key.starts_with(&start))
        .collect();
    tiered.migrate(&moved);
    tiered.instance.ok(&["restore", &id, "--yes", "--no-data"]);
    assert!(tiered.cold_rows().iter().eq(&moved));
    assert!(tiered.served() == before);
}

/// Guards against rows that are wrong again after the next start of Arc, without a word.
#[test]
fn a_restore_that_arc_has_staged_is_named_where_the_databases_stay() {
    let tiered = Tiered::new(Kind::Local, &s3_server());
    let id = tiered.instance.backup();
    let staged = tiered.instance.path("data/arc.db.pending-restore");
    std::fs::copy(tiered.instance.path("data/arc.db"), &staged).unwrap();
    let done = restore(&tiered, &id, &[]);
    let said = done["warnings"].to_string();
    assert!(said.contains("arc.db.pending-restore"), "{done}");
    assert!(staged.exists());
}

/// Guards against a hot file that Arc deletes, as its row in the restored database says cold.
#[test]
fn rows_of_a_restored_database_say_hot_for_hot_files() {
    let tiered = Tiered::new(Kind::Local, &s3_server());
    let key = tiered.parquet().remove(0);
    let set = "UPDATE tier_files SET tier = 'cold' WHERE path = ?1";
    tiered.database().execute(set, [&key]).unwrap();
    let id = tiered.instance.backup();
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(tiered.instance.path(&format!("data/arc.db{suffix}")));
    }
    tiered.instance.ok(&["restore", &id, "--yes"]);
    assert_eq!(tiered.row(&key).as_deref(), Some("hot"));
    assert_eq!(tiered.cold_rows().len(), 0);
}
