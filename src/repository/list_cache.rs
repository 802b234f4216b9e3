//! What the last lists read of a target, kept on this machine: manifests, which never change, and
//! notes, as they were when they were read.
//!
//! It saves requests and never decides anything: a file that is missing, damaged, of another
//! release or held by another process is as good as an empty one.

use std::collections::HashMap;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_backup_core::{Digest, EntityTag, Meta, SinkProperties};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::manifest::BackupId;

/// The version of the table and of what is in it. A file of another one is made new.
const VERSION: i32 = 2;
/// The most rows of a target.
const MAX_ROWS: i64 = 50_000;
/// The largest row, in bytes.
const MAX_ROW: usize = 64 << 10;
/// How long another process may hold the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// How long rows of backups that are gone stay: a list that began before may still write one.
const GONE: Duration = Duration::from_secs(3600);
/// How long after it was written an object without a strong entity tag may be written again with
/// the same tag: file systems count time in steps.
const SETTLED: Duration = Duration::from_secs(2);

/// What proves that an object is the one that was read: entity tag, size, modification time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp(String);

impl Stamp {
    /// That of an object that is looked at now; `None` where it would prove nothing.
    pub(super) fn of(meta: &Meta, properties: &SinkProperties) -> Option<Self> {
        let tag = meta.etag.as_ref()?;
        let modified = meta.modified;
        if properties.entity_tag == EntityTag::Strong {
            // Some stores give the time in seconds to a request, and finer in a listing.
            return Some(Self(format!("{tag} {}", meta.size)));
        }
        let age = SystemTime::now().duration_since(modified?).ok()?;
        let nanoseconds = modified?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        (age >= SETTLED).then(|| Self(format!("{tag} {} {nanoseconds}", meta.size)))
    }
}

/// Something that was read, as JSON, and what proves that it is still the same.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) stamp: Stamp,
    /// When it was last read, or found to be the same: microseconds since 1970.
    pub(super) checked_at: i64,
    body: String,
}

impl Kept {
    /// What it is; `None` where this release can't read it.
    pub(super) fn value<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.body).ok()
    }

    /// Whether it was read or checked within this time.
    pub(super) fn is_within(&self, time: Duration) -> bool {
        let age = now().checked_sub(self.checked_at);
        age.and_then(|age| u64::try_from(age).ok())
            .is_some_and(|age| Duration::from_micros(age) < time)
    }
}

/// What is kept of a target.
#[derive(Debug, Default)]
pub(super) struct KeptRows {
    /// What the manifests say, without anything of the notes.
    pub(super) manifests: HashMap<BackupId, Kept>,
    pub(super) notes: HashMap<BackupId, Kept>,
}

/// What a list found out.
#[derive(Debug)]
pub(super) enum Found {
    /// A manifest or a note was read; `began` is the moment before.
    Read {
        kind: Kind,
        id: BackupId,
        stamp: Stamp,
        body: String,
        began: i64,
    },
    /// A manifest is the same as the one that is kept, found at this moment.
    Same(BackupId, Stamp, i64),
}

impl Found {
    /// Something that was read; `None` where it can't be kept.
    pub(super) fn read(
        kind: Kind,
        id: &BackupId,
        stamp: Stamp,
        value: &impl Serialize,
        began: i64,
    ) -> Option<Self> {
        let body = serde_json::to_string(value).ok()?;
        (body.len() <= MAX_ROW).then(|| Self::Read {
            kind,
            id: id.clone(),
            stamp,
            body,
            began,
        })
    }
}

/// What a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What a manifest says, without anything of the notes.
    Manifest = 0,
    /// A note.
    Note = 1,
}

/// This moment, in microseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| {
        i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
    })
}

/// The file of one target. Its calls never fail.
#[derive(Debug, Clone)]
pub(crate) struct ListCache {
    path: Arc<Path>,
}

