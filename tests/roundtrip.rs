//! restore(backup(x)) == x.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use support::{ARC_OLD, Instance, database_rows, rows, tree};

/// Lost otherwise: everything. This is what the program is for.
#[test]
fn what_was_deleted_comes_back_byte_for_byte() {
    let instance = Instance::new();
    let (live, database) = (
        instance.live(),
        database_rows(&instance.path("data/arc.db")),
    );
    let id = instance.backup();
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    std::fs::remove_file(instance.path("data/arc.db")).unwrap();
    instance.ok(&["restore", &id, "--yes"]);
    assert_eq!(instance.live(), live);
    assert_eq!(database_rows(&instance.path("data/arc.db")), database);
    instance.ok(&["verify", &id]);
}

/// Lost otherwise: what was live before a restore that somebody regrets.
#[test]
fn what_a_restore_replaces_is_kept_and_a_second_restore_keeps_the_first() {
    let instance = Instance::new();
    let id = instance.backup();
    let changed = instance.path("data/arc/iot/temperature/2026/11/20/00");
    let victim = std::fs::read_dir(&changed)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::write(&victim, b"rewritten under the same path").unwrap();
    std::fs::write(instance.path("data/arc/iot/new.parquet"), b"newer").unwrap();
    rusqlite::Connection::open(instance.path("data/arc.db"))
        .unwrap()
        .execute_batch("DELETE FROM api_tokens")
        .unwrap();
    let (code, operation) = instance.json(&["restore", &id, "--with-config", "--yes"]);
    assert_eq!(
        (code, &operation["set_aside_files"]),
        (0, &2.into()),
        "{operation}"
    );
    let place = operation["set_aside_location"].as_str().unwrap();
    let kept: Vec<_> = tree(place.as_ref())
        .into_values()
        .map(|(bytes, ..)| bytes)
        .collect();
    assert!(
        kept.contains(&b"newer".to_vec())
            && kept.contains(&b"rewritten under the same path".to_vec())
    );
    let before = instance.path("data/arc.db.before-restore");
    assert!(
        !database_rows(&before)
            .iter()
            .any(|row| row.starts_with("api_tokens"))
    );
    assert!(instance.path("arc.toml.before-restore").exists());
    instance.ok(&["restore", &id, "--yes"]);
    let kept: Vec<_> = (support::files(&instance.path("data")).into_iter())
        .filter(|name| name.starts_with("arc.db.before-restore."))
        .collect();
    assert_eq!(kept.len(), 1, "the first original is gone");
    assert!(
        !database_rows(&instance.path("data").join(&kept[0]))
            .iter()
            .any(|row| row.starts_with("api_tokens"))
    );
}

/// Lost otherwise: the truth of every query: Arc's own restore doubled each row.
#[test]
fn arcs_own_older_backup_restores_over_compacted_data_without_doubling_a_row() {
    let instance = Instance::new();
    let before = instance.live();
    let (code, operation) = instance.json(&["restore", ARC_OLD, "--yes"]);
    assert_eq!(code, 0, "{operation}");
    assert_eq!(operation["verified"], false);
    let rows = rows(&instance.path("data/arc"));
    let expected = [
        "iot.temperature",
        "iot.vibration",
        "metrics.cpu",
        "metrics.disk",
        "metrics.mem",
    ];
    assert_eq!(rows, expected.map(|name| (name.to_owned(), 1920)).into());
    let aside = tree(operation["set_aside_location"].as_str().unwrap().as_ref());
    let live = instance.live();
    for (path, (bytes, ..)) in before {
        let found = aside
            .get(&path)
            .or_else(|| live.get(&path))
            .map(|(bytes, ..)| bytes);
        assert_eq!(found, Some(&bytes), "{path} is nowhere");
    }
}

/// Lost otherwise: the very things a restore must not touch, or backups within backups.
#[test]
fn backups_database_and_configuration_inside_the_storage_root_are_left_alone() {
    let instance = Instance::new();
    let root = instance.path("data/arc");
    std::fs::rename(instance.path("data/arc.db"), root.join("arc.db")).unwrap();
    std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
    let text = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    let text = text
        .replace("./data/arc.db", "./data/arc/arc.db")
        .replace("./data/backups", "./data/arc/backups");
    let config = root.join("arc.toml");
    std::fs::remove_file(instance.path("arc.toml")).unwrap();
    std::fs::write(&config, text).unwrap();
    let with = ["--config", config.to_str().unwrap()];
    let run = |arguments: &[&str]| instance.ok(&[&with, arguments].concat());
    let first = run(&["backup"]);
    let second = run(&["backup"]);
    for id in [&first, &second] {
        let manifest: serde_json::Value = serde_json::from_str(&run(&["show", id])).unwrap();
        assert_eq!(
            (&manifest["total_files"], &manifest["auxiliary_files"]),
            (&105.into(), &serde_json::Value::Null)
        );
    }
    run(&["restore", &first, "--yes"]);
    run(&["verify", &second]);
    assert!(config.exists() && root.join("arc.db").exists());
}

/// Lost otherwise: an instance whose database broke, which is when a backup is needed.
#[test]
fn a_database_that_is_garbage_missing_or_of_another_page_size_is_restored_and_kept() {
    for (case, ruin) in [
        ("garbage", "garbage"),
        ("missing", ""),
        (
            "page size",
            "PRAGMA journal_mode = DELETE; PRAGMA page_size = 8192; VACUUM; PRAGMA journal_mode = WAL; CREATE TABLE other(x);",
        ),
    ] {
        let instance = Instance::new();
        let path = instance.path("data/arc.db");
        let expected = database_rows(&path);
        let id = instance.backup();
        match case {
            "garbage" => std::fs::write(&path, ruin.repeat(1000)).unwrap(),
            "missing" => std::fs::remove_file(&path).unwrap(),
            _ => rusqlite::Connection::open(&path)
                .unwrap()
                .execute_batch(ruin)
                .unwrap(),
        }
        instance.ok(&["restore", &id, "--no-data", "--yes"]);
        assert_eq!(database_rows(&path), expected, "{case}");
        let kept = instance.path("data/arc.db.before-restore");
        match case {
            "garbage" => assert_eq!(
                std::fs::read(&kept).unwrap(),
                ruin.repeat(1000).into_bytes()
            ),
            "missing" => assert!(!kept.exists()),
            _ => assert_ne!(database_rows(&kept), Vec::<String>::new()),
        }
    }
}

/// Lost otherwise: the link between a running Arc and its database: it would go on with the old one.
#[test]
fn a_process_that_has_the_database_open_sees_what_was_restored() {
    let instance = Instance::new();
    let path = instance.path("data/arc.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 5000")
        .unwrap();
    let tokens = || {
        other
            .query_row("SELECT count(*) FROM api_tokens", [], |row| {
                row.get::<_, i64>(0)
            })
            .unwrap()
    };
    other
        .execute_batch("INSERT INTO api_tokens (name, token_hash) VALUES ('committed-before', 'x')")
        .unwrap();
    let id = instance.backup();
    other.execute_batch("DELETE FROM api_tokens").unwrap();
    assert_eq!(tokens(), 0);
    instance.ok(&["restore", &id, "--no-data", "--yes"]);
    assert_eq!(tokens(), 10);
    other
        .execute_batch("INSERT INTO api_tokens (name, token_hash) VALUES ('afterwards', 'x')")
        .unwrap();
}
