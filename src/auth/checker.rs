//! The check of a token, from the cache to the slowest hash.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::cache::{Cache, Good, Moment, Verdict};
use super::candidate::Candidate;
use super::hash_limits::HashLimits;
use super::identity::Identity;
use super::single_flight::{FlightGuard, SingleFlight};
use super::token::fingerprint;
use super::token_hash::TokenHash;
use super::token_sources::TokenSources;

/// Checks tokens; all requests share one.
pub(crate) struct TokenChecker {
    pub(crate) sources: TokenSources,
    pub(crate) cache: Cache,
    pub(crate) single_flight: SingleFlight,
    pub(crate) limits: HashLimits,
}

impl TokenChecker {
    /// The verdict on a token: from the cache, or by a check.
    pub(crate) async fn verdict(self: &Arc<Self>, token: &str) -> Verdict {
        let fingerprint = fingerprint(token);
        if let Some(verdict) = self.cache.get(&fingerprint, Moment::now()) {
            return verdict;
        }
        let guard = self.single_flight.join(fingerprint).await;
        // The request that was waited for may have found out.
        if let Some(verdict) = self.cache.get(&fingerprint, Moment::now()) {
            return verdict;
        }
        let check = TokenCheck {
            checker: Arc::clone(self),
            token: token.into(),
            fingerprint,
            generation: self.cache.generation(),
        };
        let verdict = check.run(guard).await;
        verdict.unwrap_or_else(|| {
            self.sources.report(&"the check was interrupted");
            Verdict::Refused
        })
    }
}

/// One check of one token.
///
/// The guard and the permits move into the blocking task: a client that hangs up frees neither
/// before the work is done.
#[derive(Clone)]
struct TokenCheck {
    checker: Arc<TokenChecker>,
    token: Arc<str>,
    fingerprint: [u8; 32],
    generation: u64,
}

impl TokenCheck {
    /// The verdict, which the cache keeps; `None` where a task panicked.
    async fn run(self, guard: FlightGuard) -> Option<Verdict> {
        let permits = self.checker.limits.lookup().await;
        let check = self.clone();
        let (mut guard, found) = spawn_blocking(move || {
            let found = check.checker.sources.candidates(&check.fingerprint);
            drop(permits);
            (guard, found)
        })
        .await
        .ok()?;
        // Not cached: the database may be readable again for the next request.
        let Some(candidates) = found else {
            return Some(Verdict::Refused);
        };

        let proof = self.checker.cache.proof(&self.fingerprint);
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
            let permits = self.checker.limits.hash(is_likely).await;
            let check = self.clone();
            let verdict;
            (guard, verdict) = spawn_blocking(move || {
                let verdict = check.first_match(&batch);
                drop(permits);
                (guard, verdict)
            })
            .await
            .ok()?;
            if verdict.is_some() {
                return verdict;
            }
        }
        let cache = &self.checker.cache;
        cache.refuse(self.generation, self.fingerprint, Moment::now());
        drop(guard);
        Some(Verdict::Refused)
    }

    fn first_match(&self, batch: &[(TokenHash, Candidate)]) -> Option<Verdict> {
        let (_, candidate) = batch.iter().find(|(hash, _)| hash.matches(&self.token))?;
        Some(self.accept(candidate))
    }

    /// The verdict on a token that matches, which the cache keeps.
    fn accept(&self, candidate: &Candidate) -> Verdict {
        let now = Moment::now();
        // The token may have expired in the queue.
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
        let cache = &self.checker.cache;
        cache.accept(self.generation, self.fingerprint, good, now);
        verdict
    }
}
