//! Says who a request comes from.

use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq;
use tokio::time::{Instant, sleep_until};

use super::cache::{Cache, Verdict};
use super::checker::TokenChecker;
use super::error::AuthError;
use super::hash_limits::HashLimits;
use super::identity::{Denied, Identity};
use super::settings::AuthSettings;
use super::single_flight::SingleFlight;
use super::token::{fingerprint, is_acceptable};
use super::token_sources::TokenSources;

/// No refusal of a token is faster than this. It slows guessing down, and hides how far the check
/// came.
const REFUSAL_DELAY: Duration = Duration::from_millis(100);

/// Checks tokens against Arc's database, or against the bootstrap and the generated token; see the
/// module's page.
///
/// One instance serves all requests. Needs a tokio runtime with timers.
pub struct Authenticator {
    enabled: bool,
    /// Fingerprint of the monitoring token.
    monitor: Option<[u8; 32]>,
    checker: Arc<TokenChecker>,
}

impl Authenticator {
    /// Takes the settings; opens nothing yet. Of the bootstrap token only a hash is kept.
    #[must_use]
    pub fn new(settings: AuthSettings) -> Self {
        Self {
            enabled: settings.enabled,
            monitor: (settings.monitor_token.as_deref())
                .filter(|token| !token.is_empty())
                .map(fingerprint),
            checker: Arc::new(TokenChecker {
                cache: Cache::new(settings.cache_ttl),
                sources: TokenSources::new(settings),
                single_flight: SingleFlight::default(),
                limits: HashLimits::new(),
            }),
        }
    }

    /// Makes an admin token where there is no other way in: authentication is on, the database is
    /// missing or holds no token, there is no bootstrap token, and none was made before.
    ///
    /// The caller prints it once. Only its hash is kept, in `admin-token` in the state folder. The
    /// token is accepted as long as the database has none.
    ///
    /// Blocks for a fraction of a second when it makes one.
    ///
    /// # Errors
    /// The database exists and can't be read, or the hash can't be written.
    pub fn ensure_token(&self) -> Result<Option<String>, AuthError> {
        if !self.enabled {
            return Ok(None);
        }
        self.checker.sources.ensure_token()
    }

    /// Says whose admin token this is. With authentication off, every request is accepted.
    ///
    /// Safe to drop at any moment: a check that has begun then ends in the background, for the next
    /// request.
    ///
    /// # Errors
    /// [`Denied`] without a token, for a token that is not accepted (after a tenth of a second at
    /// least), and for a token without `admin`. Where the database can't be read, every token that
    /// is not in the cache is [`Denied::Invalid`], and the log says why.
    pub async fn check(&self, token: Option<&str>) -> Result<Identity, Denied> {
        match self.verdict(token).await? {
            Verdict::Admin(identity) => Ok(identity),
            Verdict::Reader(identity) | Verdict::Plain(identity) => Err(Denied::NotAdmin(identity)),
            Verdict::Refused => Err(Denied::Invalid),
        }
    }

    /// Says whose token this is, for endpoints that only read: an admin's, one with `read`, or the
    /// monitoring token.
    ///
    /// # Errors
    /// As [`check`](Self::check), and for a token without `read` and `admin`.
    pub async fn check_reader(&self, token: Option<&str>) -> Result<Identity, Denied> {
        match self.verdict(token).await? {
            Verdict::Admin(identity) | Verdict::Reader(identity) => Ok(identity),
            Verdict::Plain(identity) => Err(Denied::NotReader(identity)),
            Verdict::Refused => Err(Denied::Invalid),
        }
    }

    /// The verdict on a token; a refusal takes its time.
    async fn verdict(&self, token: Option<&str>) -> Result<Verdict, Denied> {
        if !self.enabled {
            return Ok(Verdict::Admin(Identity::anonymous()));
        }
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Err(Denied::Missing);
        };
        let started = Instant::now();
        if let Some(identity) = self.monitor(token) {
            return Ok(Verdict::Reader(identity));
        }
        let verdict = if is_acceptable(token) {
            self.checker.verdict(token).await
        } else {
            Verdict::Refused
        };
        if verdict == Verdict::Refused {
            sleep_until(started + REFUSAL_DELAY).await;
        }
        Ok(verdict)
    }

    /// The identity of the monitoring token, where it is that. The comparison takes the same time
    /// for every token.
    fn monitor(&self, token: &str) -> Option<Identity> {
        let given = fingerprint(token);
        let is_it = bool::from(self.monitor?.ct_eq(&given));
        is_it.then(|| Identity {
            name: "monitor".to_owned(),
            fingerprint: given,
        })
    }

    /// Drops every kept verdict, so that the next request of each token asks the database: for use
    /// after the database was restored. A check that is under way leaves nothing in the cache.
    pub fn forget(&self) {
        self.checker.cache.forget();
    }
}

#[cfg(test)]
mod tests;
