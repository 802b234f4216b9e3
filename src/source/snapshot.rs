//! Snapshots of SQLite databases, by SQLite's online backup.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arc_backup_core::{Activity, Error, ErrorKind, Result};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use tokio_util::sync::CancellationToken;

use super::companions::remove_database;
use crate::files::with_suffix;

/// How long a busy database is waited for.
pub(super) const BUSY_LIMIT: Duration = Duration::from_secs(30);
/// How long between two attempts at a busy database.
pub(super) const BUSY_PAUSE: Duration = Duration::from_micros(200);
/// Pages copied between two checks of whether to go on: 4 MiB of a usual database.
const STEP_PAGES: i32 = 1024;

pub(super) fn sqlite_error(operation: &'static str, path: &Path, error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let kind = match error.sqlite_error_code() {
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => ErrorKind::Busy,
        Some(Code::NotADatabase | Code::DatabaseCorrupt) => ErrorKind::Corrupt,
        // What SQLite says to pages of another size.
        Some(Code::ReadOnly) => ErrorKind::Unsupported,
        Some(Code::DiskFull) => ErrorKind::NoSpace,
        Some(Code::PermissionDenied | Code::CannotOpen) => ErrorKind::PermissionDenied,
        _ => ErrorKind::Other,
    };
    let mut detail = error.to_string();
    if error.sqlite_error_code() == Some(Code::SystemIoFailure) {
        // SQLite says no more, for instance when it can't make the files beside the database.
        detail.push_str(": is the disk full, or failing?");
    }
    Error::new(kind, operation, path.display().to_string(), detail).with_source(error)
}

/// Opens a live database that must exist.
pub(super) fn open_live(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|e| sqlite_error("open", path, e))?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(|e| sqlite_error("open", path, e))?;
    Ok(connection)
}

/// Copies the database `live` into the new file `to`: one file without `-wal`, as of one moment.
pub(crate) fn snapshot(
    live: &Path,
    to: &Path,
    cancel: &CancellationToken,
    activity: &Activity,
) -> Result<()> {
    let error = match open_readable(live) {
        Ok(source) => return copy_of(source, live, to, cancel, activity),
        Err(error) => error,
    };
    if !needs_a_copy(live, &error) {
        return Err(sqlite_error("read", live, error));
    }
    let copy = copy_files(live, &with_suffix(to, ".source"), cancel, activity)?;
    let source = open_readable(&copy.0).map_err(|e| sqlite_error("read", live, e))?;
    copy_of(source, live, to, cancel, activity)
}

/// The same from the open database.
///
/// A read transaction is opened first on the source: without it every commit of another process
/// would restart the copy.
fn copy_of(
    source: Connection,
    live: &Path,
    to: &Path,
    cancel: &CancellationToken,
    activity: &Activity,
) -> Result<()> {
    let fault = |e| sqlite_error("read", live, e);
    source.execute_batch("BEGIN DEFERRED").map_err(fault)?;
    let seen = Shape::of(&source).map_err(fault)?;
    crate::files::create_file(to)
        .map_err(|e| Error::from_io("write", to.display().to_string(), e))?;
    let mut copy = Connection::open(to).map_err(|e| sqlite_error("write", to, e))?;
    let backup = Backup::new(&source, &mut copy).map_err(|e| sqlite_error("copy", live, e))?;
    while !steps(&backup, live, Some(cancel), STEP_PAGES)? {
        activity.note();
    }
    drop(backup);
    let fault = |e| sqlite_error("write", to, e);
    // The header of a database in WAL mode asks for a `-wal` beside it; a snapshot is one file.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
        .map_err(fault)?;
    check(&copy, to).map_err(|fault| {
        if fault.kind() != ErrorKind::Corrupt {
            return fault;
        }
        let detail = format!(
            "it is damaged ({}): repair it, or leave the databases out (--no-metadata, `include_metadata`)",
            fault.detail().replace('\n', " ")
        );
        Error::new(fault.kind(), "read", live.display().to_string(), detail).with_source(fault)
    })?;
    if Shape::of(&copy).map_err(fault)? != seen {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "snapshot",
            live.display().to_string(),
            "the copy has other pages or another schema than the database",
        ));
    }
    Ok(())
}

