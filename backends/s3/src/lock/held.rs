//! A lock that is held: renewed, checked and given back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arc_backup_core::{
    Error, ErrorKind, Key, LockGuard, LockOutcome, Result, UNCHECKED_LOCK_LIVES,
};
use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::record::{Condition, MAX_ATTEMPTS, Record, look, put, remove};
use crate::lock_state::lock_of;
use crate::store::Store;

pub(super) fn held(
    store: &Arc<Store>,
    key: &Key,
    name: String,
    record: Record,
    etag: String,
) -> LockOutcome {
    lock_of(&store.locks.seen).remove(&name);
    let lock = Arc::new(Held {
        store: store.clone(),
        key: key.clone(),
        name,
        nonce: record.nonce.clone(),
        state: tokio::sync::Mutex::new(HeldState {
            record,
            etag,
            lost: false,
            renewed: Instant::now(),
        }),
        checked: Mutex::new(Instant::now()),
        released: AtomicBool::new(false),
    });
    let renewed = lock.clone();
    let renewal = tokio::spawn(async move { renewed.renew_for_ever().await });
    LockOutcome::Held(Box::new(S3Lock { lock, renewal }))
}

struct Held {
    store: Arc<Store>,
    key: Key,
    name: String,
    nonce: String,
    /// Locked for a whole renewal, so that no two of them follow the same entity tag.
    state: tokio::sync::Mutex<HeldState>,
    /// When the holder last asked whether it still has the lock.
    checked: Mutex<Instant>,
    released: AtomicBool,
}

struct HeldState {
    record: Record,
    etag: String,
    lost: bool,
    /// When the lock was last written.
    renewed: Instant,
}

impl Held {
    async fn renew_for_ever(&self) {
        loop {
            tokio::time::sleep(self.store.config.lock_renewal).await;
            // A holder that hangs must not keep all others out.
            if lock_of(&self.checked).elapsed() > UNCHECKED_LOCK_LIVES {
                continue;
            }
            match self.renew().await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Busy => return,
                Err(error) => tracing::warn!(%error, "a lock is not renewed"),
            }
        }
    }

    /// Looks whether the lock is still this holder's, and renews it where that is due: each renewal
    /// is a version of the object in a bucket that keeps them, and so none is made for nothing.
    async fn check(&self) -> Result<()> {
        *lock_of(&self.checked) = Instant::now();
        {
            let mut state = self.state.lock().await;
            if state.lost {
                return Err(self.lost());
            }
            if state.renewed.elapsed() < self.store.config.lock_renewal {
                match look(&self.store, &self.key, &self.name).await? {
                    Some(there) if there.record.is_of(&self.nonce) => return Ok(()),
                    _ => {
                        state.lost = true;
                        return Err(self.lost());
                    }
                }
            }
        }
        self.renew().await
    }

    /// Writes the next beat; [`ErrorKind::Busy`] when the lock is another's or gone.
    async fn renew(&self) -> Result<()> {
        let mut state = self.state.lock().await;
        state.record.beat += 1;
        for _ in 0..MAX_ATTEMPTS {
            if state.lost {
                break;
            }
            let condition = Condition::Is(state.etag.clone());
            if let Some(etag) = put(
                &self.store,
                &self.key,
                &self.name,
                &state.record,
                &condition,
            )
            .await?
            {
                state.etag = etag;
                state.renewed = Instant::now();
                return Ok(());
            }
            match look(&self.store, &self.key, &self.name).await? {
                // A renewal whose answer was lost, or that nobody waited for.
                Some(there) if there.record.is_of(&self.nonce) => state.etag = there.etag,
                _ => state.lost = true,
            }
        }
        Err(self.lost())
    }

    fn lost(&self) -> Error {
        Error::new(
            ErrorKind::Busy,
            "hold the lock",
            self.key.as_str(),
            "it was lost: another took or removed it, as if this process were dead",
        )
    }

    /// Removes the lock if it is still this one.
    async fn give_back(&self) -> Result<()> {
        let _one_at_a_time = self.store.locks.one_at_a_time.lock().await;
        // A renewal under way ends first.
        let _state = self.state.lock().await;
        remove(&self.store, &self.key, |there| there.nonce == self.nonce).await
    }
}

/// A lock that is held and renewed until it is released or dropped.
struct S3Lock {
    lock: Arc<Held>,
    renewal: JoinHandle<()>,
}

#[async_trait]
impl LockGuard for S3Lock {
    async fn check(&self) -> Result<()> {
        self.lock.check().await
    }

    async fn release(&self) -> Result<()> {
        self.renewal.abort();
        if self.lock.released.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        // Whoever locks next with this sink need not wait for the store to hear of it, should
        // nobody wait for this.
        let dropped = &self.lock.store.locks.dropped;
        lock_of(dropped).insert(self.lock.nonce.clone());
        let lock = self.lock.clone();
        let given_back = self.lock.store.releases.run(async move {
            lock.give_back().await?;
            lock_of(&lock.store.locks.dropped).remove(&lock.nonce);
            Ok(())
        });
        given_back.await.unwrap_or(Ok(()))
    }
}

impl Drop for S3Lock {
    fn drop(&mut self) {
        self.renewal.abort();
        if self.lock.released.swap(true, Ordering::SeqCst) {
            return;
        }
        let lock = self.lock.clone();
        lock_of(&lock.store.locks.dropped).insert(lock.nonce.clone());
        self.lock.store.releases.spawn(async move {
            match lock.give_back().await {
                Ok(()) => {
                    lock_of(&lock.store.locks.dropped).remove(&lock.nonce);
                }
                Err(error) => tracing::warn!(%error, "a lock stays until it expires"),
            }
        });
    }
}
