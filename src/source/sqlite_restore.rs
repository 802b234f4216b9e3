//! Taking databases back.
//!
//! Through SQLite's own backup into the live file, so that it is one transaction that locks, journals and
//! concurrent readers respect. Where that can't work, the live file is moved aside and the snapshot renamed in.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use arc_backup_core::{
    Entry, EntryStream, Error, ErrorKind, Meta, Restore, RestoreSummary, Result, Staging, Upload,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use rusqlite::{Connection, OpenFlags};
use tokio_util::sync::CancellationToken;

use super::snapshot::{BUSY_LIMIT, check, open_live, run, snapshot, sqlite_error};
use super::sqlite::Database;

pub(super) struct SqliteRestore {
    databases: Vec<Database>,
    staging: Staging,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    needed: Vec<Entry>,
    summary: RestoreSummary,
}

fn io(operation: &'static str, path: &Path, error: std::io::Error) -> Error {
    Error::from_io(operation, path.display().to_string(), error)
}

/// `path` with `suffix` behind its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes room for a new `….before-restore`: one that is there is the only original of an earlier restore.
pub(crate) fn rotate_kept(path: &Path, operation_id: &str) -> Result<PathBuf> {
    let kept = beside(path, ".before-restore");
    for suffix in ["", "-wal", "-shm"] {
        let old = beside(&kept, suffix);
        if std::fs::symlink_metadata(&old).is_ok() {
            let to = beside(&beside(&kept, &format!(".{operation_id}")), suffix);
            std::fs::rename(&old, &to).map_err(|e| io("rename", &old, e))?;
        }
    }
    Ok(kept)
}

impl SqliteRestore {
    pub(super) fn new(databases: Vec<Database>, staging: Staging) -> Self {
        Self {
            databases,
            staging,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn database(&self, entry: &Entry) -> Result<&Database> {
        self.databases.iter().find(|database| database.file == entry.key.as_str()).ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                "restore",
                format!("metadata/{}", entry.key),
                "the configuration names no database of this name: add its key to arc.toml, or restore without metadata",
            )
        })
    }

    fn staged_path(&self, database: &Database) -> PathBuf {
        let name = format!(
            ".arc-backup-{}-{}.tmp",
            self.staging.operation_id, database.file
        );
        database.path.with_file_name(name)
    }

    fn planned(&self) -> Vec<(Database, PathBuf)> {
        let needed = self.state().needed.clone();
        needed
            .iter()
            .filter_map(|entry| self.database(entry).ok())
            .map(|database| (database.clone(), self.staged_path(database)))
            .collect()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        tokio::task::spawn_blocking(job)
            .await
            .map_err(|e| Error::new(ErrorKind::Other, "restore", "metadata", e.to_string()))?
    }
}

#[async_trait]
impl Restore for SqliteRestore {
    async fn plan(&self, mut entries: EntryStream<'_>) -> Result<RestoreSummary> {
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            self.database(&entry)?;
            let mut state = self.state();
            state.summary.needed_files += 1;
            state.summary.needed_bytes = state.summary.needed_bytes.saturating_add(entry.size);
            state.needed.push(entry);
        }
        Ok(self.state().summary.clone())
    }

    fn needed(&self) -> EntryStream<'_> {
        stream::iter(self.state().needed.clone().into_iter().map(Ok)).boxed()
    }

    async fn begin(&self, entry: &Entry) -> Result<Box<dyn Upload>> {
        let database = self.database(entry)?;
        if let Some(folder) = database.path.parent() {
            crate::private::create_folder(folder).map_err(|e| io("create", folder, e))?;
        }
        FileUpload::create(self.staged_path(database), entry)
    }

    async fn staged(&self, _entry: &Entry) -> Result<()> {
        Ok(())
    }

    async fn ready(&self) -> Result<()> {
        for (database, staged) in self.planned() {
            self.blocking(move || {
                let connection = open_live(&staged, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
                check(&connection, &staged)?;
                drop(connection);
                wait_until_free(&database.path)
            })
            .await?;
        }
        Ok(())
    }

    async fn apply(&self) -> Result<()> {
        for (database, staged) in self.planned() {
            let operation_id = self.staging.operation_id.clone();
            let kept = self
                .blocking(move || put_back(&database.path, &staged, &operation_id))
                .await?;
            self.state()
                .summary
                .kept
                .extend(kept.map(|path| path.display().to_string()));
        }
        Ok(())
    }

    async fn finish(&self) -> Result<RestoreSummary> {
        Ok(self.state().summary.clone())
    }

    async fn abort(&self) -> Result<()> {
        for (_, staged) in self.planned() {
            remove_database(&staged);
        }
        Ok(())
    }
}

