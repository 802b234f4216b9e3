//! Finding an interrupted restore, for callers that only show it.

use crate::operations::restore::marker::{merge, state_marker};
use crate::operations::{ArcBackup, RestoreInProgress};

impl ArcBackup {
    /// Returns the marker of a restore that was interrupted after its first change. It is read from
    /// the state folder and from beside the data. The timeout for the storage is short, and after a
    /// timeout the next attempt comes only after a while.
    pub async fn restore_in_progress(&self) -> Option<RestoreInProgress> {
        let last_operation = self
            .running
            .last_writer()
            .map(|running| (running.snapshot().operation_id, running.is_done()));
        let beside = self.marker_answer.marker(&self.storage, last_operation);
        merge(state_marker(&self.settings), beside.await)
    }
}
