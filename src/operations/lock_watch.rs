//! Watching the repository's lock, or the lease of a reader, while an operation runs.
//!
//! A process that slept, or could not reach its store, may have lost its lock to another process.
//! Then it must not write, delete or restore any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_backup_core::{Access, Error as CoreError, ErrorKind, LockGuard, Sink};
use tokio_util::sync::CancellationToken;

use crate::operations::context::Context;
use crate::operations::{OperationKind, Running};
use crate::repository::{Repository, own};
use crate::{Error, Result};

/// How often the lock is checked on local disk, where a check costs nothing.
const LOCAL_INTERVAL: Duration = Duration::from_secs(5);
/// How often the lock is checked in a store, where a check is a request. A holder that is silent
/// for a minute counts as dead.
const REMOTE_INTERVAL: Duration = Duration::from_secs(15);
/// Timeout for one check. A missing answer does not prove that the lock is lost.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns how often the lock of a target is checked.
pub(crate) fn interval(sink: &dyn Sink) -> Duration {
    match sink.properties().access {
        Access::Direct => LOCAL_INTERVAL,
        Access::Network => REMOTE_INTERVAL,
    }
}

/// The same for the locks of all targets of a run: the longest.
pub(crate) fn interval_of(repository: &Repository) -> Duration {
    let parts = repository.parts();
    let all = parts.iter().map(|part| interval(&**part.sink()));
    all.max().unwrap_or(LOCAL_INTERVAL)
}

/// Checks the lock until `ended`, and ends the operation if the lock is lost. The checks keep the
/// lock alive. They stop while the operation `is_hung`, so that the lock expires for other hosts.
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
        // An ended operation does not wait for a check.
        let checked = tokio::select! {
            () = ended.cancelled() => return,
            checked = tokio::time::timeout(TIMEOUT, lock.check()) => checked,
        };
        match checked {
            Ok(Err(error)) if error.kind() == ErrorKind::Busy => {
                let text = tokio::select! {
                    () = ended.cancelled() => return,
                    text = lost(repository, running, &error) => text,
                };
                tracing::error!("{text}");
                running.fail(&text);
                return;
            }
            Ok(Err(error)) => tracing::warn!(%error, "cannot check the lock"),
            Ok(Ok(())) => {}
            Err(_) => tracing::warn!("cannot check the lock: no answer"),
        }
    }
}

impl Context {
    /// Fails if the repository's lock is lost. There is no lock if the target can only be read.
    pub(crate) async fn check_lock(&self) -> Result<()> {
        let Some(lock) = &self.lock else {
            return Ok(());
        };
        match lock.check().await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Busy => Err(Error::Cancelled(
                lost(&self.repository, &self.running, &error).await,
            )),
            Err(error) => Err(error.into()),
        }
    }
}

/// Describes the loss of the lock or lease, with the new holder of the lock if it is known.
async fn lost(repository: &Repository, running: &Running, error: &CoreError) -> String {
    // The lock of a run names the target whose lock was lost.
    let lost = (repository.legs().iter())
        .find(|leg| leg.name() == error.subject())
        .unwrap_or(repository);
    let lease_in = match running.kind() {
        // It has a lock as well, in its destination.
        OperationKind::Copy if error.subject() == own("lock").as_str() => None,
        OperationKind::Copy => Some(error.subject()),
        kind => kind.is_reader().then(|| lost.name()),
    };
    if let Some(target) = lease_in {
        return format!(
            "the lease in the target `{target}` was lost while the operation ran, and a deletion may have removed files: {}",
            error.detail()
        );
    }
    let holder = match tokio::time::timeout(TIMEOUT, lost.lock_holder()).await {
        Ok(Ok(Some(holder))) => format!("; {holder} has it now"),
        _ => String::new(),
    };
    format!(
        "the lock of the target `{}` was lost while the operation ran: {}{holder}",
        lost.name(),
        error.detail()
    )
}

#[cfg(test)]
mod tests;