/// Removes the files that interrupted restores staged beside `live`: `.arc-backup-<operation>-<name>.tmp`.
pub(super) fn discard_staged(live: &Path, name: &str) -> Result<()> {
    let folder = live
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let ending = format!("-{name}.tmp");
    let children = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|e| io("list", folder, e))?,
    };
    for child in children {
        let child = child.map_err(|e| io("list", folder, e))?;
        let found = child.file_name();
        if (found.to_str())
            .is_some_and(|found| found.starts_with(".arc-backup-") && found.ends_with(&ending))
        {
            remove_database(&child.path());
        }
    }
    Ok(())
}

fn remove_database(path: &Path) {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        // Absent is the usual case; what can't be removed is swept later by its name.
        let _ = std::fs::remove_file(beside(path, suffix));
    }
}

/// Whether the file can be SQLite's: empty, or with its header.
fn looks_like_database(path: &Path) -> bool {
    let mut header = [0; 16];
    let Ok(mut file) = File::open(path) else {
        return false;
    };
    match file.read(&mut header) {
        Ok(0) => true,
        Ok(16) => header == *b"SQLite format 3\0",
        _ => false,
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode as Code;
    matches!(
        error.sqlite_error_code(),
        Some(Code::DatabaseBusy | Code::DatabaseLocked)
    )
}

/// Waits for a writer that holds the live database in a transaction: before the first change is the time to find out.
fn wait_until_free(path: &Path) -> Result<()> {
    if !path.exists() || !looks_like_database(path) {
        return Ok(());
    }
    let Ok(connection) = open_live(path, OpenFlags::SQLITE_OPEN_READ_WRITE) else {
        return Ok(());
    };
    let since = Instant::now();
    loop {
        match connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK") {
            Err(error) if is_busy(&error) => {
                if since.elapsed() > BUSY_LIMIT {
                    return Err(Error::new(
                        ErrorKind::Busy,
                        "write",
                        path.display().to_string(),
                        format!(
                            "another process has held it for {} s: stop it or try again",
                            BUSY_LIMIT.as_secs()
                        ),
                    ));
                }
            }
            // Any other fault is met again, and dealt with, when it is written.
            _ => return Ok(()),
        }
    }
}

/// Puts the snapshot `staged` into force at `live`; answers where the state of before is kept.
fn put_back(live: &Path, staged: &Path, operation_id: &str) -> Result<Option<PathBuf>> {
    let exists = std::fs::symlink_metadata(live).is_ok();
    if !exists {
        rename_in(live, staged)?;
        return Ok(None);
    }
    let kept = rotate_kept(live, operation_id)?;
    if looks_like_database(live) {
        let snapshotted = snapshot(live, &kept, &CancellationToken::new());
        if let Err(error) = &snapshotted {
            if error.kind() == ErrorKind::Busy || error.kind() == ErrorKind::NoSpace {
                remove_database(&kept);
                return Err(Error::new(
                    error.kind(),
                    "keep",
                    live.display().to_string(),
                    error.detail(),
                ));
            }
            // Corrupt pages: what there is is kept as raw bytes.
            remove_database(&kept);
            copy_raw(live, &kept)?;
        }
        match write_into(live, staged) {
            Ok(()) => {
                remove_database(staged);
                return Ok(Some(kept));
            }
            Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::NoSpace) => {
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(%error, "the live database can't be written through SQLite; replacing its file");
                if snapshotted.is_ok() {
                    // The snapshot holds everything; the raw file goes.
                    remove_database(live);
                    rename_in(live, staged)?;
                    return Ok(Some(kept));
                }
                remove_database(&kept);
            }
        }
    }
    move_raw(live, &kept)?;
    rename_in(live, staged)?;
    Ok(Some(kept))
}

