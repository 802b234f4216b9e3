//! How many hashes are computed at once, and whose turn it is.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hashes computed at once.
const HASHES: usize = 2;
/// Look-ups in the database at once.
const LOOKUPS: usize = 4;

/// Bounds on the work that checking tokens may cause. All queues are first come, first served: a token waits,
/// and is never refused for want of a place.
pub(crate) struct Lanes {
    hashes: Arc<Semaphore>,
    unlikely: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
}

/// A place in a lane, given back when dropped.
pub(crate) type Place = Vec<OwnedSemaphorePermit>;

impl Lanes {
    pub(crate) fn new() -> Self {
        Self {
            hashes: Arc::new(Semaphore::new(HASHES)),
            unlikely: Arc::new(Semaphore::new(1)),
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
        }
    }

    /// Waits for a place to look a token up.
    pub(crate) async fn lookup(&self) -> Place {
        vec![enter(&self.lookups).await]
    }

    /// Waits for a place to compute hashes.
    ///
    /// Candidates without a prefix are tried with every wrong token, so these checks pass through a gate for
    /// one first: however many wait there, half of the places stay free for tokens whose prefix is known.
    pub(crate) async fn hash(&self, is_likely: bool) -> Place {
        let mut place = Vec::with_capacity(2);
        if !is_likely {
            place.push(enter(&self.unlikely).await);
        }
        place.push(enter(&self.hashes).await);
        place
    }
}

async fn enter(lane: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(lane)
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

    /// Lost otherwise: a good token behind a thousand wrong ones, or a machine busy with hashing only.
    #[tokio::test]
    async fn unlikely_checks_leave_a_place_and_two_is_the_limit() {
        let lanes = Lanes::new();
        let unlikely = lanes.hash(false).await;
        assert!(timeout(MOMENT, lanes.hash(false)).await.is_err());
        let _likely = timeout(MOMENT, lanes.hash(true))
            .await
            .expect("a free place");
        assert!(timeout(MOMENT, lanes.hash(true)).await.is_err());
        drop(unlikely);
        assert!(timeout(MOMENT, lanes.hash(true)).await.is_ok());
    }
}
