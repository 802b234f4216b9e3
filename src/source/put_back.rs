//! Putting a restored snapshot in the place of a live database.
//!
//! Through SQLite's own backup into the live file: one transaction, which locks, journals and
//! concurrent readers respect. Where that can't work, the live file is moved aside and the snapshot
//! renamed in.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arc_backup_core::{Activity, Error, ErrorKind, Result};
use rusqlite::backup::Backup;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio_util::sync::CancellationToken;

use super::companions::{kept_path, remove_all_of, remove_database};
use super::replace::{Attributes, Replacement, move_away, replace};
use super::snapshot::{
    BUSY_LIMIT, BUSY_PAUSE, check, finish, open_live, snapshot, sqlite_error, take_locks,
};
use crate::files::{file_error, sync_file, sync_folder, with_suffix};

/// Where a database that is kept is written first: a name of a staged file, which the next restore
/// removes.
fn part_of(staged: &Path) -> PathBuf {
    let name = staged.file_name().unwrap_or_default().to_string_lossy();
    staged.with_file_name(name.replacen(".arc-backup-", ".arc-backup-kept-", 1))
}

/// What is in a database's place.
#[derive(Debug, PartialEq, Eq)]
enum Live {
    Missing,
    Database,
    /// A file that is not a database, a folder, a FIFO, a dangling link: opened only to find that
    /// out.
    Other,
}

fn look_at(path: &Path) -> Result<Live> {
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(_) if std::fs::symlink_metadata(path).is_ok() => return Ok(Live::Other),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Live::Missing),
        Err(error) => return Err(file_error("look at", path, error)),
    };
    if !meta.is_file() {
        return Ok(Live::Other);
    }
    // Through SQLite: a plain open and close of the file would drop this process's locks on it.
    let connection = open_live(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let schema = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    Ok(match schema {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => Live::Other,
        // Any other fault is met again, and dealt with, when it is written.
        _ => Live::Database,
    })
}

/// Whether what is at `path` can be replaced at all, found out before the first change.
pub(super) fn check_place(path: &Path) -> Result<()> {
    match look_at(path)? {
        Live::Missing => Ok(()),
        // It is moved away whole, which only a mount point does not allow.
        Live::Other if !path.is_file() => match crate::files::is_mount_point(path) {
            true => Err(Error::new(
                ErrorKind::Invalid,
                "replace",
                path.display().to_string(),
                "something that is not a file is mounted there: unmount it",
            )),
            false => Ok(()),
        },
        Live::Other | Live::Database => super::replace::check(path).map(drop),
    }
}

/// Waits, before the first change, for a writer that holds the live database in a transaction.
pub(super) fn wait_until_free(path: &Path) -> Result<()> {
    if look_at(path)? != Live::Database {
        return Ok(());
    }
    let Ok(connection) = open_live(path, OpenFlags::SQLITE_OPEN_READ_WRITE) else {
        return Ok(());
    };
    // SQLite's own wait sleeps longer each time, and among busy writers it always comes too late.
    let _ = connection.busy_timeout(Duration::ZERO);
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
                std::thread::sleep(BUSY_PAUSE);
            }
            // Any other fault is met again, and dealt with, when it is written.
            _ => return Ok(()),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Puts the snapshot `staged` in the place of `live`; returns where the state of before is kept.
///
/// `attributes` are those of a new file; one that is written into keeps its own.
pub(super) fn put_back(
    live: &Path,
    staged: &Path,
    operation_id: &str,
    activity: &Activity,
    attributes: Attributes,
) -> Result<Option<PathBuf>> {
    let found = look_at(live)?;
    if found == Live::Missing {
        rename_in(live, staged, attributes)?;
        return Ok(None);
    }
    let kept = kept_path(live, operation_id);
    if found == Live::Other {
        move_raw(live, &kept)?;
        rename_in(live, staged, attributes)?;
        return Ok(Some(kept));
    }
    let mut is_kept = false;
    match write_into(live, staged, &kept, &mut is_kept, activity) {
        Ok(()) => remove_database(staged),
        // Its pages can't be read, or SQLite can't write these pages over those.
        Err(Unwritten::Impossible(error)) => {
            tracing::warn!(%error, "the live database can't be written through SQLite; its file is replaced");
            if !is_kept {
                remove_database(&part_of(staged));
                move_raw(live, &kept)?;
            }
            rename_in(live, staged, attributes)?;
        }
        Err(Unwritten::Now(error)) => {
            if !is_kept {
                remove_database(&part_of(staged));
            }
            return Err(error);
        }
    }
    Ok(Some(kept))
}

