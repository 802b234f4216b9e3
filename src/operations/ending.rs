//! Ending an operation before it is done.
//!
//! The reason is a cancel, a signal, `backup.timeout`, the loss of its lock, or missing progress.
//! From then on the operation has `backup.stop_timeout` in all. It uses most of this time to end by
//! itself and to clean up. Then it is aborted, and its lock is released. The next operation removes
//! or resumes its leftovers.

use std::sync::OnceLock;
use std::time::Duration;

use arc_backup_core::ErrorKind;
use tokio_util::sync::CancellationToken;

use crate::operations::Running;
use crate::operations::context::Context;
use crate::{Error, Result};

/// The deadlines of an ending operation, counted from the cancel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StopTimes {
    /// The work has ended by itself; otherwise it is dropped, and the cleanup begins.
    pub(crate) work: Duration,
    /// The operation has ended with its cleanup; otherwise it is aborted.
    pub(crate) operation: Duration,
    /// The lock is released.
    pub(crate) lock: Duration,
    /// The history has its last entry.
    pub(crate) history: Duration,
}

impl StopTimes {
    pub(crate) fn new(whole: Duration) -> Self {
        Self {
            work: whole.mul_f64(0.4),
            operation: whole.mul_f64(0.6),
            lock: whole.mul_f64(0.85),
            history: whole,
        }
    }
}

/// The shutdown of the process: once requested, no operation starts any more.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    requested: CancellationToken,
    reason: OnceLock<String>,
}

impl Ending {
    pub(crate) fn request(&self, reason: &str) {
        let _ = self.reason.set(reason.to_owned());
        self.requested.cancel();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.requested.is_cancelled()
    }

    /// Waits for the shutdown, and returns its reason.
    pub(crate) async fn requested(&self) -> String {
        self.requested.cancelled().await;
        let reason = self.reason.get().cloned();
        reason.unwrap_or_else(|| "the service is shutting down".to_owned())
    }
}

impl Running {
    /// Waits until `time` has passed since the cancel.
    pub(crate) async fn cancelled_for(&self, time: Duration) {
        self.cancel.cancelled().await;
        tokio::time::sleep_until(self.cancelled_at() + time).await;
    }

    /// Returns the error that an operation ends with. For a cancelled operation, that is the reason
    /// of the cancel and not the error of the interrupted work.
    pub(crate) fn cause_of(&self, error: Error) -> Error {
        match error {
            Error::Storage(error) | Error::Target { error, .. }
                if error.kind() == ErrorKind::Cancelled =>
            {
                self.cancelled()
            }
            error => error,
        }
    }

    /// Returns the error of a cancelled operation.
    pub(crate) fn cancelled(&self) -> Error {
        let reason = self.cancel_reason();
        Error::Cancelled(reason.unwrap_or_else(|| "cancelled".to_owned()))
    }
}

impl Context {
    /// Returns the result of `work`. After a cancel, `work` has a short time to end by itself. Then
    /// it is dropped, because it may wait forever.
    pub(crate) async fn or_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let time = StopTimes::new(self.settings.backup.stop_timeout).work;
        tokio::select! {
            biased;
            done = work => match done.map_err(|error| self.running.cause_of(error)) {
                // After a cancel, a failed store is not worth a report.
                Err(error) if self.running.cancel.is_cancelled() && error.is_unanswered() => {
                    tracing::debug!(%error, "while it was ended");
                    Err(self.running.cancelled())
                }
                done => done,
            },
            () = self.running.cancelled_for(time) => Err(self.running.cancelled()),
        }
    }
}
