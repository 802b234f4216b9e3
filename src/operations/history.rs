//! The history of operations, in a SQLite database beside the backups.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use poem_openapi::types::{ParseFromJSON, ToJSON};
use rusqlite::{Connection, OptionalExtension, params};

use super::Operation;
use crate::{Error, Result};

/// Operations, each a row, shared by all processes of this instance.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl History {
    /// The history in the file `path`, which is made when the first operation is written.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            connection: Mutex::default(),
        }
    }

    fn fault(&self, operation: &'static str, error: &rusqlite::Error) -> Error {
        Error::Failed(format!(
            "cannot {operation} the history `{}` (`backup.state_path`): {error}",
            self.path.display()
        ))
    }

    fn with<T>(
        &self,
        operation: &'static str,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Opened anew when the file is gone: the folder may have been moved away meanwhile.
        if connection.is_none() || !self.path.exists() {
            *connection = Some(open(&self.path).map_err(|e| self.fault("open", &e))?);
        }
        match connection.as_ref() {
            Some(connection) => job(connection).map_err(|e| self.fault(operation, &e)),
            None => Err(Error::Failed("the history is closed".to_owned())),
        }
    }

    /// Writes the state of an operation.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, operation: &Operation) -> Result<()> {
        if let Some(folder) = self.path.parent() {
            crate::private::create_folder(folder).map_err(|e| Error::io("create", folder, e))?;
        }
        self.with("write", |connection| {
            connection.execute(
                "INSERT INTO operations (operation_id, started_at, status, body) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (operation_id) DO UPDATE SET status = ?3, body = ?4",
                params![
                    operation.operation_id,
                    operation.started_at,
                    format!("{:?}", operation.status),
                    operation.to_json_string()
                ],
            )?;
            Ok(())
        })
    }

    /// Operations, newest first, `limit` of them after the first `offset`.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn list(&self, offset: u64, limit: u64) -> Result<Vec<Operation>> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let bodies: Vec<String> = self.with("read", |connection| {
            connection
                .prepare("SELECT body FROM operations ORDER BY sequence DESC LIMIT ?1 OFFSET ?2")?
                .query_map(params![count(limit), count(offset)], |row| row.get(0))?
                .collect()
        })?;
        Ok(bodies.iter().filter_map(|body| parse(body)).collect())
    }

    /// One operation.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn get(&self, operation_id: &str) -> Result<Option<Operation>> {
        if !self.path.exists() {
            return Ok(None);
        }
        let body: Option<String> = self.with("read", |connection| {
            connection
                .query_row(
                    "SELECT body FROM operations WHERE operation_id = ?1",
                    [operation_id],
                    |row| row.get(0),
                )
                .optional()
        })?;
        Ok(body.as_deref().and_then(parse))
    }
}

fn parse(body: &str) -> Option<Operation> {
    Operation::parse_from_json_string(body).ok()
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    if let Ok(file) = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
    {
        use std::os::unix::fs::PermissionsExt;
        // Names of tokens and paths are nobody else's business. On a foreign file system modes may not exist.
        let _ = file.set_permissions(std::fs::Permissions::from_mode(0o600));
        if let Some(folder) = path.parent() {
            crate::private::give_if_possible(folder, path);
        }
    }
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS operations (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            operation_id TEXT NOT NULL UNIQUE,
            started_at TEXT NOT NULL,
            status TEXT NOT NULL,
            body TEXT NOT NULL)",
    )?;
    Ok(connection)
}

/// SQLite counts in 63 bits.
fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
