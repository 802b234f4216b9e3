//! One check of a token at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

/// The right to check one token. Other requests with the same token wait until it is dropped.
pub(crate) type FlightGuard = OwnedMutexGuard<()>;

/// Up to this many entries, none is removed.
const CLEANUP_FLOOR: usize = 64;

/// The tokens that are being checked, by fingerprint.
#[derive(Default)]
pub(crate) struct SingleFlight {
    running: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    checks: HashMap<[u8; 32], Weak<tokio::sync::Mutex<()>>>,
    cleanup_at: usize,
}

impl SingleFlight {
    /// Waits until no other request checks this token.
    pub(crate) async fn join(&self, fingerprint: [u8; 32]) -> FlightGuard {
        self.entry(fingerprint).lock_owned().await
    }

    fn entry(&self, fingerprint: [u8; 32]) -> Arc<tokio::sync::Mutex<()>> {
        let mut table = (self.running.lock()).unwrap_or_else(PoisonError::into_inner);
        if table.checks.len() >= table.cleanup_at.max(CLEANUP_FLOOR) {
            table.checks.retain(|_, check| check.strong_count() > 0);
            table.cleanup_at = table.checks.len() * 2;
        }
        let slot = table.checks.entry(fingerprint).or_default();
        slot.upgrade().unwrap_or_else(|| {
            let check = Arc::default();
            *slot = Arc::downgrade(&check);
            check
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a hundred requests with one token that cost a hundred hashes.
    #[tokio::test]
    async fn one_check_per_token() {
        let single_flight = SingleFlight::default();
        let guard = single_flight.join([1; 32]).await;
        let _other = single_flight.join([2; 32]).await;
        assert!(single_flight.entry([1; 32]).try_lock_owned().is_err());
        drop(guard);
        assert!(single_flight.entry([1; 32]).try_lock_owned().is_ok());
    }

    /// Guards against: memory that grows by one entry for every wrong token ever sent.
    #[test]
    fn finished_checks_are_removed() {
        let single_flight = SingleFlight::default();
        for number in 0..10_000_u32 {
            let mut fingerprint = [0; 32];
            fingerprint[..4].copy_from_slice(&number.to_le_bytes());
            single_flight.entry(fingerprint);
        }
        let table = single_flight.running.lock().expect("not poisoned");
        assert!(table.checks.len() <= CLEANUP_FLOOR);
    }
}
