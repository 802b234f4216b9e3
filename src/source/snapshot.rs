//! Snapshots of SQLite databases, by SQLite's online backup.

use std::path::Path;
use std::time::{Duration, Instant};

use arc_backup_core::{Activity, Error, ErrorKind, Result};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use tokio_util::sync::CancellationToken;

/// How long a busy database is waited for.
pub(super) const BUSY_LIMIT: Duration = Duration::from_secs(30);
/// How long between two looks at a busy database.
pub(super) const BUSY_PAUSE: Duration = Duration::from_micros(200);
/// Pages copied before a look at whether to go on: 4 MiB of a usual database.
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
        // All that SQLite says when it can't make the files beside the database, for instance.
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
///
/// A read transaction is opened first on the source: without it every foreign commit would restart the copy.
pub(super) fn snapshot(
    live: &Path,
    to: &Path,
    cancel: &CancellationToken,
    activity: &Activity,
) -> Result<()> {
    let source = match open_live(live, OpenFlags::SQLITE_OPEN_READ_WRITE) {
        Err(_) => open_live(live, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
        Ok(connection) => connection,
    };
    let fault = |e| sqlite_error("read", live, e);
    source.execute_batch("BEGIN DEFERRED").map_err(fault)?;
    let seen = Shape::of(&source).map_err(fault)?;
    crate::private::create_file(to)
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

/// Checks a database that lies still: SQLite's own check, and that it holds a table. An empty file passes the first.
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

/// Takes the locks of a copy, waiting for a busy target up to [`BUSY_LIMIT`]. From then on nobody else writes to it.
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

/// Copies the next pages; tells whether they were the last.
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
            // Writers that commit one transaction after the other leave gaps of microseconds: whoever looks seldom
            // never finds one.
            StepResult::Busy | StepResult::Locked => std::thread::sleep(BUSY_PAUSE),
            _ => return Ok(false),
        }
    }
}

/// What there is to say of a live database; `None` where there is none.
pub(crate) fn look_at_database(path: &Path) -> Result<Option<String>> {
    let meta = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(|e| Error::from_io("read", path.display().to_string(), e))?,
    };
    if !meta.is_file() {
        return Err(Error::new(
            ErrorKind::Invalid,
            "read",
            path.display().to_string(),
            "it is no regular file",
        ));
    }
    let connection = open_live(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .or_else(|_| open_live(path, OpenFlags::SQLITE_OPEN_READ_ONLY))?;
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
