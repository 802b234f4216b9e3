//! The history of operations, in a SQLite database beside the backups.
//!
//! SQLite waits: for a reader that holds the file, for a disk that is slow to sync. None of that may hold up the service, so every
//! call works on a thread made for that, one that writes and few that read at once.

mod keys;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::types::Value as SqlValue;
use rusqlite::{
    Connection, OptionalExtension, Transaction, TransactionBehavior, params, params_from_iter,
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::Semaphore;

pub use keys::{KeyedRequest, KnownKey};

use crate::config::HistoryLimits;
use crate::operations::{Operation, OperationFilter, OperationPage, Status};
use crate::{Error, Result};

/// How long SQLite waits for whoever holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How many read at once: each takes a thread for as long as it waits.
const READERS: usize = 4;

/// Operations, each a row, shared by all processes of this instance.
#[derive(Debug, Clone)]
pub struct History {
    file: Arc<HistoryFile>,
    writer: Arc<Semaphore>,
    readers: Arc<Semaphore>,
}

impl History {
    /// The history in the file `path`, which is made when the first operation is written.
    #[must_use]
    pub fn new(path: PathBuf, limits: HistoryLimits) -> Self {
        let file = HistoryFile {
            path,
            limits,
            writing: Mutex::default(),
        };
        Self {
            file: Arc::new(file),
            writer: Arc::new(Semaphore::new(1)),
            readers: Arc::new(Semaphore::new(READERS)),
        }
    }

    async fn on<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        job: impl FnOnce(&HistoryFile) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = permits.clone().acquire_owned().await;
        let file = self.file.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Given back by the thread: whoever waits may be gone.
            let _permit = permit;
            job(&file)
        });
        done.await
            .map_err(|error| Error::Failed(format!("internal fault: {error}")))?
    }

    /// Writes the state of an operation that runs, without its problems; or how it ended, with them, and forgets what is past the
    /// limits.
    ///
    /// # Errors
    /// When the file can't be written.
    pub async fn write(&self, operation: Operation) -> Result<()> {
        self.on(&self.writer, move |file| file.write(&operation))
            .await
    }

    /// Operations, newest first, `limit` of them after the first `offset`, without their problems.
    ///
    /// # Errors
    /// When the file can't be read.
    pub async fn list(&self, offset: u64, limit: u64) -> Result<Vec<Operation>> {
        self.on(&self.readers, move |file| file.list(offset, limit))
            .await
    }

    /// Operations that run, or that a crash has left so.
    pub(crate) async fn running(&self) -> Result<Vec<Operation>> {
        self.on(&self.readers, HistoryFile::running).await
    }

    /// Those operations that `filter` lets through, newest first: `limit` of them after the first
    /// `offset`, and how many there are.
    ///
    /// # Errors
    /// When the file can't be read.
    pub async fn find(
        &self,
        filter: OperationFilter,
        offset: u64,
        limit: u64,
    ) -> Result<OperationPage> {
        self.on(&self.readers, move |file| file.find(&filter, offset, limit))
            .await
    }

    /// One operation, with its problems.
    ///
    /// # Errors
    /// When the file can't be read.
    pub async fn get(&self, operation_id: String) -> Result<Option<Operation>> {
        self.on(&self.readers, move |file| file.get(&operation_id))
            .await
    }

    /// Does what takes several steps, with nobody else of this process who writes.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&HistoryFile) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.on(&self.writer, job).await
    }
}

/// The file itself. Its calls block.
#[derive(Debug)]
pub(crate) struct HistoryFile {
    path: PathBuf,
    limits: HistoryLimits,
    writing: Mutex<Option<Connection>>,
}

impl HistoryFile {
    fn fault(&self, operation: &'static str, error: &rusqlite::Error) -> Error {
        Error::Failed(format!(
            "cannot {operation} the history `{}` (`backup.state_path`): {error}",
            self.path.display()
        ))
    }

