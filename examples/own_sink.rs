//! A target of one's own, made from nothing: objects are rows of one SQLite file.
//!
//! ```toml
//! [arc_backup.targets.vault]
//! type = "sqlite"
//! path = "/mnt/backups/vault.db"
//! ```

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use arc_backup::Registry;
use arc_backup_core::*;
use arc_backup_local::{LocalConfig, LocalSink};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::ready, stream};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

const TABLE: &str = "PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS object
    (tag INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, bytes BLOB NOT NULL)";
const META: &str = "key, tag, length(bytes)";
type Read<T> = fn(&Row<'_>) -> rusqlite::Result<T>;

/// Objects in an SQLite file. A transaction makes each write atomic and durable, so that none of
/// the optional objects of [`Sink`] is needed. Locks between processes are files beside it.
#[derive(Debug, Clone)]
pub(crate) struct SqliteSink {
    path: String,
    database: Arc<Mutex<Connection>>,
    locks: LocalSink,
}

impl SqliteSink {
    pub(crate) fn open(path: &str) -> Result<Self> {
        let opened = Connection::open(path).and_then(|db| db.execute_batch(TABLE).map(|()| db));
        let opened = opened.map_err(|error| Error::other("open", path, error))?;
        Ok(Self {
            path: path.to_owned(),
            database: Arc::new(Mutex::new(opened)),
            locks: LocalSink::new(LocalConfig::new(format!("{path}.locks"))),
        })
    }

    /// The first row that a statement gives. A busy sink would go to a thread that may wait for a
    /// disk.
    fn row<T>(&self, sql: &str, values: &[&dyn ToSql], read: Read<T>) -> Result<Option<T>> {
        let database = (self.database.lock()).unwrap_or_else(PoisonError::into_inner);
        let found = database.query_row(sql, values, read).optional();
        found.map_err(|error| Error::other("use", &self.path, error))
    }

    /// The first object at or behind `from`, in byte order: SQLite compares texts by their bytes.
    fn next(&self, from: &str) -> Result<Option<Meta>> {
        let sql = format!("SELECT {META} FROM object WHERE key >= ? ORDER BY key LIMIT 1");
        self.row(&sql, params![from], meta)
    }

    fn put(&self, key: &Key, bytes: &[u8], create_new: bool) -> Result<Meta> {
        let or = if create_new { "IGNORE" } else { "REPLACE" };
        let sql = format!("INSERT OR {or} INTO object (key, bytes) VALUES (?, ?) RETURNING {META}");
        let written = self.row(&sql, params![key.as_str(), bytes], meta)?;
        written.ok_or_else(|| Error::new(ErrorKind::AlreadyExists, "write", &**key, "it is there"))
    }
}

fn meta(row: &Row<'_>) -> rusqlite::Result<Meta> {
    let key = Key::parse(&row.get::<_, String>(0)?).expect("only keys are written");
    let mut meta = Meta::new(key, row.get::<_, i64>(2)?.unsigned_abs());
    meta.etag = Some(row.get::<_, i64>(1)?.to_string());
    Ok(meta)
}

#[async_trait]
impl Sink for SqliteSink {
    fn location(&self) -> String {
        self.path.clone()
    }

    fn properties(&self) -> SinkProperties {
        let mut properties = SinkProperties::default();
        properties.entity_tag = EntityTag::Strong;
        properties
    }

    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        let (sink, key, create_new) = (self.clone(), key.clone(), options.create_new);
        let store = move |bytes: Bytes| async move { sink.put(&key, &bytes, create_new) };
        Ok(Box::new(BufferedUpload::new(store)))
    }

    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        let fail = |kind| Error::new(kind, "read", key.as_str(), "it is gone or another");
        let meta = self.head(key).await?;
        let meta = meta.ok_or_else(|| fail(ErrorKind::NotFound))?;
        let tag = options.if_match.or(meta.etag.clone());
        let sql = "SELECT bytes FROM object WHERE key = ? AND tag = ?";
        let read = |row: &Row<'_>| row.get::<_, Vec<u8>>(0);
        let bytes = self.row(sql, params![key.as_str(), tag], read)?;
        let bytes = bytes.ok_or_else(|| fail(ErrorKind::Changed))?;
        Ok(Object::from_bytes(meta, bytes.into(), options.range))
    }

    async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        Ok(self.next(key)?.filter(|meta| meta.key == *key))
    }

    fn list(&self, options: ListOptions) -> ListStream {
        let prefix = options.prefix.clone();
        let rows = stream::try_unfold((self.clone(), options.first()), move |(sink, from)| {
            let row = sink.next(&from).map(|row| {
                let meta = row.filter(|meta| meta.key.starts_with(&prefix))?;
                // The first text behind a key is that key and a zero.
                Some((meta.clone(), (sink, format!("{}\0", meta.key))))
            });
            ready(row)
        });
        rows.try_filter(move |meta| ready(!options.skips(&meta.key)))
            .map_ok(Listed::Object)
            .boxed()
    }

    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        (self as &dyn Sink).children_by_listing(folder).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<()> {
        let sql = "DELETE FROM object WHERE key = ? RETURNING tag";
        (keys.iter()).try_for_each(|key| self.row(sql, params![&**key], |_| Ok(())).map(drop))
    }

    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        self.locks.lock(key, holder).await
    }

    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        self.locks.lock_holder(key).await
    }
}

fn main() -> ExitCode {
    let mut registry = Registry::new();
    registry.add_sink("sqlite", |target, settings| {
        let path = settings.values.text(&format!("{}.path", target.key))?;
        Ok(Arc::new(SqliteSink::open(
            path.as_deref().unwrap_or("vault.db"),
        )?))
    });
    arc_backup::main(registry)
}
