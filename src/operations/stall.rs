//! Ending an operation in which nothing goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::operations::Phase;
use crate::operations::Running;

/// Watches whether anything goes on in an operation.
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

    /// Looks whether something went on since the last look, and ends the operation when nothing has for too long.
    pub(crate) fn look(&mut self, running: &Running, is_hung: &AtomicBool) {
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
            "nothing went on for {} s (`backup.stall_timeout`) while {}",
            self.timeout.as_secs(),
            running.waits_for()
        );
        tracing::error!("{text}");
        running.fail(&text);
    }
}

impl Running {
    /// What it does or waits for, in words.
    pub(crate) fn waits_for(&self) -> String {
        let phase = self.snapshot().phase.map_or("running", Phase::as_str);
        match self.progress.under_way() {
            Some(files) => format!("{phase}: {files}"),
            None => phase.to_owned(),
        }
    }
}