    /// Reads with a connection of its own, so that no reader waits for who writes in this process.
    fn read<T>(&self, job: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<Option<T>> {
        if !self.path.exists() {
            return Ok(None);
        }
        let connection = connect(&self.path).map_err(|e| self.fault("open", &e))?;
        // A process that died, or had no room, may have left an empty file.
        match is_empty(&connection) {
            Ok(false) => {}
            Ok(true) => return Ok(None),
            Err(error) => return Err(self.fault("read", &error)),
        }
        job(&connection)
            .map(Some)
            .map_err(|e| self.fault("read", &e))
    }

    /// Changes the file, which is made first where it is not there.
    fn change(&self, job: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<()> {
        if let Some(folder) = self.path.parent() {
            crate::private::create_folder(folder).map_err(|e| Error::io("create", folder, e))?;
        }
        let mut connection = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // Opened anew when the file is gone: the folder may have been moved away meanwhile.
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
                self.forget_old(connection)?;
            }
            Ok(())
        })
    }

    fn forget_old(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute(
            "DELETE FROM operations WHERE sequence <=
             (SELECT sequence FROM operations ORDER BY sequence DESC LIMIT 1 OFFSET ?1)",
            [number(self.limits.operations)],
        )?;
        let age = SignedDuration::try_from(self.limits.age).unwrap_or(SignedDuration::MAX);
        // A clock that is far ahead must not cost what is from before it was.
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

    /// Those that run, or that a crash has left so, oldest first.
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

    fn find(&self, filter: &OperationFilter, offset: u64, limit: u64) -> Result<OperationPage> {
        let (condition, values) = filter.condition();
        let found: Option<(Vec<Row>, i64)> = self.read(|connection| {
            // One moment for both: an operation may begin between the two.
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
            // Of a file that nobody has written to since it was made by an earlier version.
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
                    "the list of its problems in the history cannot be read: {error}"
                )),
            }
        }
        Ok(Some(operation))
    }
}

/// What is read of a row, in this order.
const COLUMNS: &str = "operation_id, started_at, status, body";

/// An operation as it is stored.
struct Row {
    operation_id: String,
    started_at: String,
    status: String,
    body: String,
}

impl Row {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            operation_id: row.get(0)?,
            started_at: row.get(1)?,
            status: row.get(2)?,
            body: row.get(3)?,
        })
    }

    fn parse(&self) -> serde_json::Result<Operation> {
        serde_json::from_str(&self.body)
    }

    /// The operation; one whose row cannot be parsed says so.
    fn operation(&self) -> Operation {
        self.parse().unwrap_or_else(|error| Operation {
            operation_id: self.operation_id.clone(),
            started_at: self.started_at.clone(),
            status: Status::of_name(&self.status.to_lowercase()).unwrap_or(Status::Failed),
            error: Some(format!(
                "the row of this operation in the history cannot be read: {error}"
            )),
            ..Operation::default()
        })
    }
}

/// The operations of a list, which has them without their problems.
fn listed(rows: &[Row]) -> Vec<Operation> {
    (rows.iter().map(Row::operation))
        .map(|operation| Operation {
            problems: Vec::new(),
            ..operation
        })
        .collect()
}

fn to_text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::Failed(format!("cannot write the history: {error}")))
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

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT count(*) = 0 FROM sqlite_schema WHERE name = 'operations'",
        [],
        |row| row.get(0),
    )
}

fn has_problems(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT count(*) FROM pragma_table_info('operations') WHERE name = 'problems'",
        [],
        |row| row.get(0),
    )
}