/// Opens a live database that must exist, and makes sure that it can be read: SQLite itself finds
/// that out only with the first query.
pub(super) fn open_readable(path: &Path) -> rusqlite::Result<Connection> {
    let open = |flags| {
        let connection =
            Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(connection)
    };
    let connection = open(OpenFlags::SQLITE_OPEN_READ_WRITE)
        .or_else(|_: rusqlite::Error| open(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// Whether `error` says that a database in WAL mode lies where no `-shm` can be made, as on a
/// read-only mount, while no process has it open: a process that has it open has made one.
fn needs_a_copy(live: &Path, error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode as Code;
    let cannot_make = matches!(
        error.sqlite_error_code(),
        Some(Code::CannotOpen | Code::ReadOnly | Code::SystemIoFailure)
    );
    cannot_make && !with_suffix(live, "-shm").exists()
}

/// How often a database is copied that is changed during the copy.
const COPY_ATTEMPTS: u32 = 20;
/// How long between two copies, and how long the database must have been unchanged: longer than any
/// tick of a file system's clock.
const COPY_PAUSE: Duration = Duration::from_millis(500);

/// How much is copied between two checks for a cancellation.
const COPY_PIECE: u64 = 4 << 20;

/// A copy of a database's files, removed when dropped.
struct FilesCopy(PathBuf);

impl Drop for FilesCopy {
    fn drop(&mut self) {
        remove_database(&self.0);
    }
}

/// Copies the files of a database that no process has open, with the `-wal` or `-journal` of a
/// writer that was killed: SQLite applies it when the copy is opened.
fn copy_files(
    live: &Path,
    to: &Path,
    cancel: &CancellationToken,
    activity: &Activity,
) -> Result<FilesCopy> {
    let io = |operation, error| Error::from_io(operation, live.display().to_string(), error);
    let copy = FilesCopy(to.to_owned());
    for attempt in 0..COPY_ATTEMPTS {
        if attempt > 0 {
            std::thread::sleep(COPY_PAUSE);
        }
        let before = FileStates::read(live).map_err(|e| io("read", e))?;
        if !before.is_old() {
            continue;
        }
        remove_database(to);
        for suffix in SUFFIXES {
            let from = with_suffix(live, suffix);
            let mut source = match std::fs::File::open(&from) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                opened => opened.map_err(|e| io("read", e))?,
            };
            let path = with_suffix(to, suffix);
            let written = |e| Error::from_io("write", path.display().to_string(), e);
            let mut target = crate::files::create_file(&path).map_err(written)?;
            loop {
                if cancel.is_cancelled() {
                    return Err(Error::new(
                        ErrorKind::Cancelled,
                        "copy",
                        live.display().to_string(),
                        "cancelled",
                    ));
                }
                activity.note();
                let mut piece = std::io::Read::take(&mut source, COPY_PIECE);
                if std::io::copy(&mut piece, &mut target).map_err(written)? == 0 {
                    break;
                }
            }
        }
        if FileStates::read(live).map_err(|e| io("read", e))? == before {
            return Ok(copy);
        }
    }
    Err(Error::new(
        ErrorKind::Busy,
        "read",
        live.display().to_string(),
        "its folder can't be written, and its files changed during each copy: run this where Arc's folder can be \
         written, or try again",
    ))
}

const SUFFIXES: [&str; 3] = ["", "-wal", "-journal"];

/// What shows that a database was not changed: size, time and number of each of its files; and that
/// no process has it open.
#[derive(PartialEq, Eq)]
struct FileStates {
    files: [Option<(u64, i64, i64, u64)>; 3],
    newest: Option<std::time::SystemTime>,
    is_open: bool,
}

impl FileStates {
    fn read(live: &Path) -> std::io::Result<Self> {
        let mut files = [None; 3];
        let mut newest = None;
        for (found, suffix) in files.iter_mut().zip(SUFFIXES) {
            let meta: Metadata = match std::fs::metadata(with_suffix(live, suffix)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                meta => meta?,
            };
            *found = Some((meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ino()));
            newest = newest.max(meta.modified().ok());
        }
        Ok(Self {
            files,
            newest,
            is_open: with_suffix(live, "-shm").exists(),
        })
    }

    /// Whether a change now would show in the files' times.
    fn is_old(&self) -> bool {
        let age = self.newest.map(|time| time.elapsed());
        // A time of a clock that is ahead says nothing.
        !self.is_open && age.is_none_or(|age| age.unwrap_or(COPY_PAUSE) >= COPY_PAUSE)
    }
}

/// What a database and its copy must agree in. An empty file passes SQLite's own check.
#[derive(PartialEq, Eq)]
struct Shape {
    pages: i64,
    schema: Vec<(String, String, Option<String>)>,
}

impl Shape {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let pages = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let mut statement =
            connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY rowid")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(Self {
            pages,
            schema: rows.collect::<rusqlite::Result<_>>()?,
        })
    }
}

