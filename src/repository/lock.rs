//! The lock of a target.

use arc_backup_core::{Error as CoreError, ExpiringLocks, Key, LockGuard, LockOutcome};

use super::Repository;
use super::layout::own;
use crate::busy::Busy;
use crate::holder::Holder;
use crate::{Error, Result};

impl Repository {
    /// Takes the repository's lock. That of a process of this machine that is dead is taken over at
    /// once.
    ///
    /// One lock for a target, whichever instances write to it. A lock for each instance would not
    /// be safe: a backup resumes, and a sweep removes, whatever a journal names that no running
    /// operation holds, and by the one lock alone every other journal is known to be of a dead
    /// operation. So the second of two instances gets [`Error::Busy`] and has to wait its turn
    /// (`--wait`), or has a prefix of its own. Who only reads takes a
    /// [lease](Self::reader_lease) instead.
    ///
    /// # Errors
    /// [`Error::Busy`] names the holder.
    pub async fn lock(&self, holder: &Holder) -> Result<Box<dyn LockGuard>> {
        self.lock_at(&own("lock"), holder).await
    }

    /// Takes the lock `key` in the target.
    ///
    /// # Errors
    /// [`Error::Busy`] names the holder.
    pub(super) async fn lock_at(&self, key: &Key, holder: &Holder) -> Result<Box<dyn LockGuard>> {
        let sink = self.target_sink();
        // This is an operation's first request: most errors are of the store, and not of the lock.
        let named = |error: CoreError| self.named(error.into());
        let lock_expiry = sink.expiring_locks().map(ExpiringLocks::expiry);
        // A lock that looks old is watched for a while before it is taken over: not that of a
        // process that is known to be dead.
        if lock_expiry.is_some()
            && let Some(other) = sink.lock_holder(key).await.map_err(named)?
        {
            self.free_of_dead(key, &other).await?;
        }
        let text = holder.to_text();
        let mut was_freed = false;
        loop {
            match sink.lock(key, &text).await.map_err(named)? {
                LockOutcome::Held(guard) => return Ok(guard),
                LockOutcome::Busy(other) => {
                    let other_holder = Holder::from_text(&other);
                    if was_freed || !other_holder.is_dead() {
                        return Err(Error::Busy(Box::new(Busy::of_target(
                            other_holder,
                            lock_expiry,
                        ))));
                    }
                    self.free_of_dead(key, &other).await?;
                    was_freed = true;
                }
            }
        }
    }

    /// Frees the lock of a process of this machine that is dead. `other` is what its lock says.
    async fn free_of_dead(&self, key: &Key, other: &str) -> Result<()> {
        let holder = Holder::from_text(other);
        if holder.is_dead() {
            tracing::info!(%holder, "the holder of the lock is dead");
            if let Some(locks) = self.target_sink().expiring_locks() {
                let freed = locks.free(key, other).await;
                freed.map_err(|error| self.named(error.into()))?;
            }
        }
        Ok(())
    }

    /// Who holds the repository's lock.
    pub(crate) async fn lock_holder(&self) -> Result<Option<Holder>> {
        let text = self.sink.lock_holder(&own("lock")).await?;
        Ok(text.map(|text| Holder::from_text(&text)))
    }
}
