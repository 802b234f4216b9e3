//! The history, for callers that must not wait for SQLite.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::Result;
use crate::config::HistoryLimits;
use crate::operations::history::file::HistoryFile;
use crate::operations::{Operation, OperationFilter, OperationPage};

/// How many read at once: each takes a thread for as long as it waits.
const READERS: usize = 4;

/// Operations, each a row, shared by all processes of this instance.
#[derive(Debug, Clone)]
pub struct History {
    pub(crate) file: Arc<HistoryFile>,
    pub(crate) writer: Arc<Semaphore>,
    pub(crate) readers: Arc<Semaphore>,
}

impl History {
    /// The history in the file `path`, which is made when the first operation is written.
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
            // Given back by the thread: whoever waits may be gone.
            let _permit = permit;
            job(&file)
        });
        done.await?
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