impl ListCache {
    /// That of the target `name` at `location`: a target that has moved, or is called otherwise,
    /// has another one.
    pub(crate) fn new(state_folder: &Path, name: &str, location: &str) -> Self {
        let digest = Digest::of(format!("{name}\n{location}").as_bytes());
        let file = format!("{}.db", &digest.to_string()[..32]);
        Self {
            path: state_folder.join("lists").join(file).into(),
        }
    }

    /// Everything that is kept.
    pub(super) async fn rows(&self) -> KeptRows {
        let cache = self.clone();
        let rows = tokio::task::spawn_blocking(move || {
            cache.path.exists().then(|| cache.on_file(read)).flatten()
        });
        let rows = tokio::time::timeout(2 * BUSY_TIMEOUT, rows).await;
        rows.ok().and_then(Result::ok).flatten().unwrap_or_default()
    }

    /// Keeps what a list found out.
    pub(super) async fn keep(&self, found: Vec<Found>) {
        if found.is_empty() {
            return;
        }
        let cache = self.clone();
        self.blocking(move || {
            if cache.create() {
                cache.on_file(|connection| write(connection, &found));
            }
        })
        .await;
    }

    /// Removes the rows of backups that are gone.
    pub(super) async fn keep_only(&self, ids: Vec<BackupId>) {
        let cache = self.clone();
        self.blocking(move || {
            if cache.path.exists() {
                cache.on_file(|connection| remove_others(connection, &ids));
            }
        })
        .await;
    }

    /// Forgets a backup: its manifest is removed.
    pub(super) async fn forget(&self, id: &BackupId) {
        let (cache, id) = (self.clone(), id.clone());
        self.blocking(move || {
            if cache.path.exists() {
                cache.on_file(|connection| forget(connection, &id));
            }
        })
        .await;
    }

    async fn blocking(&self, job: impl FnOnce() + Send + 'static) {
        let done = tokio::task::spawn_blocking(job);
        // A disk that hangs must not delay an answer for ever.
        let _ = tokio::time::timeout(2 * BUSY_TIMEOUT, done).await;
    }

    /// Makes the file, readable by its owner only; whether there is one. The state folder itself is
    /// made by the first operation.
    fn create(&self) -> bool {
        let Some(folder) = self.path.parent() else {
            return false;
        };
        if !folder.parent().is_some_and(Path::is_dir) {
            return false;
        }
        let create = || {
            crate::files::create_folder(folder)?;
            if !self.path.exists() {
                std::fs::OpenOptions::new()
                    .append(true)
                    .create(true)
                    .mode(0o600)
                    .open(&self.path)?;
                crate::files::give_if_possible(folder, &self.path);
            }
            Ok::<_, std::io::Error>(())
        };
        create().is_ok()
    }

    /// Runs `job` on the file. One that is damaged is removed.
    fn on_file<T>(&self, job: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Option<T> {
        let done = connect(&self.path).and_then(|connection| job(&connection));
        let error = match done {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        tracing::debug!(%error, path = %self.path.display(), "the cache of a list is not used");
        let is_of_the_disk = matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::CannotOpen
                    | ErrorCode::ReadOnly
                    | ErrorCode::PermissionDenied
                    | ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::OutOfMemory
            )
        );
        if !is_of_the_disk {
            let mut journal = self.path.as_os_str().to_owned();
            journal.push("-journal");
            let _ = std::fs::remove_file(&*self.path);
            let _ = std::fs::remove_file(PathBuf::from(journal));
        }
        None
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // What a loss of power damages is found by the digests, and read again.
    connection.pragma_update(None, "synchronous", "OFF")?;
    if version(&connection)? != VERSION {
        let change = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        if version(&change)? != VERSION {
            change.execute_batch(
                "DROP TABLE IF EXISTS rows;
                 CREATE TABLE rows (
                    kind INTEGER NOT NULL,
                    id TEXT NOT NULL,
                    stamp TEXT NOT NULL,
                    body TEXT,
                    read_at INTEGER NOT NULL,
                    checked_at INTEGER NOT NULL,
                    digest TEXT NOT NULL,
                    PRIMARY KEY (kind, id)) WITHOUT ROWID",
            )?;
            change.pragma_update(None, "user_version", VERSION)?;
        }
        change.commit()?;
    }
    Ok(connection)
}

fn version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Over a row: of a damaged file, SQLite may still read a part. The release is in it, as the body
/// is what this one makes of a manifest.
fn digest(kind: i64, id: &str, stamp: &str, body: &str) -> String {
    let release = env!("CARGO_PKG_VERSION");
    Digest::of(format!("{release}\n{kind}\n{id}\n{stamp}\n{body}").as_bytes()).to_string()
}

fn read(connection: &Connection) -> rusqlite::Result<KeptRows> {
    let mut kept = KeptRows::default();
    let mut statement = connection.prepare(
        "SELECT kind, id, stamp, body, checked_at, digest FROM rows WHERE body IS NOT NULL",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, id, stamp): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (body, checked_at, says): (String, i64, String) =
            (row.get(3)?, row.get(4)?, row.get(5)?);
        if digest(kind, &id, &stamp, &body) != says {
            continue;
        }
        let Ok(id) = BackupId::parse(&id) else {
            continue;
        };
        let stamp = Stamp(stamp);
        let row = Kept {
            stamp,
            checked_at,
            body,
        };
        if kind == Kind::Manifest as i64 {
            kept.manifests.insert(id, row);
        } else if kind == Kind::Note as i64 {
            kept.notes.insert(id, row);
        }
    }
    Ok(kept)
}

