//! Whether a restore was interrupted, for callers that only show it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::reading::{merge, read_beside, state_marker};
use crate::operations::{ArcBackup, RestoreInProgress};

/// Timeout for the answer of a storage.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the answer of a store counts.
const ANSWER_LIVES: Duration = Duration::from_secs(30);

/// The last answer of a store about the marker beside the data, for callers that only show it.
#[derive(Debug, Default)]
pub(crate) struct LastAnswer(Mutex<Option<Answer>>);

#[derive(Debug)]
struct Answer {
    at: Instant,
    /// For how long it counts.
    lives: Duration,
    /// The operation of this process that had run last, and whether it had ended: it may have
    /// changed the marker.
    after: Option<(String, bool)>,
    marker: Option<RestoreInProgress>,
}

impl ArcBackup {
    /// The marker of a restore that was interrupted after its first change, from the state folder
    /// and from beside the data. A storage that does not answer is waited for a short time, and
    /// asked again only after a while.
    pub async fn restore_in_progress(&self) -> Option<RestoreInProgress> {
        self.look_for_interrupted_restore().await;
        let beside = {
            let last = self.marker_answer.0.lock();
            let last = last.unwrap_or_else(PoisonError::into_inner);
            let last = last
                .as_ref()
                .filter(|last| last.after == self.last_operation());
            last.and_then(|last| last.marker.clone())
        };
        merge(state_marker(&self.settings), beside)
    }

    /// Reads the marker beside the data, unless the last answer still counts.
    async fn look_for_interrupted_restore(&self) {
        let is_local = self.storage.capabilities().local_root.is_some();
        let after = self.last_operation();
        {
            let last = self.marker_answer.0.lock();
            let last = last.unwrap_or_else(PoisonError::into_inner);
            if (last.as_ref())
                .is_some_and(|last| last.after == after && last.at.elapsed() < last.lives)
            {
                return;
            }
        }
        let read = read_beside(&self.storage, LOOK_TIMEOUT).await;
        let mut last = self
            .marker_answer
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Local disk is asked each time, unless it hangs.
        let lives = match is_local && read.is_ok() {
            true => Duration::ZERO,
            false => ANSWER_LIVES,
        };
        let marker = read.unwrap_or_else(|reason| {
            tracing::warn!(
                "the data storage does not say whether a restore was interrupted: {reason}"
            );
            last.take().and_then(|last| last.marker)
        });
        *last = Some(Answer {
            at: Instant::now(),
            lives,
            after,
            marker,
        });
    }

    fn last_operation(&self) -> Option<(String, bool)> {
        let running = self.current()?;
        Some((running.snapshot().operation_id, running.is_done()))
    }
}
