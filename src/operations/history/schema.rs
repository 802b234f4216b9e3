//! The schema of the history, and how the file is opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde_json::json;

/// How long SQLite waits for a process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    if let Ok(file) = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
    {
        use std::os::unix::fs::PermissionsExt;
        // Names of tokens and paths are private. The file system may not support modes.
        let _ = file.set_permissions(std::fs::Permissions::from_mode(0o600));
        if let Some(folder) = path.parent() {
            crate::files::give_if_possible(folder, path);
        }
    }
    let connection = connect(path)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS operations (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            operation_id TEXT NOT NULL UNIQUE,
            started_at TEXT NOT NULL,
            status TEXT NOT NULL,
            body TEXT NOT NULL,
            problems TEXT);
        CREATE INDEX IF NOT EXISTS operations_running ON operations (sequence) WHERE status = 'Running'",
    )?;
    if !has_problems(&connection)? {
        separate_problems(&connection)?;
    }
    Ok(connection)
}

pub(crate) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

pub(crate) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT count(*) = 0 FROM sqlite_schema WHERE name = 'operations'",
        [],
        |row| row.get(0),
    )
}

pub(crate) fn has_problems(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT count(*) FROM pragma_table_info('operations') WHERE name = 'problems'",
        [],
        |row| row.get(0),
    )
}

/// Migrates a file of an earlier version, which kept the problems in the operation's document.
fn separate_problems(connection: &Connection) -> rusqlite::Result<()> {
    let change = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    // Another process may have migrated the file already.
    if has_problems(&change)? {
        return Ok(());
    }
    change.execute_batch("ALTER TABLE operations ADD COLUMN problems TEXT")?;
    let rows: Vec<(i64, String)> = change
        .prepare("SELECT sequence, body FROM operations")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (sequence, body) in rows {
        // Only the problems are removed: fields of other versions stay.
        let Ok(serde_json::Value::Object(mut body)) = serde_json::from_str(&body) else {
            continue;
        };
        let problems = body.remove("problems").unwrap_or_else(|| json!([]));
        change.execute(
            "UPDATE operations SET body = ?2, problems = ?3 WHERE sequence = ?1",
            params![
                sequence,
                serde_json::Value::from(body).to_string(),
                problems.to_string()
            ],
        )?;
    }
    change.commit()
}
