//! How many look-ups and hashes run at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hashes computed at once.
const HASHES: usize = 2;
/// Look-ups in the database at once.
const LOOKUPS: usize = 4;

/// Limits on the work that checking tokens may cause.
///
/// All queues are first come, first served: a token waits, and is never refused because a queue is
/// long.
pub(crate) struct HashLimits {
    hashes: Arc<Semaphore>,
    unlikely: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
}

/// The right to do one piece of that work, given back when dropped.
pub(crate) type Permits = Vec<OwnedSemaphorePermit>;

impl HashLimits {
    pub(crate) fn new() -> Self {
        Self {
            hashes: Arc::new(Semaphore::new(HASHES)),
            unlikely: Arc::new(Semaphore::new(1)),
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
        }
    }

    /// Waits until a token may be looked up.
    pub(crate) async fn lookup(&self) -> Permits {
        vec![acquire(&self.lookups).await]
    }

    /// Waits until hashes may be computed.
    ///
    /// Candidates without a prefix are compared with every wrong token. Their checks run one at a
    /// time, so half of the hashes stay free for tokens whose prefix is known.
    pub(crate) async fn hash(&self, is_likely: bool) -> Permits {
        let mut permits = Vec::with_capacity(2);
        if !is_likely {
            permits.push(acquire(&self.unlikely).await);
        }
        permits.push(acquire(&self.hashes).await);
        permits
    }
}

async fn acquire(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(semaphore)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(50);

    /// Guards against: a good token queued behind a thousand wrong ones, and a machine that only
    /// hashes.
    #[tokio::test]
    async fn unlikely_checks_leave_one_hash_free_and_two_is_the_limit() {
        let limits = HashLimits::new();
        let unlikely = limits.hash(false).await;
        assert!(timeout(MOMENT, limits.hash(false)).await.is_err());
        let _likely = timeout(MOMENT, limits.hash(true))
            .await
            .expect("a free permit");
        assert!(timeout(MOMENT, limits.hash(true)).await.is_err());
        drop(unlikely);
        assert!(timeout(MOMENT, limits.hash(true)).await.is_ok());
    }
}
