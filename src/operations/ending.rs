//! How an operation ends before it is done.
//!
//! It is asked to end by a cancel, a signal, `backup.timeout`, the loss of its lock, or because nothing goes on. From then on it has
//! `backup.stop_timeout` in all: most of it to come to an end by itself and to clean up, then what is left is dropped, and the lock
//! given back. What it could not clean up is removed, or resumed, by the next operation.

use std::sync::OnceLock;
use std::time::Duration;

use arc_backup_core::ErrorKind;
use tokio_util::sync::CancellationToken;

use crate::operations::Running;
use crate::operations::context::Context;
use crate::{Error, Result};

/// How the time for ending is divided: what is to be done when, counted from the cancel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StopTimes {
    /// Work has ended by itself; then it is dropped, and cleaning up begins.
    pub(crate) work: Duration,
    /// All of the operation has ended, with its cleaning up; then it is aborted.
    pub(crate) operation: Duration,
    /// The lock is given back.
    pub(crate) lock: Duration,
    /// The history has its last line.
    pub(crate) history: Duration,
}

impl StopTimes {
    pub(crate) fn of(whole: Duration) -> Self {
        Self {
            work: whole.mul_f64(0.4),
            operation: whole.mul_f64(0.6),
            lock: whole.mul_f64(0.85),
            history: whole,
        }
    }
}

/// Whether the process is asked to end: then no operation begins any more.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    asked: CancellationToken,
    reason: OnceLock<String>,
}

impl Ending {
    pub(crate) fn ask(&self, reason: &str) {
        let _ = self.reason.set(reason.to_owned());
        self.asked.cancel();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Returns when it is asked to, with the reason.
    pub(crate) async fn asked(&self) -> String {
        self.asked.cancelled().await;
        let reason = self.reason.get().cloned();
        reason.unwrap_or_else(|| "the service is ending".to_owned())
    }
}

impl Running {
    /// Returns when it has been cancelled, and so much time has passed since.
    pub(crate) async fn cancelled_for(&self, time: Duration) {
        self.cancel.cancelled().await;
        tokio::time::sleep_until(self.cancelled_at() + time).await;
    }

    /// The error that an operation ends with, for one that its work met: whatever was under way, an operation that was cancelled says
    /// why it was.
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

    /// The error of an operation that was cancelled.
    pub(crate) fn cancelled(&self) -> Error {
        let reason = self.cancel_reason();
        Error::Cancelled(reason.unwrap_or_else(|| "cancelled".to_owned()))
    }
}

impl Context {
    /// What `work` gives. Once the operation is cancelled it has a short time to end by itself, and is dropped then: it may wait for
    /// something that does not come.
    pub(crate) async fn or_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let time = StopTimes::of(self.settings.backup.stop_timeout).work;
        tokio::select! {
            biased;
            done = work => match done.map_err(|error| self.running.cause_of(error)) {
                // What fails while it is ended fails because of that: a dead store is no news then.
                Err(error) if self.running.cancel.is_cancelled() && is_of_a_store(&error) => {
                    tracing::debug!(%error, "while it was ended");
                    Err(self.running.cancelled())
                }
                done => done,
            },
            () = self.running.cancelled_for(time) => Err(self.running.cancelled()),
        }
    }
}

fn is_of_a_store(error: &Error) -> bool {
    error.storage_fault().is_some_and(|fault| {
        matches!(
            fault.kind(),
            ErrorKind::Unavailable | ErrorKind::Throttled | ErrorKind::Cancelled
        )
    })
}
