//! Locks between processes and hosts.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::Result;

/// What [`Sink::lock`](crate::Sink::lock) gives.
pub enum LockOutcome {
    /// The lock is the caller's until it releases or drops the guard.
    Held(Box<dyn LockGuard>),
    /// Somebody else has it, by the text it gave; empty where that can't be read.
    Busy(String),
}

impl fmt::Debug for LockOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(_) => f.write_str("Held"),
            Self::Busy(holder) => write!(f, "Busy({holder:?})"),
        }
    }
}

/// For how long a [`LockGuard`] may keep its lock alive without having been
/// [checked](LockGuard::check).
pub const UNCHECKED_LOCK_LIVES: Duration = Duration::from_secs(60);

/// A lock that is held.
///
/// Where a lock has to be renewed to stay, its guard does so by itself, but for no longer than
/// [`UNCHECKED_LOCK_LIVES`] after the last [`check`](LockGuard::check): an operation that hangs,
/// and checks no more, loses it.
#[async_trait]
pub trait LockGuard: Send + Sync {
    /// Succeeds when the lock is still this holder's; [`ErrorKind::Busy`](crate::ErrorKind::Busy)
    /// when it was lost.
    async fn check(&self) -> Result<()>;

    /// Gives the lock back; doing it again does nothing. Dropping the guard does too, as far as a
    /// drop can.
    async fn release(&self) -> Result<()>;
}
