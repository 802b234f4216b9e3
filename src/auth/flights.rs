//! One check of a token at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

/// The right to check one token; others that ask for the same token wait until it is dropped.
pub(crate) type Turn = OwnedMutexGuard<()>;

/// Below this many entries nothing is swept.
const SWEEP_FLOOR: usize = 64;

/// The tokens that are being checked, by fingerprint.
#[derive(Default)]
pub(crate) struct Flights {
    under_way: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    turns: HashMap<[u8; 32], Weak<tokio::sync::Mutex<()>>>,
    sweep_at: usize,
}

impl Flights {
    /// Waits until nobody else checks this token.
    pub(crate) async fn join(&self, fingerprint: [u8; 32]) -> Turn {
        self.entry(fingerprint).lock_owned().await
    }

    fn entry(&self, fingerprint: [u8; 32]) -> Arc<tokio::sync::Mutex<()>> {
        let mut table = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if table.turns.len() >= table.sweep_at.max(SWEEP_FLOOR) {
            table.turns.retain(|_, turn| turn.strong_count() > 0);
            table.sweep_at = table.turns.len() * 2;
        }
        let slot = table.turns.entry(fingerprint).or_default();
        slot.upgrade().unwrap_or_else(|| {
            let turn = Arc::default();
            *slot = Arc::downgrade(&turn);
            turn
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lost otherwise: single flight, where a hundred requests with one token cost a hundred hashes.
    #[tokio::test]
    async fn one_turn_a_token() {
        let flights = Flights::default();
        let turn = flights.join([1; 32]).await;
        let _other = flights.join([2; 32]).await;
        assert!(flights.entry([1; 32]).try_lock_owned().is_err());
        drop(turn);
        assert!(flights.entry([1; 32]).try_lock_owned().is_ok());
    }

    /// Lost otherwise: memory, one entry for every wrong token ever sent.
    #[test]
    fn finished_flights_are_swept() {
        let flights = Flights::default();
        for number in 0..10_000_u32 {
            let mut fingerprint = [0; 32];
            fingerprint[..4].copy_from_slice(&number.to_le_bytes());
            flights.entry(fingerprint);
        }
        assert!(flights.under_way.lock().expect("not poisoned").turns.len() <= SWEEP_FLOOR);
    }
}
