//! Verdicts that are still good, by fingerprint. Tokens themselves are never kept.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::expiry::Expiry;
use super::identity::Identity;

/// How long a refusal is remembered.
const REFUSED_TTL: Duration = Duration::from_secs(2);
/// How many verdicts of either kind are kept.
const CAPACITY: usize = 10_000;

/// What became of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Good, with the `admin` permission.
    Admin(Identity),
    /// Good, with `read` and without `admin`.
    Reader(Identity),
    /// Good, without either.
    Plain(Identity),
    /// Anything else.
    Refused,
}

/// Now, on the clock that never jumps and on the one that expiries are written in.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) instant: Instant,
    pub(crate) clock: Timestamp,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self {
            instant: Instant::now(),
            clock: Timestamp::now(),
        }
    }
}

/// A verdict on a good token, and what it rests on.
pub(crate) struct Good {
    pub(crate) verdict: Verdict,
    pub(crate) expiry: Expiry,
    /// Names the hash that the token was found to match.
    pub(crate) proof: [u8; 32],
}

/// The verdicts of the last few minutes.
pub(crate) struct Cache {
    ttl: Duration,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    generation: u64,
    good: HashMap<[u8; 32], (Good, Instant)>,
    refused: HashMap<[u8; 32], Instant>,
    /// Refusals in the order in which they end.
    refused_order: VecDeque<([u8; 32], Instant)>,
}

impl Cache {
    pub(crate) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            entries: Mutex::default(),
        }
    }

    /// The verdict on a token, where one is kept that is neither too old nor past the token's
    /// expiry.
    pub(crate) fn get(&self, fingerprint: &[u8; 32], now: Moment) -> Option<Verdict> {
        let entries = self.entries();
        if let Some((good, since)) = entries.good.get(fingerprint)
            && now.instant.saturating_duration_since(*since) < self.ttl
            && !good.expiry.is_past(now.clock)
        {
            return Some(good.verdict.clone());
        }
        let since = entries.refused.get(fingerprint)?;
        (now.instant.saturating_duration_since(*since) < REFUSED_TTL).then_some(Verdict::Refused)
    }

    /// The hash that the token is known to match, however old the verdict: a row that still has it
    /// needs no hashing again, only a look at what else the row says.
    pub(crate) fn proof(&self, fingerprint: &[u8; 32]) -> Option<[u8; 32]> {
        let entries = self.entries();
        entries.good.get(fingerprint).map(|(good, _)| good.proof)
    }

    /// Names the state of the cache between two calls of [`Cache::forget`]; take it before looking
    /// a token up.
    pub(crate) fn generation(&self) -> u64 {
        self.entries().generation
    }

    /// Keeps a good verdict, unless the cache was cleared since `generation`.
    pub(crate) fn accept(&self, generation: u64, fingerprint: [u8; 32], good: Good, now: Moment) {
        let mut entries = self.entries();
        if entries.generation != generation {
            return;
        }
        if entries.good.len() >= CAPACITY && !entries.good.contains_key(&fingerprint) {
            let oldest = entries.good.iter().min_by_key(|(_, (_, since))| *since);
            if let Some(oldest) = oldest.map(|(fingerprint, _)| *fingerprint) {
                entries.good.remove(&oldest);
            }
        }
        entries.refused.remove(&fingerprint);
        entries.good.insert(fingerprint, (good, now.instant));
    }

    /// Remembers a refusal for a moment, unless the cache was cleared since `generation`.
    pub(crate) fn refuse(&self, generation: u64, fingerprint: [u8; 32], now: Moment) {
        let mut entries = self.entries();
        if entries.generation != generation {
            return;
        }
        entries.good.remove(&fingerprint);
        while let Some((oldest, since)) = entries.refused_order.front().copied()
            && (entries.refused_order.len() >= CAPACITY
                || now.instant.saturating_duration_since(since) >= REFUSED_TTL)
        {
            entries.refused_order.pop_front();
            // A token refused again since then has a later entry of its own.
            if entries.refused.get(&oldest) == Some(&since) {
                entries.refused.remove(&oldest);
            }
        }
        entries.refused.insert(fingerprint, now.instant);
        entries.refused_order.push_back((fingerprint, now.instant));
    }

    /// Drops everything, the verdicts of checks that are under way included.
    pub(crate) fn forget(&self) {
        let mut entries = self.entries();
        let generation = entries.generation + 1;
        *entries = Entries {
            generation,
            ..Entries::default()
        };
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
