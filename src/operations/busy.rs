//! The progress of the operation that holds the slot, for a busy answer.

use std::time::Duration;

use crate::Error;
use crate::busy::BusyProgress;
use crate::operations::{ArcBackup, Operation, Status};

/// Timeout for the look-up in the history: a busy answer takes less than a second.
const LOOKUP_TIMEOUT: Duration = Duration::from_millis(300);

impl From<Operation> for BusyProgress {
    fn from(operation: Operation) -> Self {
        Self {
            phase: operation.phase.map(|phase| phase.to_string()),
            processed_files: operation.processed_files,
            total_files: operation.total_files,
            processed_bytes: operation.processed_bytes,
            total_bytes: operation.total_bytes,
        }
    }
}

impl ArcBackup {
    /// Adds the progress of the running operation to [`Error::Busy`], if this instance runs it.
    /// Other errors are returned unchanged.
    pub(crate) async fn with_progress(&self, error: Error) -> Error {
        let Error::Busy(mut busy) = error else {
            return error;
        };
        if busy.progress.is_none() {
            let id = &busy.holder.operation_id;
            let own = (self.current().map(|running| running.snapshot()))
                .filter(|own| own.operation_id == *id);
            let running = match own {
                Some(own) => Some(own),
                None => {
                    let lookup = self.history.get(id.clone());
                    let found = tokio::time::timeout(LOOKUP_TIMEOUT, lookup).await;
                    found.ok().and_then(Result::ok).flatten()
                }
            };
            // An operation that has just ended will release its lock soon.
            busy.progress = running
                .filter(|operation| operation.status == Status::Running)
                .map(BusyProgress::from);
        }
        Error::Busy(busy)
    }
}
