//! The file of the history. Its calls block the thread.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use serde::Serialize;

use crate::config::HistoryLimits;
use crate::operations::history::row::{COLUMNS, Row, listed};
use crate::operations::history::schema::{connect, has_problems, is_empty, open};
use crate::operations::{Operation, OperationFilter, OperationPage};
use crate::{Error, Result};

/// The file of the history.
#[derive(Debug)]
pub(crate) struct HistoryFile {
    path: PathBuf,
    limits: HistoryLimits,
    writing: Mutex<Option<Connection>>,
}

impl HistoryFile {
    pub(crate) fn new(path: PathBuf, limits: HistoryLimits) -> Self {
        Self {
            path,
            limits,
            writing: Mutex::default(),
        }
    }

    fn fault(&self, operation: &'static str, error: &rusqlite::Error) -> Error {
        Error::Failed(format!(
            "cannot {operation} the history `{}` (`backup.state_path`): {error}",
            self.path.display()
        ))
    }

    /// Reads with its own connection, so that no reader waits for a writer of this process.
    pub(crate) fn read<T>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        if !self.path.exists() {
            return Ok(None);
        }
        let connection = connect(&self.path).map_err(|e| self.fault("open", &e))?;
        // A process may have created the file and died, or found the disk full.
        match is_empty(&connection) {
            Ok(false) => {}
            Ok(true) => return Ok(None),
            Err(error) => return Err(self.fault("read", &error)),
        }
        job(&connection)
            .map(Some)
            .map_err(|e| self.fault("read", &e))
    }

    /// Changes the file, and creates it first if it does not exist.
    pub(crate) fn change(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<()> {
        if let Some(folder) = self.path.parent() {
            crate::files::create_folder(folder).map_err(|e| Error::io("create", folder, e))?;
        }
        let mut connection = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // Reopened if the file is missing: the folder may have been moved away.
        if connection.is_none() || !self.path.exists() {
            *connection = Some(open(&self.path).map_err(|e| self.fault("open", &e))?);
        }
        let Some(connection) = connection.as_ref() else {
            return Err(Error::Failed("the history is closed".to_owned()));
        };
        job(connection).map_err(|e| self.fault("write", &e))
    }

    pub(crate) fn write(&self, operation: &Operation) -> Result<()> {
        let has_ended = operation.completed_at.is_some();
        let problems = (has_ended.then(|| to_text(&operation.problems))).transpose()?;
        let row = Operation {
            problems: Vec::new(),
            ..operation.clone()
        };
        let body = to_text(&row)?;
        self.change(|connection| {
            connection.execute(
                "INSERT INTO operations (operation_id, started_at, status, body, problems) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (operation_id) DO UPDATE SET status = ?3, body = ?4, problems = ?5",
                params![
                    operation.operation_id,
                    operation.started_at,
                    format!("{:?}", operation.status),
                    body,
                    problems,
                ],
            )?;
            if problems.is_some() {
                self.delete_old(connection)?;
            }
            Ok(())
        })
    }

    fn delete_old(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute(
            "DELETE FROM operations WHERE sequence <=
             (SELECT sequence FROM operations ORDER BY sequence DESC LIMIT 1 OFFSET ?1)",
            [number(self.limits.operations)],
        )?;
        let age = SignedDuration::try_from(self.limits.age).unwrap_or(SignedDuration::MAX);
        // The newest entry stays even if the clock is far ahead.
        if let Ok(oldest) = Timestamp::now().checked_sub(age) {
            connection.execute(
                "DELETE FROM operations WHERE started_at < ?1 AND sequence <
                 (SELECT max(sequence) FROM operations)",
                [oldest.to_string()],
            )?;
        }
        Ok(())
    }

    pub(crate) fn list(&self, offset: u64, limit: u64) -> Result<Vec<Operation>> {
        let rows: Option<Vec<Row>> = self.read(|connection| {
            connection
                .prepare(&format!(
                    "SELECT {COLUMNS} FROM operations ORDER BY sequence DESC LIMIT ?1 OFFSET ?2"
                ))?
                .query_map(params![number(limit), number(offset)], Row::read)?
                .collect()
        })?;
        Ok(listed(&rows.unwrap_or_default()))
    }

    /// Returns the operations with the status `running`, oldest first. After a crash, such an
    /// operation no longer runs.
    pub(crate) fn running(&self) -> Result<Vec<Operation>> {
        let rows: Option<Vec<Row>> = self.read(|connection| {
            connection
                .prepare(&format!(
                    "SELECT {COLUMNS} FROM operations WHERE status = 'Running' ORDER BY sequence"
                ))?
                .query_map([], Row::read)?
                .collect()
        })?;
        let rows = rows.unwrap_or_default();
        Ok(rows.iter().filter_map(|row| row.parse().ok()).collect())
    }

    /// Returns the ids of the operations with the status `running`, also of those whose rows cannot
    /// be parsed.
    pub(crate) fn running_ids(&self) -> Result<Vec<String>> {
        let found: Option<Vec<String>> = self.read(|connection| {
            connection
                .prepare("SELECT operation_id FROM operations WHERE status = 'Running'")?
                .query_map([], |row| row.get(0))?
                .collect()
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Marks operations with the status `running` as failed whose rows cannot be parsed. Their rows
    /// stay as they are: another version may read them.
    pub(crate) fn fail_unreadable(&self) -> Result<()> {
        let rows: Option<Vec<Row>> = self.read(|connection| {
            connection
                .prepare(&format!(
                    "SELECT {COLUMNS} FROM operations WHERE status = 'Running'"
                ))?
                .query_map([], Row::read)?
                .collect()
        })?;
        for row in rows.unwrap_or_default() {
            if row.parse().is_err() {
                self.change(|connection| {
                    let change = "UPDATE operations SET status = 'Failed' WHERE operation_id = ?1";
                    connection.execute(change, [row.id()]).map(|_| ())
                })?;
            }
        }
        Ok(())
    }

    pub(crate) fn find(
        &self,
        filter: &OperationFilter,
        offset: u64,
        limit: u64,
    ) -> Result<OperationPage> {
        let (condition, values) = filter.condition();
        let found: Option<(Vec<Row>, i64)> = self.read(|connection| {
            // One transaction for both queries: an operation may begin between them.
            let moment = connection.unchecked_transaction()?;
            let total = moment.query_row(
                &format!("SELECT count(*) FROM operations WHERE {condition}"),
                params_from_iter(&values),
                |row| row.get(0),
            )?;
            let bounds = [number(limit), number(offset)].map(SqlValue::Integer);
            let rows = moment
                .prepare(&format!(
                    "SELECT {COLUMNS} FROM operations WHERE {condition} ORDER BY sequence DESC LIMIT ? OFFSET ?"
                ))?
                .query_map(params_from_iter(values.iter().chain(&bounds)), Row::read)?
                .collect::<rusqlite::Result<_>>()?;
            Ok((rows, total))
        })?;
        let (rows, total) = found.unwrap_or_default();
        Ok(OperationPage {
            operations: listed(&rows),
            total: u64::try_from(total).unwrap_or(0),
        })
    }

    pub(crate) fn get(&self, operation_id: &str) -> Result<Option<Operation>> {
        let row: Option<Option<(Row, Option<String>)>> = self.read(|connection| {
            // A file of an earlier version has no such column until its first change.
            let problems = match has_problems(connection)? {
                true => "problems",
                false => "NULL",
            };
            connection
                .query_row(
                    &format!(
                        "SELECT {COLUMNS}, {problems} FROM operations WHERE operation_id = ?1"
                    ),
                    [operation_id],
                    |row| Ok((Row::read(row)?, row.get(4)?)),
                )
                .optional()
        })?;
        let Some((row, problems)) = row.flatten() else {
            return Ok(None);
        };
        let mut operation = row.operation();
        if let Some(text) = problems {
            match serde_json::from_str(&text) {
                Ok(problems) => operation.problems = problems,
                Err(error) => operation.add_warning(format!(
                    "cannot read the list of its problems in the history: {error}"
                )),
            }
        }
        Ok(Some(operation))
    }
}

fn to_text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::Failed(format!("cannot write the history: {error}")))
}

/// SQLite counts in 63 bits.
pub(crate) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
