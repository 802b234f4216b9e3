//! The locks of all targets that an operation uses, as one lock.

use std::sync::Arc;

use arc_backup_core::{Error as CoreError, ErrorKind, LockGuard};
use async_trait::async_trait;

use crate::repository::{Holder, Repository};
use crate::{Error, Result};

/// Takes the locks of a target, or of all targets of a run in the order of their names, so that two
/// operations never wait for each other. With `read_only`, a target that can't be written has none.
///
/// # Errors
/// [`Error::Busy`] names the holder. Locks that were taken are released.
pub(crate) async fn take(
    repository: &Repository,
    holder: &Holder,
    read_only: bool,
) -> Result<Option<Arc<dyn LockGuard>>> {
    let mut locks = RunLocks::default();
    for part in repository.parts() {
        match part.lock(holder).await {
            Ok(lock) => locks.push(part, lock),
            // After a disaster, the credentials may only read, or the file system may have no
            // locks. Then the instance's lock is the only one.
            Err(Error::Target { error, .. })
                if read_only
                    && matches!(
                        error.kind(),
                        ErrorKind::PermissionDenied | ErrorKind::Unsupported
                    ) => {}
            Err(error) => {
                locks.give_up().await;
                return Err(error);
            }
        }
    }
    Ok(locks.into_lock(repository))
}

/// The targets of a run, for the status; none where one target has the whole backup.
pub(crate) fn names_of_legs(repository: &Repository) -> Vec<String> {
    match repository.legs().is_empty() {
        true => Vec::new(),
        false => (repository.parts().iter())
            .map(|part| part.name().to_owned())
            .collect(),
    }
}

/// The locks, or leases, of several targets, by name.
#[derive(Default)]
pub(super) struct RunLocks(Vec<(String, Box<dyn LockGuard>)>);

impl RunLocks {
    pub(super) fn push(&mut self, target: &Repository, lock: Box<dyn LockGuard>) {
        self.0.push((target.name().to_owned(), lock));
    }

    /// Releases them, because another one could not be taken.
    pub(super) async fn give_up(self) {
        if let Err(fault) = self.release().await {
            tracing::warn!(error = %fault, "cannot release the lock of another target");
        }
    }

    /// All of them as one; `None` if there are none.
    pub(super) fn into_lock(mut self, repository: &Repository) -> Option<Arc<dyn LockGuard>> {
        match (self.0.len(), repository.legs().is_empty()) {
            (0, _) => None,
            (1, true) => self.0.pop().map(|(_, lock)| lock.into()),
            _ => Some(Arc::new(self)),
        }
    }
}

#[async_trait]
impl LockGuard for RunLocks {
    /// Fails with the target's name as subject.
    async fn check(&self) -> Result<(), CoreError> {
        let checks = self.0.iter().map(async |(name, lock)| {
            (lock.check().await).map_err(|error| match error.kind() {
                ErrorKind::Busy => {
                    CoreError::new(ErrorKind::Busy, "check", name.clone(), error.detail())
                }
                _ => error,
            })
        });
        let checked = futures::future::join_all(checks).await;
        // A lock that is lost is more than one that could not be checked.
        let is_lost = |one: &Result<(), CoreError>| matches!(one, Err(error) if error.kind() == ErrorKind::Busy);
        let (lost, others): (Vec<_>, Vec<_>) = checked.into_iter().partition(is_lost);
        lost.into_iter().chain(others).collect()
    }

    async fn release(&self) -> Result<(), CoreError> {
        let mut ended = Ok(());
        for (_, lock) in self.0.iter().rev() {
            let released = lock.release().await;
            if ended.is_ok() {
                ended = released;
            }
        }
        ended
    }
}
