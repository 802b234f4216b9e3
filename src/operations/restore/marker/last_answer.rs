//! The last answer of a storage about the marker beside the data.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_backup_core::{Access, Sink};

use super::reading::read_beside;
use crate::operations::RestoreInProgress;

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

impl LastAnswer {
    /// The marker beside the data. A storage that does not answer is waited for a short time, and
    /// asked again only after a while, or after another operation of this process: `after` is the
    /// last one, and whether it has ended.
    pub(crate) async fn marker(
        &self,
        storage: &Arc<dyn Sink>,
        after: Option<(String, bool)>,
    ) -> Option<RestoreInProgress> {
        if let Some(last) = &*self.locked()
            && last.after == after
            && last.at.elapsed() < last.lives
        {
            return last.marker.clone();
        }
        let read = read_beside(storage, LOOK_TIMEOUT).await;
        let mut last = self.locked();
        // Local disk is asked each time, unless it hangs.
        let lives = match storage.properties().access {
            Access::Direct if read.is_ok() => Duration::ZERO,
            _ => ANSWER_LIVES,
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
            marker: marker.clone(),
        });
        marker
    }

    fn locked(&self) -> MutexGuard<'_, Option<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
