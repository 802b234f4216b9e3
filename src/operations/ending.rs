//! How an operation ends before it is done.
//!
//! It is asked to end by a cancel, a signal, `backup.timeout`, the loss of its lock, or because nothing goes on. From then on it has
//! `backup.stop_timeout` in all: most of it to come to an end by itself and to clean up, then what is left is dropped, and the lock
//! given back. What it could not clean up is removed, or resumed, by the next operation.

use std::time::Duration;

use arc_backup_core::{Error as CoreError, ErrorKind};

use super::Running;
use super::context::Context;
use crate::{Error, Result};

/// How the time for ending is divided.
#[derive(Debug, Clone, Copy)]
pub(super) struct StopTimes {
    /// For work to end by itself; then it is dropped, and cleaning up begins.
    pub(super) work: Duration,
    /// For all of the operation, with its cleaning up; then it is aborted.
    pub(super) operation: Duration,
    /// For giving the lock back.
    pub(super) lock: Duration,
    /// For the last line of the history.
    pub(super) history: Duration,
}

impl StopTimes {
    pub(super) fn of(whole: Duration) -> Self {
        Self {
            work: whole.mul_f64(0.4),
            operation: whole.mul_f64(0.6),
            lock: whole.mul_f64(0.2),
            history: whole.mul_f64(0.1),
        }
    }
}

impl Running {
    /// Returns when it has been cancelled, and so much time has passed since.
    pub(super) async fn cancelled_for(&self, time: Duration) {
        self.cancel.cancelled().await;
        tokio::time::sleep(time).await;
    }

    /// The error of an operation that was cancelled.
    pub(super) fn cancelled(&self) -> Error {
        let reason = self.cancel_reason();
        Error::Cancelled(reason.unwrap_or_else(|| "cancelled".to_owned()))
    }
}

impl Context {
    /// What `work` gives. Once the operation is cancelled it has a short time to end by itself, and is dropped then: it may wait for
    /// something that does not come.
    pub(super) async fn or_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let time = StopTimes::of(self.settings.backup.stop_timeout).work;
        tokio::select! {
            biased;
            done = work => match done {
                // Whatever was under way, it is told why it was cancelled.
                Err(Error::Storage(error)) if error.kind() == ErrorKind::Cancelled => {
                    Err(self.running.cancelled())
                }
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

    /// Makes everything that was written durable. The kernel says nothing of how far it is; that less and less is left to be
    /// written does.
    pub(super) async fn sync(
        &self,
        durability: &dyn arc_backup_core::Durability,
    ) -> Result<(), CoreError> {
        let watch = async {
            let mut least = u64::MAX;
            loop {
                tokio::time::sleep(Duration::from_secs(5)).await;
                if let Some(left) = unwritten_kib().filter(|left| *left < least) {
                    least = left;
                    self.running.progress.activity().note();
                }
            }
        };
        tokio::select! {
            synced = durability.sync() => synced,
            () = watch => unreachable!("it goes on for ever"),
        }
    }
}

fn is_of_a_store(error: &Error) -> bool {
    match error {
        Error::Storage(error) => matches!(
            error.kind(),
            ErrorKind::Unavailable | ErrorKind::Throttled | ErrorKind::Cancelled
        ),
        _ => false,
    }
}

/// How much this machine has still to write to its disks, in KiB: `Dirty` and `Writeback` of `/proc/meminfo`.
fn unwritten_kib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let of = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    Some(of("Dirty:")? + of("Writeback:")?)
}
