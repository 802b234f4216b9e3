//! How many requests are under way at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// A limit on requests that halves when the store asks to slow down, and grows back by one for
/// every limit's worth of requests that went well: what TCP does with packets.
#[derive(Debug, Clone)]
pub struct ConcurrencyLimit {
    free: Arc<Semaphore>,
    state: Arc<Mutex<LimitState>>,
}

#[derive(Debug)]
struct LimitState {
    most: usize,
    limit: usize,
    /// Permits that were cut while they were in use: taken away when they come back.
    debt: usize,
    successes: usize,
    slowed: Option<Instant>,
}

/// One request's share. Given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    permit: Option<OwnedSemaphorePermit>,
    state: Arc<Mutex<LimitState>>,
}

/// Many requests meet the same overload at once: that is one reason to slow down, not many.
const ONE_OVERLOAD: Duration = Duration::from_millis(500);

impl ConcurrencyLimit {
    /// At most `most` requests at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        Self {
            free: Arc::new(Semaphore::new(most)),
            state: Arc::new(Mutex::new(LimitState {
                most,
                limit: most,
                debt: 0,
                successes: 0,
                slowed: None,
            })),
        }
    }

    /// How many requests may be under way now.
    #[must_use]
    pub fn limit(&self) -> usize {
        lock(&self.state).limit
    }

    /// Whether no request is under way, and none has kept its permit.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let state = lock(&self.state);
        state.debt == 0 && self.free.available_permits() == state.limit
    }

    pub(super) async fn acquire(&self) -> Permit {
        Permit {
            permit: self.free.clone().acquire_owned().await.ok(),
            state: self.state.clone(),
        }
    }

    pub(super) fn succeeded(&self) {
        let mut state = lock(&self.state);
        if state.limit == state.most {
            return;
        }
        state.successes += 1;
        if state.successes >= state.limit {
            state.successes = 0;
            state.limit += 1;
            if state.debt > 0 {
                state.debt -= 1;
            } else {
                self.free.add_permits(1);
            }
        }
    }

    pub(super) fn throttled(&self) {
        let mut state = lock(&self.state);
        let now = Instant::now();
        if (state.slowed).is_some_and(|then| now.duration_since(then) < ONE_OVERLOAD) {
            return;
        }
        state.slowed = Some(now);
        state.successes = 0;
        let limit = (state.limit / 2).max(1);
        let cut = state.limit - limit;
        state.limit = limit;
        state.debt += cut - self.free.forget_permits(cut);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if state.debt > 0
            && let Some(permit) = self.permit.take()
        {
            state.debt -= 1;
            permit.forget();
        }
    }
}

fn lock(state: &Mutex<LimitState>) -> std::sync::MutexGuard<'_, LimitState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that is overloaded must see fewer requests, and a recovered one as many as before.
    #[tokio::test]
    async fn halves_under_load_and_grows_back() {
        let limit = ConcurrencyLimit::new(8);
        let mut permits = Vec::new();
        for _ in 0..8 {
            permits.push(limit.acquire().await);
        }
        limit.throttled();
        limit.throttled();
        assert_eq!(limit.limit(), 4, "many faults at once are one overload");
        drop(permits);
        assert_eq!(
            limit.free.available_permits(),
            4,
            "permits in use are cut too"
        );
        for _ in 0..100 {
            limit.succeeded();
        }
        assert_eq!((limit.limit(), limit.free.available_permits()), (8, 8));
    }
}
