//! The table `tier_files` in Arc's database: which files are in the cold tier.
//!
//! Arc 27.01 has a row for each file: `path` (its key), `database`, `measurement`,
//! `partition_time`, `tier` (`hot` or `cold`), `size_bytes`, `created_at`, `migrated_at`. Should a
//! later one mark rows by `quarantined_at`, these are left alone.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use arc_backup_core::{BlockingJob, Error, ErrorKind, Key, Result, Scope};
use rusqlite::Connection;

use super::snapshot::open_readable;
use crate::files::{create_file, file_error};

/// The columns that are read or written.
const COLUMNS: [&str; 8] = [
    "path",
    "database",
    "measurement",
    "partition_time",
    "tier",
    "size_bytes",
    "created_at",
    "migrated_at",
];

/// Why it is not known which files are in the cold tier.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowsFault {
    /// There is no database.
    NoDatabase,
    /// It has no such table.
    NoTable,
    /// It can't be read, or the table is not as it is known.
    Unreadable(String),
}

impl std::fmt::Display for RowsFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoDatabase => f.write_str("there is no database"),
            Self::NoTable => f.write_str("it has no table `tier_files`"),
            Self::Unreadable(detail) => f.write_str(detail),
        }
    }
}

impl RowsFault {
    fn of(error: &rusqlite::Error) -> Self {
        Self::Unreadable(format!("`tier_files` can't be read: {error}"))
    }
}

/// The keys of the rows that say `cold`, in byte order, in a file: there may be a million.
#[derive(Debug)]
pub(super) struct ColdRows(PathBuf);

impl ColdRows {
    /// Reads them from the live database into the new file `to`.
    pub(super) async fn read(database: &Path, to: PathBuf) -> Result<Result<Self, RowsFault>> {
        let database = database.to_owned();
        blocking(move || {
            let connection = match open(&database) {
                Ok(connection) => connection,
                Err(fault) => return Ok(Err(fault)),
            };
            let file = create_file(&to).map_err(|e| file_error("write", &to, e))?;
            let mut file = BufWriter::new(file);
            let mut write = |key: &str| {
                let line = serde_json::to_string(key).expect("a text is valid JSON");
                writeln!(file, "{line}").map_err(|e| file_error("write", &to, e))
            };
            match each_cold_row(&connection, &mut write) {
                Ok(written) => written?,
                Err(fault) => return Ok(Err(fault)),
            }
            file.flush().map_err(|e| file_error("write", &to, e))?;
            Ok(Ok(Self(to)))
        })
        .await
    }

    /// The keys.
    pub(super) fn keys(&self) -> Result<impl Iterator<Item = Result<Key>> + Send + use<>> {
        let path = self.0.clone();
        let file = File::open(&path).map_err(|e| file_error("read", &path, e))?;
        Ok(BufReader::new(file).lines().map(move |line| {
            let line = line.map_err(|e| file_error("read", &path, e))?;
            let text: String = serde_json::from_str(&line).unwrap_or_default();
            Key::parse(&text)
                .map_err(|e| Error::new(ErrorKind::Corrupt, "read", text, e.to_string()))
        }))
    }
}

pub(super) fn open(database: &Path) -> Result<Connection, RowsFault> {
    match std::fs::metadata(database) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(RowsFault::NoDatabase);
        }
        // SQLite takes an empty file for a database.
        Ok(meta) if meta.is_file() && meta.len() == 0 => return Err(RowsFault::NoDatabase),
        // SQLite would wait for ever for a FIFO.
        Ok(meta) if !meta.is_file() => {
            let text = "its database is not a regular file".to_owned();
            return Err(RowsFault::Unreadable(text));
        }
        _ => {}
    }
    let connection = open_readable(database).map_err(|e| RowsFault::of(&e))?;
    check_columns(&connection)?;
    Ok(connection)
}

/// Fails where the table is not as it is known. Returns whether it has quarantined rows.
pub(super) fn check_columns(connection: &Connection) -> Result<bool, RowsFault> {
    let columns = || -> rusqlite::Result<Vec<(String, bool)>> {
        let mut statement = connection.prepare(
            "SELECT name, \"notnull\" AND dflt_value IS NULL AND pk = 0 FROM pragma_table_info('tier_files')",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let columns = columns().map_err(|e| RowsFault::of(&e))?;
    if columns.is_empty() {
        return Err(RowsFault::NoTable);
    }
    let has = |name: &str| columns.iter().any(|(column, _)| column == name);
    if let Some(missing) = COLUMNS.iter().find(|name| !has(name)) {
        return Err(RowsFault::Unreadable(format!(
            "`tier_files` has no column `{missing}`: it is of a version of Arc that this program does not know"
        )));
    }
    let needed = |(name, is_needed): &&(String, bool)| *is_needed && !COLUMNS.contains(&&**name);
    if let Some((needed, _)) = columns.iter().find(needed) {
        return Err(RowsFault::Unreadable(format!(
            "`tier_files` has a column `{needed}` that each row needs: it is of a version of Arc that this program does not know"
        )));
    }
    Ok(has("quarantined_at"))
}

/// Calls `write` for each key whose row says `cold`, in byte order.
fn each_cold_row(
    connection: &Connection,
    write: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Result<()>, RowsFault> {
    let odd: Option<String> = connection
        .query_row(
            "SELECT min(tier) FROM tier_files WHERE tier NOT IN ('hot', 'cold')",
            [],
            |row| row.get(0),
        )
        .map_err(|e| RowsFault::of(&e))?;
    if let Some(tier) = odd {
        return Err(RowsFault::Unreadable(format!(
            "`tier_files` names an unknown tier {tier:?}"
        )));
    }
    let mut read = || -> rusqlite::Result<Result<()>> {
        let mut statement = connection.prepare(
            "SELECT path FROM tier_files WHERE tier = 'cold' ORDER BY path COLLATE BINARY",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let path: String = row.get(0)?;
            // A path that is no key names no file of the data.
            if Key::parse(&path).is_ok()
                && let Err(error) = write(&path)
            {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    };
    read().map_err(|e| RowsFault::of(&e))
}

/// How many rows of files in the scope say `cold`.
pub(super) async fn count_cold_rows(
    database: &Path,
    scope: &Scope,
) -> Result<Result<u64, RowsFault>> {
    let (database, scope) = (database.to_owned(), scope.clone());
    blocking(move || {
        let mut count = 0;
        let counted = open(&database).and_then(|connection| {
            each_cold_row(&connection, &mut |key| {
                count += u64::from(scope.contains_data(key));
                Ok(())
            })
        });
        Ok(match counted {
            Ok(counted) => Ok(counted.map(|()| count)?),
            Err(fault) => Err(fault),
        })
    })
    .await
}

async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let counted = BlockingJob::begin();
    let work = move || {
        let _counted = counted;
        job()
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::new(ErrorKind::Other, "read", "tier_files", e.to_string()))?
}