fn copy_raw(live: &Path, kept: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let from = beside(live, suffix);
        if from.exists() {
            std::fs::copy(&from, beside(kept, suffix)).map_err(|e| io("keep", &from, e))?;
        }
    }
    Ok(())
}

fn move_raw(live: &Path, kept: &Path) -> Result<()> {
    for suffix in ["-wal", "-shm", ""] {
        let from = beside(live, suffix);
        if std::fs::symlink_metadata(&from).is_ok() {
            std::fs::rename(&from, beside(kept, suffix)).map_err(|e| io("keep", &from, e))?;
        }
    }
    Ok(())
}

fn rename_in(live: &Path, staged: &Path) -> Result<()> {
    // Leavings of a database that is gone would be taken for part of the new one.
    for suffix in ["-wal", "-shm", "-journal"] {
        match std::fs::remove_file(beside(live, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io("remove", &beside(live, suffix), error));
            }
            _ => {}
        }
    }
    let folder = live
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    crate::private::give_to_owner_of(folder, staged).map_err(|e| io("give away", staged, e))?;
    std::fs::rename(staged, live).map_err(|e| io("write", live, e))?;
    sync_folder(live)
}

pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| io("sync", folder, e))
}

/// Writes the snapshot into the live database, as one transaction.
fn write_into(live: &Path, staged: &Path) -> Result<()> {
    let mut to = open_live(live, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let fault = |e| sqlite_error("write", live, e);
    let size = |c: &Connection| c.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0));
    let mode: String = to
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .map_err(fault)?;
    let source = open_live(staged, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let wanted = size(&to).map_err(fault)?;
    if mode == "wal" && size(&source).map_err(|e| sqlite_error("read", staged, e))? != wanted {
        // SQLite can't change the page size of a database in WAL mode: the copy takes that of the live one.
        source
            .execute_batch(&format!("PRAGMA page_size = {wanted}; VACUUM"))
            .map_err(|e| sqlite_error("convert", staged, e))?;
    }
    run(&source, &mut to, live, None)?;
    check(&to, live)
}

/// A file that is written beside its place, private, and stays there when it is committed.
pub(super) struct FileUpload {
    path: PathBuf,
    file: File,
    entry: Entry,
    committed: bool,
}

impl FileUpload {
    pub(super) fn create(path: PathBuf, entry: &Entry) -> Result<Box<dyn Upload>> {
        remove_database(&path);
        let file = crate::private::create_file(&path).map_err(|e| io("write", &path, e))?;
        Ok(Box::new(Self {
            path,
            file,
            entry: entry.clone(),
            committed: false,
        }))
    }
}

#[async_trait]
impl Upload for FileUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.file
            .write_all(&bytes)
            .map_err(|e| io("write", &self.path, e))
    }

    fn local_file(&mut self) -> Result<Option<File>> {
        self.file
            .try_clone()
            .map(Some)
            .map_err(|e| io("write", &self.path, e))
    }

    async fn commit(mut self: Box<Self>) -> Result<Meta> {
        self.file
            .sync_all()
            .map_err(|e| io("write", &self.path, e))?;
        self.committed = true;
        Ok(Meta {
            key: self.entry.key.clone(),
            size: self.entry.size,
            modified: self.entry.modified,
            mode: Some(0o600),
            etag: None,
        })
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl Drop for FileUpload {
    fn drop(&mut self) {
        if !self.committed {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