/// Brings a file of an earlier version up to date, in which the problems of an operation were a part of it.
fn separate_problems(connection: &Connection) -> rusqlite::Result<()> {
    let change = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    // Another process may have done so meanwhile.
    if has_problems(&change)? {
        return Ok(());
    }
    change.execute_batch("ALTER TABLE operations ADD COLUMN problems TEXT")?;
    let rows: Vec<(i64, String)> = change
        .prepare("SELECT sequence, body FROM operations")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (sequence, body) in rows {
        // The body as it is, without its problems: fields of other versions stay.
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

/// SQLite counts in 63 bits.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::{Problem, ProblemKind};

    fn operation(number: u64, started: Timestamp) -> Operation {
        Operation {
            operation_id: format!("operation-{number}"),
            started_at: started.to_string(),
            completed_at: Some(started.to_string()),
            status: Status::Failed,
            problems: vec![Problem {
                path: "data/a".to_owned(),
                kind: ProblemKind::Missing,
                detail: "it is gone".to_owned(),
            }],
            problem_count: 1,
            ..Operation::default()
        }
    }

    fn history(folder: &Path, operations: u64) -> History {
        let limits = HistoryLimits {
            operations,
            age: Duration::from_secs(86_400),
        };
        History::new(folder.join("history.db"), limits)
    }

    /// A history that only grows fills the disk; a list with every problem of every operation is gigabytes.
    #[tokio::test]
    async fn old_operations_go_and_lists_come_without_problems() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = history(folder.path(), 3);
        let now = Timestamp::now();
        let long_ago = now - SignedDuration::from_hours(48);
        for number in 0..6 {
            let started = if number == 4 { long_ago } else { now };
            let written = history.write(operation(number, started)).await;
            written.expect("written");
        }
        let listed = history.list(0, 100).await.expect("listed");
        let ids: Vec<_> = (listed.iter())
            .map(|operation| &*operation.operation_id)
            .collect();
        assert_eq!(ids, ["operation-5", "operation-3"]);
        assert!(listed.iter().all(|operation| operation.problems.is_empty()));
        assert!(listed.iter().all(|operation| operation.problem_count == 1));
        let one = history.get("operation-5".to_owned()).await.expect("read");
        assert_eq!(one.expect("it is there").problems.len(), 1);
    }

    /// Guards against hiding an operation whose row is damaged, or written by another version.
    #[tokio::test]
    async fn a_row_that_cannot_be_parsed_is_shown_as_such() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = history(folder.path(), 9);
        for number in 0..3 {
            let written = history.write(operation(number, Timestamp::now())).await;
            written.expect("written");
        }
        let file = Connection::open(folder.path().join("history.db")).expect("opened");
        for (id, body) in [
            ("operation-0", r#"{"operation": "teleport"}"#),
            ("operation-1", "half a r"),
        ] {
            let change = "UPDATE operations SET body = ?2 WHERE operation_id = ?1";
            file.execute(change, [id, body]).expect("changed");
        }
        let found = history.find(OperationFilter::default(), 0, 9).await;
        let found = found.expect("read");
        let listed = history.list(0, 9).await.expect("read");
        assert_eq!((found.total, &found.operations), (3, &listed));
        let one = |id: &str| history.get(id.to_owned());
        for (place, id) in [(2, "operation-0"), (1, "operation-1")] {
            let shown = one(id).await.expect("read").expect("it is there");
            for shown in [&listed[place], &shown] {
                assert_eq!((&*shown.operation_id, shown.status), (id, Status::Failed));
                let error = shown.error.as_deref().unwrap_or_default();
                assert!(error.contains("cannot be read"), "{error}");
            }
        }
        assert_eq!(listed[0].error, None);
    }

    /// A killed process has left an empty file: no operation could begin any more.
    #[tokio::test]
    async fn an_empty_file_is_a_history_of_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("history.db"), "").expect("written");
        let history = history(folder.path(), 3);
        assert_eq!(history.list(0, 9).await.expect("listed"), []);
        assert_eq!(history.get("x".to_owned()).await.expect("read"), None);
        let written = history.write(operation(1, Timestamp::now())).await;
        written.expect("written");
        assert_eq!(history.list(0, 9).await.expect("listed").len(), 1);
    }

    /// Held up otherwise: the service and the renewal of its lock, by whoever reads the history.
    #[tokio::test(flavor = "current_thread")]
    async fn a_reader_that_holds_the_file_holds_up_no_task() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = history(folder.path(), 3);
        let written = history.write(operation(1, Timestamp::now())).await;
        written.expect("written");
        let reader = Connection::open(folder.path().join("history.db")).expect("opened");
        reader
            .execute_batch("BEGIN; SELECT * FROM operations")
            .expect("read");
        let writing = history.write(operation(2, Timestamp::now()));
        let mut writing = std::pin::pin!(writing);
        let waits = tokio::time::timeout(Duration::from_millis(200), &mut writing).await;
        assert!(waits.is_err(), "the reader is in the way");
        // One thread, and it is free: the wait is another's.
        tokio::task::yield_now().await;
        drop(reader);
        writing.await.expect("written when the reader is gone");
    }
}
