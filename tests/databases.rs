//! SQLite: consistent snapshots while others write, and restores over databases in any state.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use support::{Instance, database_rows, text, timely};

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 5000; PRAGMA synchronous = NORMAL",
        )
        .unwrap();
    connection
}

/// Two connections that commit one numbered row after the other, and checkpoint now and then.
struct Writers {
    stop: Arc<AtomicBool>,
    /// The number of commits of each.
    counts: Vec<Arc<AtomicI64>>,
    threads: Vec<JoinHandle<Connection>>,
}

impl Writers {
    fn start(path: &Path) -> Self {
        open(path)
            .execute_batch(
                "DROP TABLE IF EXISTS probe; CREATE TABLE probe (writer INTEGER, number INTEGER, filler BLOB)",
            )
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let counts: Vec<_> = (0..2).map(|_| Arc::new(AtomicI64::new(0))).collect();
        let threads = (counts.iter().enumerate())
            .map(|(writer, count)| {
                let (path, stop, count) = (path.to_owned(), stop.clone(), count.clone());
                let writer = i64::try_from(writer).unwrap();
                std::thread::spawn(move || {
                    let connection = open(&path);
                    for number in 1.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let insert = "INSERT INTO probe VALUES (?1, ?2, randomblob(500))";
                        while let Err(error) = connection.execute(insert, [writer, number]) {
                            let busy = error.sqlite_error_code()
                                == Some(rusqlite::ErrorCode::DatabaseBusy);
                            assert!(busy, "a writer met {error}");
                        }
                        count.store(number, Ordering::SeqCst);
                        if number % 50 == 0 {
                            // "Busy" is expected here.
                            let _ =
                                connection
                                    .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                        }
                    }
                    connection
                })
            })
            .collect();
        Self {
            stop,
            counts,
            threads,
        }
    }

    fn counts(&self) -> Vec<i64> {
        (self.counts.iter())
            .map(|count| count.load(Ordering::SeqCst))
            .collect()
    }

    /// Waits until each has committed some more.
    fn await_commits(&self) -> Vec<i64> {
        let before = self.counts();
        while self
            .counts()
            .iter()
            .zip(&before)
            .any(|(now, then)| *now < then + 20)
        {
            assert!(!self.threads.iter().any(JoinHandle::is_finished));
            std::thread::sleep(Duration::from_millis(1));
        }
        self.counts()
    }

    fn stop(self) -> Vec<Connection> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    }
}

