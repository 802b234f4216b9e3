//! Opening Arc's database to read it, in whatever state it is found.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::AuthError;
use super::log_throttle::LogThrottle;
use crate::files::with_suffix;

/// How long SQLite itself waits for a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// How many attempts a locked database gets.
const ATTEMPTS: u32 = 2;

/// Why a reading failed: SQLite, or a table that makes no sense.
pub(crate) enum ReadError {
    /// What SQLite says.
    Sqlite(rusqlite::Error),
    /// The column that the table lacks.
    Column(&'static str),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Opens the database and reads from it. `None` where there is no database to read: no file, or no
/// SQLite in it.
pub(crate) fn read<T>(
    path: &Path,
    log: &LogThrottle,
    reading: impl Fn(&Connection) -> Result<T, ReadError>,
) -> Result<Option<T>, AuthError> {
    let file_error = |source| AuthError::File {
        operation: "read",
        path: path.to_owned(),
        source,
    };
    // An absolute path: SQLite would take `file:...` for a URI and `:memory:` for an empty
    // database.
    let absolute = std::path::absolute(path).map_err(file_error)?;
    match fs::metadata(&absolute) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(file_error(io::Error::other("not a regular file"))),
        Err(error) if is_absence(&error) => return Ok(None),
        Err(error) => return Err(file_error(error)),
    }
    let mut attempt = 1;
    let mut is_immutable = false;
    loop {
        let fault = match open(&absolute, is_immutable)
            .map_err(ReadError::from)
            .and_then(|db| reading(&db))
        {
            Ok(value) => return Ok(Some(value)),
            Err(fault) => fault,
        };
        let error = match fault {
            ReadError::Column(column) => {
                let path = path.to_owned();
                return Err(AuthError::Schema { path, column });
            }
            ReadError::Sqlite(error) => error,
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                log.warn(&format!("no tokens in `{}`: {error}", path.display()));
                return Ok(None);
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) if attempt < ATTEMPTS => {
                attempt += 1;
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                let path = path.to_owned();
                return Err(AuthError::Locked { path });
            }
            // A WAL database in a folder where `-shm` can't be made. Immutable reading sees no
            // `-wal` and no journal: where one holds something, a token revoked in it would still
            // be good.
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure)
                if !is_immutable && is_settled(&absolute) =>
            {
                is_immutable = true;
            }
            _ => {
                return Err(AuthError::Database {
                    path: path.to_owned(),
                    source: error,
                });
            }
        }
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Whether the file alone is the whole database: nothing in `-wal`, nothing in `-journal`.
fn is_settled(path: &Path) -> bool {
    ["-wal", "-journal"]
        .iter()
        .all(|suffix| match fs::metadata(with_suffix(path, suffix)) {
            Ok(metadata) => metadata.len() == 0,
            Err(error) => is_absence(&error),
        })
}

pub(crate) fn open(path: &Path, is_immutable: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = if is_immutable {
        Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI)?
    } else {
        Connection::open_with_flags(path, flags)?
    };
    database.busy_timeout(BUSY_TIMEOUT)?;
    Ok(database)
}

fn immutable_uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                uri.push(char::from(*byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri + "?immutable=1"
}
