//! What a sink remembers of locks.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a sink knows of locks.
#[derive(Debug, Default)]
pub(crate) struct LockState {
    /// Taking and giving back follow each other: a store without conditional deletes must not lose
    /// what was taken between a look and a delete.
    pub(crate) one_at_a_time: tokio::sync::Mutex<()>,
    /// LockState of others, by name.
    pub(crate) seen: Mutex<HashMap<String, Seen>>,
    /// Nonces of locks that were dropped here, and may still be there.
    pub(crate) dropped: Mutex<HashSet<String>>,
}

#[derive(Debug)]
pub(crate) struct Seen {
    etag: String,
    since: Instant,
}

pub(crate) fn lock_of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LockState {
    /// For how long the lock of this name has been seen with this entity tag, from this look on.
    pub(crate) fn unchanged_for(&self, name: &str, etag: &str) -> Duration {
        let mut seen = lock_of(&self.seen);
        match seen.get(name) {
            Some(before) if before.etag == etag => before.since.elapsed(),
            _ => {
                let now = Seen {
                    etag: etag.to_owned(),
                    since: Instant::now(),
                };
                seen.insert(name.to_owned(), now);
                Duration::ZERO
            }
        }
    }
}
