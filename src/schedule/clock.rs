//! The clock that schedules go by.

use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

/// A clock. Both methods are required.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// Returns when it shows `at`, or earlier: the caller asks [`now`](Self::now) again.
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()>;
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// The longest sleep: a clock that is set, and a machine that slept, are noticed after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        let left = at.duration_since(Timestamp::now());
        let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
        Box::pin(tokio::time::sleep(left.min(LONGEST_SLEEP)))
    }
}