/// SQLite's own check of a database.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<()> {
    let answer: Option<String> = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .optional()
        .map_err(|e| sqlite_error("check", path, e))?;
    match answer.as_deref() {
        Some("ok") => Ok(()),
        other => Err(Error::new(
            ErrorKind::Corrupt,
            "check",
            path.display().to_string(),
            other.unwrap_or("no answer"),
        )),
    }
}

/// Checks a database that no process changes: SQLite's own check, and that it has a table. An empty
/// file passes the first.
pub(crate) fn check_file(path: &Path) -> Result<()> {
    let connection = open_live(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    check(&connection, path)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|e| sqlite_error("check", path, e))?;
    if tables == 0 {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "check",
            path.display().to_string(),
            "it is an empty database",
        ));
    }
    Ok(())
}

/// Takes the locks of a copy, waiting for a busy target up to [`BUSY_LIMIT`]. From then on no other
/// process writes to it.
pub(super) fn take_locks(backup: &Backup<'_, '_>, subject: &Path) -> Result<()> {
    steps(backup, subject, None, 0).map(drop)
}

/// Copies all pages, waiting for a busy target up to [`BUSY_LIMIT`].
pub(super) fn finish(backup: &Backup<'_, '_>, subject: &Path, activity: &Activity) -> Result<()> {
    while !steps(backup, subject, None, STEP_PAGES)? {
        activity.note();
    }
    Ok(())
}

/// Copies the next pages; returns whether they were the last.
fn steps(
    backup: &Backup<'_, '_>,
    subject: &Path,
    cancel: Option<&CancellationToken>,
    pages: i32,
) -> Result<bool> {
    let since = Instant::now();
    loop {
        if cancel.is_some_and(CancellationToken::is_cancelled) {
            return Err(Error::new(
                ErrorKind::Cancelled,
                "copy",
                subject.display().to_string(),
                "cancelled",
            ));
        }
        match backup
            .step(pages)
            .map_err(|e| sqlite_error("copy", subject, e))?
        {
            StepResult::Done => return Ok(true),
            StepResult::Busy | StepResult::Locked if since.elapsed() > BUSY_LIMIT => {
                return Err(Error::new(
                    ErrorKind::Busy,
                    "write",
                    subject.display().to_string(),
                    format!(
                        "another process has held it for {} s: stop it or try again",
                        BUSY_LIMIT.as_secs()
                    ),
                ));
            }
            // Writers that commit one transaction after the other leave gaps of microseconds, which
            // only frequent attempts find.
            StepResult::Busy | StepResult::Locked => std::thread::sleep(BUSY_PAUSE),
            _ => return Ok(false),
        }
    }
}

/// Describes a live database; `None` where there is none.
pub(crate) fn describe_database(path: &Path) -> Result<Option<String>> {
    let meta = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(|e| Error::from_io("read", path.display().to_string(), e))?,
    };
    if !meta.is_file() {
        return Err(Error::new(
            ErrorKind::Invalid,
            "read",
            path.display().to_string(),
            "it is not a regular file",
        ));
    }
    let connection = match open_readable(path) {
        Err(error) if needs_a_copy(path, &error) => {
            return Ok(Some(format!(
                "{}: {} bytes; its folder can't be written, and a backup reads a copy of it",
                path.display(),
                meta.len()
            )));
        }
        opened => opened.map_err(|e| sqlite_error("read", path, e))?,
    };
    let tables: i64 = connection
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table'",
            [],
            |row| row.get(0),
        )
        .map_err(|e| sqlite_error("read", path, e))?;
    Ok(Some(format!(
        "{}: {tables} tables, {} bytes",
        path.display(),
        meta.len()
    )))
}