/// The highest number and the number of rows of each writer.
fn written(connection: &Connection) -> Vec<(i64, i64)> {
    let check: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    (0..2)
        .map(|writer| {
            let query = "SELECT coalesce(max(number), 0), count(*) FROM probe WHERE writer = ?1";
            connection
                .query_row(query, [writer], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap()
        })
        .collect()
}

/// Guards against losing rows committed before the backup, and a backup that writers delay for
/// ever.
#[test]
fn a_backup_under_two_writers_ends_and_has_every_row_committed_before_it_began() {
    let instance = Instance::new();
    let writers = Writers::start(&instance.path("data/arc.db"));
    for _ in 0..5 {
        let before = writers.await_commits();
        let output = timely(&instance, &["backup"]);
        assert!(output.status.success(), "{}", text(&output));
        let id = String::from_utf8(output.stdout).unwrap();
        let snapshot = instance.backup_folder(id.trim()).join("metadata/arc.db");
        let uri = format!("file:{}?immutable=1", snapshot.display());
        let flags =
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_URI;
        let found = written(&Connection::open_with_flags(uri, flags).unwrap());
        for ((highest, count), before) in found.into_iter().zip(before) {
            assert!(
                highest >= before,
                "row {before} was committed before, {highest} is the last"
            );
            assert_eq!(highest, count, "a row in between is missing");
        }
    }
    writers.stop();
}

/// Guards against a restore that a busy Arc blocks, or that Arc does not see.
#[test]
fn a_restore_under_two_writers_is_seen_by_both_at_once() {
    let instance = Instance::new();
    let path = instance.path("data/arc.db");
    let id = instance.backup();
    let tokens = database_rows(&path);
    for _ in 0..3 {
        let writers = Writers::start(&path);
        // The backup has an empty table, so that the writers can continue after the restore.
        let empty = timely(&instance, &["backup"]);
        assert!(empty.status.success(), "{}", text(&empty));
        let id = String::from_utf8(empty.stdout).unwrap();
        let kept = writers.await_commits();
        let output = timely(&instance, &["restore", id.trim(), "--no-data", "--yes"]);
        assert!(output.status.success(), "{}", text(&output));
        let after = writers.await_commits();
        for connection in writers.stop() {
            for (writer, (kept, after)) in kept.iter().zip(&after).enumerate() {
                let query = "SELECT count(*) FROM probe WHERE writer = ?1 AND number = ?2";
                let count = |number: i64| -> i64 {
                    let writer = i64::try_from(writer).unwrap();
                    connection
                        .query_row(query, [writer, number], |row| row.get(0))
                        .unwrap()
                };
                assert_eq!(
                    count(*kept),
                    0,
                    "what was written before the restore is still there"
                );
                assert_eq!(count(*after), 1, "what was written after it is gone");
            }
        }
    }
    instance.ok(&["restore", &id, "--no-data", "--yes"]);
    assert_eq!(database_rows(&path), tokens);
}

/// Guards against a broken database that can't be restored, which is when a backup is needed.
#[test]
fn a_database_that_is_garbage_missing_corrupt_or_of_another_page_size_is_restored_and_kept() {
    for (case, ruin) in [
        ("garbage", "garbage"),
        ("missing", ""),
        ("corrupt pages", ""),
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
            "corrupt pages" => {
                let file = std::fs::File::options().write(true).open(&path).unwrap();
                for page in 1..20 {
                    file.write_all_at(&[0xa5; 3000], page * 4096 + 500).unwrap();
                }
            }
            _ => rusqlite::Connection::open(&path)
                .unwrap()
                .execute_batch(ruin)
                .unwrap(),
        }
        instance.ok(&["restore", &id, "--no-data", "--yes"]);
        assert_eq!(database_rows(&path), expected, "{case}");
        let mut all = support::kept(&path);
        if case == "missing" {
            assert_eq!(all, Vec::<std::path::PathBuf>::new());
            continue;
        }
        let kept = all.pop().unwrap();
        match case {
            "garbage" => assert_eq!(
                std::fs::read(&kept).unwrap(),
                ruin.repeat(1000).into_bytes()
            ),
            "corrupt pages" => assert_eq!(
                std::fs::read(&kept).unwrap()[4096 + 500..][..3000],
                [0xa5; 3000]
            ),
            _ => assert_ne!(database_rows(&kept), Vec::<String>::new()),
        }
    }
}

