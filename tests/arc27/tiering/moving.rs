//! A file that moves to the cold tier while it is backed up.

use std::sync::Arc;

use arc_backup::testing::{Exclusions, ParquetSource, Tiering};
use arc_backup_core::{
    Activity, Entry, ErrorKind, Key, MemorySink, OperationId, Scope, Sink, Snapshot,
    SnapshotRequest, Source, Tier,
};
use futures::TryStreamExt;

use super::tiers::TABLE;
use crate::stores::{delete, put, runtime};

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn entries(snapshot: &dyn Snapshot) -> Vec<(String, Tier)> {
    let all: Vec<Entry> = runtime()
        .block_on(snapshot.entries().try_collect())
        .unwrap();
    all.into_iter()
        .map(|entry| (entry.key.to_string(), entry.tier))
        .collect()
}

/// Guards against a file that is in a backup twice, or not at all, as Arc moved it just then.
#[test]
fn a_file_that_moves_during_a_backup_is_in_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("arc.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.execute_batch(TABLE).unwrap();
    let hot: Arc<dyn Sink> = Arc::new(MemorySink::new());
    let cold: Arc<dyn Sink> = Arc::new(MemorySink::new());
    let (moves, stays) = (
        "iot/cpu/2026/01/01/00/a.parquet",
        "iot/cpu/2026/01/01/01/b.parquet",
    );
    put(&hot, moves, b"a");
    put(&hot, stays, b"b");
    let source =
        ParquetSource::new(hot.clone(), "memory", Exclusions::default()).with_tiering(Tiering {
            database,
            cold: Some(cold.clone()),
            include_cold: true,
        });
    let request = SnapshotRequest {
        operation_id: OperationId::parse("20260101-000000-00000000").unwrap(),
        scratch: folder.path().to_owned(),
        cancel: tokio_util::sync::CancellationToken::new(),
        activity: Activity::default(),
        scope: Scope::whole(),
    };
    let snapshot = runtime().block_on(source.snapshot(request)).unwrap();
    let (a, b) = (moves.to_owned(), stays.to_owned());
    assert_eq!(
        entries(&*snapshot),
        [(a.clone(), Tier::Hot), (b.clone(), Tier::Hot)]
    );
    // Arc moves it.
    put(&cold, moves, b"a");
    let row = "INSERT INTO tier_files (path, database, measurement, partition_time, tier, size_bytes) VALUES (?1, 'iot', 'cpu', '', 'cold', 1)";
    connection.execute(row, [moves]).unwrap();
    delete(&hot, &[moves]);
    let listed: Vec<Entry> = runtime()
        .block_on(snapshot.entries().try_collect())
        .unwrap();
    let opened = runtime().block_on(snapshot.open(&listed[0]));
    assert_eq!(
        opened.err().map(|error| error.kind()),
        Some(ErrorKind::NotFound)
    );
    let reconciled = runtime()
        .block_on(snapshot.reconcile(&[key(moves)]))
        .unwrap()
        .unwrap();
    assert_eq!(reconciled.gone, Vec::<Key>::new());
    assert_eq!(reconciled.entries.len(), 1);
    assert_eq!(
        (
            reconciled.entries[0].key.as_str(),
            reconciled.entries[0].tier
        ),
        (moves, Tier::Cold)
    );
    let body = runtime()
        .block_on(snapshot.open(&reconciled.entries[0]))
        .unwrap();
    let bytes = runtime().block_on(body.collect(10, &key(moves))).unwrap();
    assert_eq!(bytes, b"a");
    assert_eq!(
        entries(&*snapshot),
        [(a, Tier::Cold), (b.clone(), Tier::Hot)]
    );
    // Retention removes it there.
    delete(&cold, &[moves]);
    let reconciled = runtime()
        .block_on(snapshot.reconcile(&[key(moves)]))
        .unwrap()
        .unwrap();
    assert_eq!(
        (reconciled.gone, reconciled.entries),
        (vec![key(moves)], Vec::new())
    );
    assert_eq!(entries(&*snapshot), [(b, Tier::Hot)]);
}
