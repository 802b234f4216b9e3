//! The check of a token, from the cache to the slowest hash.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::cache::{Cache, Good, Moment, Verdict};
use super::candidate::Candidate;
use super::flights::{Flights, Turn};
use super::identity::Identity;
use super::keeper::Keeper;
use super::lanes::Lanes;
use super::token::fingerprint;
use super::token_hash::TokenHash;

/// What all checks of one authenticator share.
pub(crate) struct Shared {
    pub(crate) keeper: Keeper,
    pub(crate) cache: Cache,
    pub(crate) flights: Flights,
    pub(crate) lanes: Lanes,
}

impl Shared {
    /// The verdict on a token: a kept one, or that of a check.
    pub(crate) async fn verdict(self: &Arc<Self>, token: &str) -> Verdict {
        let fingerprint = fingerprint(token);
        if let Some(verdict) = self.cache.get(&fingerprint, Moment::now()) {
            return verdict;
        }
        let turn = self.flights.join(fingerprint).await;
        // Whoever had the turn before may have found out.
        if let Some(verdict) = self.cache.get(&fingerprint, Moment::now()) {
            return verdict;
        }
        let check = Check {
            shared: Arc::clone(self),
            token: token.into(),
            fingerprint,
            generation: self.cache.generation(),
        };
        let verdict = check.run(turn).await;
        verdict.unwrap_or_else(|| {
            self.keeper.report(&"the check was interrupted");
            Verdict::Refused
        })
    }
}

/// One check of one token.
///
/// Its turn and its place in a lane go with the work into the blocking task: a client that hangs up frees
/// neither before the work is done.
#[derive(Clone)]
struct Check {
    shared: Arc<Shared>,
    token: Arc<str>,
    fingerprint: [u8; 32],
    generation: u64,
}

impl Check {
    /// The verdict, kept in the cache; `None` where a task died.
    async fn run(self, turn: Turn) -> Option<Verdict> {
        let place = self.shared.lanes.lookup().await;
        let check = self.clone();
        let (mut turn, found) = spawn_blocking(move || {
            let found = check.shared.keeper.candidates(&check.fingerprint);
            drop(place);
            (turn, found)
        })
        .await
        .ok()?;
        // Not remembered: the next request may find the database readable again.
        let Some(candidates) = found else {
            return Some(Verdict::Refused);
        };

        let proof = self.shared.cache.proof(&self.fingerprint);
        let mut likely = Vec::new();
        let mut unlikely = Vec::new();
        for candidate in candidates {
            let Some(hash) = TokenHash::parse(&candidate.hash) else {
                continue;
            };
            if proof == Some(candidate.proof()) || (!hash.is_slow() && hash.matches(&self.token)) {
                return Some(self.accept(&candidate));
            }
            match (hash.is_slow(), candidate.is_likely) {
                (false, _) => {}
                (true, true) => likely.push((hash, candidate)),
                (true, false) => unlikely.push((hash, candidate)),
            }
        }

        for (batch, is_likely) in [(likely, true), (unlikely, false)] {
            if batch.is_empty() {
                continue;
            }
            let place = self.shared.lanes.hash(is_likely).await;
            let check = self.clone();
            let verdict;
            (turn, verdict) = spawn_blocking(move || {
                let verdict = check.first_match(&batch);
                drop(place);
                (turn, verdict)
            })
            .await
            .ok()?;
            if verdict.is_some() {
                return verdict;
            }
        }
        let cache = &self.shared.cache;
        cache.refuse(self.generation, self.fingerprint, Moment::now());
        drop(turn);
        Some(Verdict::Refused)
    }

    fn first_match(&self, batch: &[(TokenHash, Candidate)]) -> Option<Verdict> {
        let (_, candidate) = batch.iter().find(|(hash, _)| hash.matches(&self.token))?;
        Some(self.accept(candidate))
    }

    /// The verdict on a token that matches, kept in the cache.
    fn accept(&self, candidate: &Candidate) -> Verdict {
        let now = Moment::now();
        // The queue may have been longer than the token's life.
        if candidate.expiry.is_past(now.clock) {
            return Verdict::Refused;
        }
        let identity = Identity {
            name: candidate.name.clone(),
            fingerprint: self.fingerprint,
        };
        let verdict = if candidate.is_admin {
            Verdict::Admin(identity)
        } else if candidate.may_read {
            Verdict::Reader(identity)
        } else {
            Verdict::Plain(identity)
        };
        let good = Good {
            verdict: verdict.clone(),
            expiry: candidate.expiry,
            proof: candidate.proof(),
        };
        let cache = &self.shared.cache;
        cache.accept(self.generation, self.fingerprint, good, now);
        verdict
    }
}
