//! Ending an operation that makes no progress.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::operations::Phase;
use crate::operations::Running;

/// Watches the progress of an operation.
#[derive(Debug)]
pub(crate) struct StallWatch {
    timeout: Duration,
    count: u64,
    since: Instant,
}

impl StallWatch {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            count: 0,
            since: Instant::now(),
        }
    }

    /// Checks for progress since the last call. Ends the operation after `timeout` without
    /// progress.
    pub(crate) fn check(&mut self, running: &Running, is_hung: &AtomicBool) {
        let count = running.progress.activity().count();
        if count != self.count {
            self.count = count;
            self.since = Instant::now();
            is_hung.store(false, Ordering::Relaxed);
            return;
        }
        if self.since.elapsed() < self.timeout || is_hung.swap(true, Ordering::Relaxed) {
            return;
        }
        let text = format!(
            "no progress for {} s (`backup.stall_timeout`) while {}",
            self.timeout.as_secs(),
            running.waits_for()
        );
        tracing::error!("{text}");
        running.fail(&text);
    }
}

impl Running {
    /// Describes what the operation does or waits for.
    pub(crate) fn waits_for(&self) -> String {
        let phase = self.snapshot().phase.map_or("running", Phase::as_str);
        match self.progress.under_way() {
            Some(files) => format!("{phase}: {files}"),
            None => phase.to_owned(),
        }
    }
}