/// Why nothing was written into the live database.
enum Unwritten {
    /// It can't be done this way.
    Impossible(Error),
    /// Another try may succeed: it is busy, the disk is full, …; or the end of it could not be
    /// checked.
    Now(Error),
}

impl From<Error> for Unwritten {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Corrupt | ErrorKind::Unsupported => Self::Impossible(error),
            _ => Self::Now(error),
        }
    }
}

/// Writes the snapshot into the live database, as one transaction, and keeps what was there before.
fn write_into(
    live: &Path,
    staged: &Path,
    kept: &Path,
    is_kept: &mut bool,
    activity: &Activity,
) -> Result<(), Unwritten> {
    let mut to = open_live(live, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let fault = |e| sqlite_error("write", live, e);
    let size = |c: &Connection| c.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0));
    let mode: String = to
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .map_err(fault)?;
    let is_wal = mode == "wal";
    let source = open_live(staged, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let wanted = size(&to).map_err(fault)?;
    if is_wal && size(&source).map_err(|e| sqlite_error("read", staged, e))? != wanted {
        // SQLite can't change the page size of a database in WAL mode: the copy takes the live
        // one's.
        source
            .execute_batch(&format!("PRAGMA page_size = {wanted}; VACUUM"))
            .map_err(|e| sqlite_error("convert", staged, e))?;
    }
    let mut keep = || -> Result<()> {
        // Under its name it is whole: an undo goes by that.
        let part = part_of(staged);
        remove_all_of(&part)?;
        snapshot(live, &part, &CancellationToken::new(), activity)?;
        let file = std::fs::File::open(&part).map_err(|e| file_error("keep", &part, e))?;
        sync_file(&file).map_err(|e| file_error("keep", &part, e))?;
        std::fs::rename(&part, kept).map_err(|e| file_error("keep", kept, e))?;
        sync_folder(kept)?;
        *is_kept = true;
        Ok(())
    };
    if !is_wal {
        // Its write lock keeps readers out too.
        keep()?;
    }
    // As in `wait_until_free`.
    to.busy_timeout(Duration::ZERO).map_err(fault)?;
    let backup = Backup::new(&source, &mut to).map_err(fault)?;
    take_locks(&backup, live)?;
    if is_wal {
        // With the write lock held no other process commits between the copy that is kept and the
        // restore.
        keep()?;
    }
    finish(&backup, live, activity)?;
    drop(backup);
    to.busy_timeout(BUSY_LIMIT).map_err(fault)?;
    check(&to, live).map_err(Unwritten::Now)
}

/// Sets the database or file at `live` aside, in whose place nothing is put; returns where it is.
pub(crate) fn set_file_aside(live: &Path, operation_id: &str) -> Result<PathBuf> {
    let kept = kept_path(live, operation_id);
    move_raw(live, &kept)?;
    Ok(kept)
}

/// Moves what is at `live` to `kept`, byte for byte. `kept` is beside it, on the same file system.
fn move_raw(live: &Path, kept: &Path) -> Result<()> {
    for suffix in ["-wal", "-shm", ""] {
        let from = with_suffix(live, suffix);
        if std::fs::symlink_metadata(&from).is_ok() {
            move_away(&from, &with_suffix(kept, suffix))?;
        }
    }
    sync_folder(live)
}

fn rename_in(live: &Path, staged: &Path, attributes: Attributes) -> Result<()> {
    // Leftovers of a database that is gone would be taken for a part of the new one.
    for suffix in ["-wal", "-shm", "-journal"] {
        match std::fs::remove_file(with_suffix(live, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(file_error("remove", &with_suffix(live, suffix), error));
            }
            _ => {}
        }
    }
    replace(staged, live, Replacement::Rename, attributes)
}
