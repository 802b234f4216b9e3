//! A file that moves to the cold tier while it is backed up.

use std::path::Path;
use std::sync::{Arc, Mutex};

use arc_backup::testing::{Exclusions, ParquetSource, Tiering};
use arc_backup_core::{
    Activity, Child, Entry, ErrorKind, GetOptions, Key, ListOptions, ListStream, LockOutcome,
    MemorySink, Meta, Object, OperationId, Result, Scope, Sink, SinkProperties, Snapshot,
    SnapshotRequest, Source, Tier, Upload, WriteOptions,
};
use async_trait::async_trait;
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

fn request(scratch: &Path) -> SnapshotRequest {
    SnapshotRequest {
        known: None,
        operation_id: OperationId::parse("20260101-000000-00000000").unwrap(),
        scratch: scratch.to_owned(),
        cancel: tokio_util::sync::CancellationToken::new(),
        activity: Activity::default(),
        scope: Scope::whole(),
        secrets: arc_backup_core::Secrets::Include,
    }
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
            not_cold: None,
            include_cold: true,
        });
    let snapshot = runtime()
        .block_on(source.snapshot(request(folder.path())))
        .unwrap();
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

/// A cold tier that does something right before it is listed.
struct Hooked {
    inner: Arc<dyn Sink>,
    hook: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooked")
    }
}

#[async_trait]
impl Sink for Hooked {
    fn location(&self) -> String {
        self.inner.location()
    }
    fn properties(&self) -> SinkProperties {
        self.inner.properties()
    }
    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        self.inner.begin(key, options).await
    }
    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        self.inner.get(key, options).await
    }
    async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        self.inner.head(key).await
    }
    fn list(&self, options: ListOptions) -> ListStream {
        if let Some(hook) = self.hook.lock().unwrap().take() {
            std::thread::scope(|scope| scope.spawn(hook).join().unwrap());
        }
        self.inner.list(options)
    }
    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        self.inner.list_children(folder).await
    }
    async fn delete(&self, keys: &[Key]) -> Result<()> {
        self.inner.delete(keys).await
    }
    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        self.inner.lock(key, holder).await
    }
    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        self.inner.lock_holder(key).await
    }
}

/// Guards against rows that a backup holds twice: in the inputs of a compaction, which are hot, and
/// in its output, which has moved since they were listed.
#[test]
fn the_inputs_of_a_compaction_whose_output_has_moved_are_not_in_the_backup() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("arc.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.execute_batch(TABLE).unwrap();
    let hot: Arc<dyn Sink> = Arc::new(MemorySink::new());
    let inner: Arc<dyn Sink> = Arc::new(MemorySink::new());
    let inputs = [
        "iot/cpu/2026/01/01/00/a.parquet",
        "iot/cpu/2026/01/01/00/b.parquet",
    ];
    let other = "iot/cpu/2026/01/02/00/c.parquet";
    let output = "iot/cpu/2026/01/01/cpu_20260101_000000_1_b1_daily.parquet";
    for key in inputs.iter().chain([&other]) {
        put(&hot, key, b"x");
    }
    let (of_hot, of_cold) = (hot.clone(), inner.clone());
    let compact_and_move = move || {
        put(&of_cold, output, b"xx");
        delete(&of_hot, &inputs);
    };
    let cold = Hooked {
        inner,
        hook: Mutex::new(Some(Box::new(compact_and_move))),
    };
    let tiering = Tiering {
        database,
        cold: Some(Arc::new(cold)),
        not_cold: None,
        include_cold: true,
    };
    let source = ParquetSource::new(hot, "memory", Exclusions::default()).with_tiering(tiering);
    let snapshot = runtime()
        .block_on(source.snapshot(request(folder.path())))
        .unwrap();
    let expected = [
        (output.to_owned(), Tier::Cold),
        (other.to_owned(), Tier::Hot),
    ];
    assert_eq!(entries(&*snapshot), expected);
}
