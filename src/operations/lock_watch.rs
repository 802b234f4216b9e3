//! The repository's lock, watched while an operation runs.
//!
//! A process that slept, or whose store was out of reach, may have lost its lock to another. It must not go on to
//! write, delete or restore as if it were alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_backup_core::{Access, Error as CoreError, ErrorKind, LockGuard, Sink};
use tokio_util::sync::CancellationToken;

use crate::operations::Running;
use crate::operations::context::Context;
use crate::repository::Repository;
use crate::{Error, Result};

/// How often the lock is looked at on local disk, where that costs nothing.
const LOCAL_INTERVAL: Duration = Duration::from_secs(5);
/// How often elsewhere, where each look is a request: well below the minute after which a silent holder counts as dead.
const REMOTE_INTERVAL: Duration = Duration::from_secs(15);
/// How long a look may take. A store that does not answer is no proof of a loss.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often the lock of a target is looked at.
pub(crate) fn interval(sink: &dyn Sink) -> Duration {
    match sink.properties().access {
        Access::Direct => LOCAL_INTERVAL,
        Access::Network => REMOTE_INTERVAL,
    }
}

/// Looks at the lock until `ended`; cancels the operation when it is lost. Looks no more while the operation `is_hung`: a lock that
/// is not looked at is not kept alive, and so another host may go on.
pub(crate) async fn watch(
    lock: Option<&dyn LockGuard>,
    repository: &Repository,
    running: &Running,
    every: Duration,
    is_hung: &AtomicBool,
    ended: &CancellationToken,
) {
    let Some(lock) = lock else { return };
    loop {
        tokio::select! {
            () = ended.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        if is_hung.load(Ordering::Relaxed) {
            continue;
        }
        // An operation that has ended waits for no look at its lock.
        let checked = tokio::select! {
            () = ended.cancelled() => return,
            checked = tokio::time::timeout(TIMEOUT, lock.check()) => checked,
        };
        match checked {
            Ok(Err(error)) if error.kind() == ErrorKind::Busy => {
                let text = tokio::select! {
                    () = ended.cancelled() => return,
                    text = lost(repository, &error) => text,
                };
                tracing::error!("{text}");
                running.fail(&text);
                return;
            }
            Ok(Err(error)) => tracing::warn!(%error, "whether the lock is held can't be told"),
            Ok(Ok(())) => {}
            Err(_) => tracing::warn!("whether the lock is held can't be told: no answer"),
        }
    }
}

impl Context {
    /// Fails when the repository's lock is no longer this operation's. There is none where the target can only be read.
    pub(crate) async fn check_lock(&self) -> Result<()> {
        let Some(lock) = &self.lock else {
            return Ok(());
        };
        match lock.check().await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Busy => {
                Err(Error::Cancelled(lost(&self.repository, &error).await))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// That the lock was lost, and to whom, where that can be known.
async fn lost(repository: &Repository, error: &CoreError) -> String {
    let holder = match tokio::time::timeout(TIMEOUT, repository.lock_holder()).await {
        Ok(Ok(Some(holder))) => format!("; {holder} has it now"),
        _ => String::new(),
    };
    format!(
        "the lock of the target `{}` was lost while the operation ran: {}{holder}",
        repository.name(),
        error.detail()
    )
}

#[cfg(test)]
mod tests;