fn write(connection: &Connection, found: &[Found]) -> rusqlite::Result<()> {
    let change = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let rows: i64 = change.query_row("SELECT count(*) FROM rows", [], |row| row.get(0))?;
    for one in found {
        let (kind, id, stamp, body, began) = match one {
            Found::Same(id, stamp, at) => {
                change.execute(
                    "UPDATE rows SET checked_at = max(checked_at, ?4)
                     WHERE kind = ?1 AND id = ?2 AND stamp = ?3 AND body IS NOT NULL",
                    params![Kind::Manifest as i64, id.as_str(), stamp.0, at],
                )?;
                continue;
            }
            Found::Read {
                kind,
                id,
                stamp,
                body,
                began,
            } => (*kind as i64, id, stamp, body, *began),
        };
        if rows > MAX_ROWS {
            continue;
        }
        // What was read before a newer row, or before a deletion, comes too late.
        change.execute(
            "INSERT INTO rows (kind, id, stamp, body, read_at, checked_at, digest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)
             ON CONFLICT (kind, id) DO UPDATE SET stamp = ?3, body = ?4, read_at = ?5,
             checked_at = ?5, digest = ?6 WHERE read_at < ?5",
            params![
                kind,
                id.as_str(),
                stamp.0,
                body,
                began,
                digest(kind, id.as_str(), &stamp.0, body)
            ],
        )?;
    }
    change.commit()
}

fn forget(connection: &Connection, id: &BackupId) -> rusqlite::Result<()> {
    let change = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    for kind in [Kind::Manifest, Kind::Note] {
        change.execute(
            "INSERT INTO rows (kind, id, stamp, body, read_at, checked_at, digest)
             VALUES (?1, ?2, '', NULL, ?3, ?3, '')
             ON CONFLICT (kind, id) DO UPDATE SET stamp = '', body = NULL, read_at = ?3,
             checked_at = ?3, digest = ''",
            params![kind as i64, id.as_str(), now()],
        )?;
    }
    change.commit()
}

fn remove_others(connection: &Connection, ids: &[BackupId]) -> rusqlite::Result<()> {
    let known: std::collections::HashSet<&str> = ids.iter().map(BackupId::as_str).collect();
    let before = now().saturating_sub_unsigned(GONE.as_micros() as u64);
    let mut statement =
        connection.prepare("SELECT id FROM rows WHERE read_at < ?1 AND checked_at < ?1")?;
    let old: Vec<String> = statement
        .query_map([before], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let gone: Vec<_> = (old.iter()).filter(|id| !known.contains(&***id)).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let change = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    for id in gone {
        change.execute("DELETE FROM rows WHERE id = ?1", [id])?;
    }
    change.commit()
}
