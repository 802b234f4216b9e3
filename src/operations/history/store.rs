//! The history, for callers that must not wait for SQLite.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::Result;
use crate::config::HistoryLimits;
use crate::operations::history::file::HistoryFile;
use crate::operations::{Operation, OperationFilter, OperationPage};

/// The number of concurrent readers: each one occupies a thread while it waits.
const READERS: usize = 4;

/// The history of operations, shared by all processes of this instance.
#[derive(Debug, Clone)]
pub struct History {
    pub(crate) file: Arc<HistoryFile>,
    pub(crate) writer: Arc<Semaphore>,
    pub(crate) readers: Arc<Semaphore>,
}

impl History {
    /// Creates the history for the file `path`. The first write creates the file.
    #[must_use]
    pub fn new(path: PathBuf, limits: HistoryLimits) -> Self {
        Self {
            file: Arc::new(HistoryFile::new(path, limits)),
            writer: Arc::new(Semaphore::new(1)),
            readers: Arc::new(Semaphore::new(READERS)),
        }
    }

    pub(crate) async fn on<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        job: impl FnOnce(&HistoryFile) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = permits.clone().acquire_owned().await;
        let file = self.file.clone();
        let done = tokio::task::spawn_blocking(move || {
            // The thread releases the permit: the caller may have stopped waiting.
            let _permit = permit;
            job(&file)
        });
        done.await?
    }

    /// Records an operation. A running operation is recorded without its problems. An ended one is
    /// recorded with them, and then entries past the limits are deleted.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub async fn write(&self, operation: Operation) -> Result<()> {
        self.on(&self.writer, move |file| file.write(&operation))
            .await
    }

    /// Returns operations without their problems, newest first: `limit` of them after the first
    /// `offset`.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub async fn list(&self, offset: u64, limit: u64) -> Result<Vec<Operation>> {
        self.on(&self.readers, move |file| file.list(offset, limit))
            .await
    }

    /// Returns the ids of the operations with the status `running`. After a crash, such an
    /// operation no longer runs.
    pub(crate) async fn running_ids(&self) -> Result<Vec<String>> {
        self.on(&self.readers, HistoryFile::running_ids).await
    }

    /// Returns the operations that `filter` selects, newest first: `limit` of them after the first
    /// `offset`, and their total number.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub async fn find(
        &self,
        filter: OperationFilter,
        offset: u64,
        limit: u64,
    ) -> Result<OperationPage> {
        self.on(&self.readers, move |file| file.find(&filter, offset, limit))
            .await
    }

    /// Returns one operation with its problems.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub async fn get(&self, operation_id: String) -> Result<Option<Operation>> {
        self.on(&self.readers, move |file| file.get(&operation_id))
            .await
    }

    /// Runs a job of several steps. No other task of this process writes during it.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&HistoryFile) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.on(&self.writer, job).await
    }
}