/// Guards against an operation that waits for ever and holds the lock that all others need.
#[test]
fn a_fifo_in_a_databases_place_is_named_and_never_waited_on() {
    let instance = Instance::new();
    let path = instance.path("data/arc.db");
    let expected = database_rows(&path);
    let id = instance.backup();
    std::fs::remove_file(&path).unwrap();
    support::make_fifo(&path);
    let output = timely(&instance, &["backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("auth.db_path"), "{}", text(&output));
    // The rows of the cold tier are looked for there, too.
    let output = timely(&instance, &["restore", &id, "--no-metadata", "--yes"]);
    assert!(output.status.code() != Some(124), "{}", text(&output));
    let output = timely(&instance, &["restore", &id, "--no-data", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(database_rows(&path), expected);
}

/// Guards against losing all tokens, or the configuration, to a backup of Arc's that has no
/// checksums.
#[test]
fn arcs_own_backup_with_an_empty_database_or_a_broken_configuration_changes_nothing() {
    let instance = Instance::new();
    let id = support::ARC_NEW;
    let folder = instance.backup_folder(id);
    for (file, bytes, options) in [
        ("metadata/arc.db", &b""[..], &["--no-data"][..]),
        ("metadata/arc.db", b"no database at all", &["--no-data"]),
        (
            "config/arc.toml",
            b"[[[",
            &["--no-data", "--no-metadata", "--with-config"],
        ),
    ] {
        let original = std::fs::read(folder.join(file)).unwrap();
        std::fs::write(folder.join(file), bytes).unwrap();
        let before = (
            std::fs::read(instance.path("arc.toml")).unwrap(),
            database_rows(&instance.path("data/arc.db")),
        );
        let output = timely(&instance, &[&["restore", id, "--yes"], options].concat());
        assert_eq!(output.status.code(), Some(1), "{file}: {}", text(&output));
        let after = (
            std::fs::read(instance.path("arc.toml")).unwrap(),
            database_rows(&instance.path("data/arc.db")),
        );
        assert!(before == after, "{file} was put into force");
        if file.ends_with(".db") {
            let output = timely(&instance, &["verify", id]);
            assert_eq!(output.status.code(), Some(1), "{}", text(&output));
            assert!(text(&output).contains(file), "{}", text(&output));
        }
        std::fs::write(folder.join(file), original).unwrap();
    }
    instance.ok(&["verify", id]);
}

/// Guards against a running Arc that keeps using the old database after a restore.
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

/// Guards against losing the Iceberg catalog, retention or queries that have a database of their
/// own.
#[test]
fn each_database_that_the_configuration_names_comes_back() {
    let instance = Instance::new();
    let names = [
        (
            "ARC_ICEBERG_CATALOG_DB_PATH",
            "lake.db",
            "iceberg-catalog.db",
        ),
        ("ARC_RETENTION_DB_PATH", "retention.db", "retention.db"),
        ("ARC_CONTINUOUS_QUERY_DB_PATH", "queries.db", "queries.db"),
    ];
    for (_, file, _) in names {
        let statements = format!("CREATE TABLE probe (text); INSERT INTO probe VALUES ('{file}')");
        open(&instance.path("data").join(file))
            .execute_batch(&statements)
            .unwrap();
    }
    let run = |arguments: &[&str]| {
        let mut command = instance.command(arguments);
        for (variable, file, _) in names {
            command.env(variable, format!("./data/{file}"));
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let rows = || {
        let files = names.map(|(_, file, _)| instance.path("data").join(file));
        files.map(|path| database_rows(&path))
    };
    let before = rows();
    let id = run(&["backup"]);
    let manifest: serde_json::Value = serde_json::from_str(&run(&["--json", "show", &id])).unwrap();
    assert_eq!(manifest["has_iceberg_catalog"], true, "{manifest}");
    for (_, file, stored) in names {
        let stored = instance.backup_folder(&id).join("metadata").join(stored);
        assert!(stored.exists(), "{}", stored.display());
        std::fs::remove_file(instance.path("data").join(file)).unwrap();
    }
    run(&["restore", &id, "--no-data", "--yes"]);
    assert_eq!(rows(), before);
}

/// Guards against a restored database that the log of a killed Arc changes back, as after Arc's own
/// restore.
#[test]
fn the_log_of_a_killed_arc_is_not_in_force_after_a_restore() {
    let instance = Instance::new();
    let path = instance.path("data/arc.db");
    let expected = database_rows(&path);
    let id = instance.backup();
    let killed = open(&path);
    killed.execute_batch("DELETE FROM api_tokens").unwrap();
    let copies = ["arc.db", "arc.db-wal"].map(|name| {
        let file = instance.path("data").join(name);
        (std::fs::read(&file).unwrap(), file)
    });
    drop(killed);
    for (bytes, file) in &copies {
        std::fs::write(file, bytes).unwrap();
    }
    assert_ne!(database_rows(&path), expected, "the log is in force");
    assert_eq!(std::fs::read(&copies[1].1).unwrap(), copies[1].0);
    instance.ok(&["restore", &id, "--no-data", "--yes"]);
    assert_eq!(database_rows(&path), expected);
    // Nor after the next start of Arc.
    drop(open(&path));
    assert_eq!(database_rows(&path), expected);
}
