//! The sample instance's `arc.db`: Arc's schema, one admin token, one retention policy, one
//! continuous query.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use super::error::DemoError;
use super::{folder, token};

const SCHEMA: &str = include_str!("schema.sql");

/// When the rows say they were made: the evening before the first day of data, so that two samples
/// differ in their tokens alone.
const CREATED_AT: &str = "2026-02-08 18:04:53";

/// Makes the database at `path`, mode 0600, in WAL mode and with `token` as its only, admin, token.
/// Nothing may be at `path`; the database is closed when this returns, with no `-wal` or `-shm`
/// beside it.
pub(super) fn create(path: &Path, token: &str) -> Result<(), DemoError> {
    // SQLite gives `-wal` and `-shm` the mode of the database, so the empty file decides for all
    // three.
    drop(folder::create_private(path)?);
    let stored = token::store(token)?;
    fill(path, &stored).map_err(DemoError::database("make the database", path))
}

fn fill(path: &Path, stored: &token::StoredToken) -> rusqlite::Result<()> {
    let mut connection = open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute(
        "INSERT INTO api_tokens (name, token_hash, description, permissions, created_at, token_prefix)
         VALUES ('admin', ?1, 'Admin token of the sample instance', 'read,write,delete,admin', ?2, ?3)",
        params![stored.hash, CREATED_AT, stored.prefix],
    )?;
    transaction.execute(
        "INSERT INTO retention_policies (name, database, measurement, retention_days, created_at, updated_at)
         VALUES ('keep-cpu', 'metrics', 'cpu', 3650, ?1, ?1)",
        [CREATED_AT],
    )?;
    transaction.execute(
        "INSERT INTO continuous_queries (name, database, source_measurement, destination_measurement,
                                         query, interval, is_active, created_at, updated_at)
         VALUES ('cpu-hourly', 'metrics', 'cpu', 'cpu_hourly',
                 'SELECT time_bucket(INTERVAL ''1 hour'', time) AS time, host, avg(usage) AS usage FROM metrics.cpu WHERE time >= {start_time} AND time < {end_time} GROUP BY 1,2',
                 '1h', 0, ?1, ?1)",
        [CREATED_AT],
    )?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

/// Whether the database at `path` still accepts `token` as an admin's.
pub(super) fn accepts(path: &Path, token: &str) -> Result<bool, DemoError> {
    let hashes =
        admin_hashes(path, &token::prefix(token)).map_err(DemoError::database("read", path))?;
    Ok(hashes.iter().any(|hash| token::matches(token, hash)))
}

fn admin_hashes(path: &Path, prefix: &str) -> rusqlite::Result<Vec<String>> {
    let connection = open(path)?;
    let mut statement = connection.prepare(
        "SELECT token_hash FROM api_tokens
         WHERE enabled = 1 AND token_prefix = ?1 AND ',' || permissions || ',' LIKE '%,admin,%'",
    )?;
    statement.query_map([prefix], |row| row.get(0))?.collect()
}

/// Opens a database that exists. Not read-only even where it is only read: such a connection leaves
/// `-wal` and `-shm` behind.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}
