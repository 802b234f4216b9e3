//! Who runs operations on this instance, and how far they are, for a busy answer.

use std::time::Duration;

use crate::Error;
use crate::busy::BusyProgress;
use crate::operations::{ArcBackup, Operation, OperationKind, Running, Status};
use crate::repository::Holder;

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

impl Running {
    /// Returns this process as the one that runs the operation.
    pub(crate) fn holder(&self) -> Holder {
        Holder {
            started_at: Some(self.started()),
            backup_id: Some(self.snapshot().backup_id).filter(|id| !id.is_empty()),
            ..Holder::this(self.kind().as_str(), self.operation_id())
        }
    }
}

impl ArcBackup {
    /// Returns who writes, in any process of this instance: who makes, restores or deletes backups,
    /// or sweeps.
    #[must_use]
    pub fn busy(&self) -> Option<Holder> {
        let own = self.running.writer().map(|running| running.holder());
        own.or_else(|| self.slots.writer())
    }

    /// Returns who runs operations on this instance, in any process: who writes first, then those
    /// that only read, that which began last first.
    #[must_use]
    pub fn under_way(&self) -> Vec<Holder> {
        let own = self.running.under_way();
        // One of this process that has just ended may still hold its lock.
        let others = (self.slots.holders().into_iter())
            .filter(|other| self.running.get(&other.operation_id).is_none());
        let mut all: Vec<_> = own.iter().map(|one| one.holder()).chain(others).collect();
        let kind = |one: &Holder| OperationKind::from_name(&one.operation);
        all.sort_by_key(|one| {
            let is_reader = kind(one).is_some_and(OperationKind::is_reader);
            (is_reader, std::cmp::Reverse(one.started_at))
        });
        all
    }

    /// Adds the progress of the running operation to [`Error::Busy`], if this instance runs it.
    /// Other errors are returned unchanged.
    pub(crate) async fn with_progress(&self, error: Error) -> Error {
        let Error::Busy(mut busy) = error else {
            return error;
        };
        if busy.progress.is_none() {
            let id = &busy.holder.operation_id;
            let own = self.running.get(id).map(|running| running.snapshot());
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
