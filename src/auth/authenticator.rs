//! Tells who a request comes from.

use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq;
use tokio::time::{Instant, sleep_until};

use super::cache::{Cache, Verdict};
use super::check::Shared;
use super::error::AuthError;
use super::flights::Flights;
use super::identity::{Denied, Identity};
use super::keeper::Keeper;
use super::lanes::Lanes;
use super::settings::AuthSettings;
use super::token::{fingerprint, is_acceptable};

/// No refusal of a token is faster than this: it slows guessing down and covers how far the check came.
const REFUSAL_DELAY: Duration = Duration::from_millis(100);

/// Checks tokens against Arc's database, or what stands in for it; see the module's page.
///
/// One instance serves all requests. Needs a tokio runtime with timers.
pub struct Authenticator {
    enabled: bool,
    /// Fingerprint of the monitoring token.
    monitor: Option<[u8; 32]>,
    shared: Arc<Shared>,
}

impl Authenticator {
    /// Takes the settings; opens nothing yet. The bootstrap token is kept as a hash from here on.
    #[must_use]
    pub fn new(settings: AuthSettings) -> Self {
        Self {
            enabled: settings.enabled,
            monitor: (settings.monitor_token.as_deref())
                .filter(|token| !token.is_empty())
                .map(fingerprint),
            shared: Arc::new(Shared {
                cache: Cache::new(settings.cache_ttl),
                keeper: Keeper::new(settings),
                flights: Flights::default(),
                lanes: Lanes::new(),
            }),
        }
    }

    /// Makes an admin token where there is no other way in: authentication is on, the database is missing or
    /// holds no token, there is no bootstrap token, and none was made before. The caller prints it once; only
    /// its hash is kept, in `admin-token` in the state folder. It counts as long as the database has no token.
    ///
    /// Blocks for a fraction of a second when it makes one.
    ///
    /// # Errors
    /// The database is there and can't be read, or the hash can't be kept.
    pub fn ensure_token(&self) -> Result<Option<String>, AuthError> {
        if !self.enabled {
            return Ok(None);
        }
        self.shared.keeper.ensure_token()
    }

    /// Tells whose token this is. With authentication off it is everybody's.
    ///
    /// Safe to drop at any moment; a check under way then ends in the background for whoever asks next.
    ///
    /// # Errors
    /// [`Denied`] without a token, for any token that is not good (after a tenth of a second at the soonest),
    /// and for a good token without `admin`. Where the database can't be read, every token that is not in the
    /// cache is [`Denied::Invalid`], and the log says why.
    pub async fn check(&self, token: Option<&str>) -> Result<Identity, Denied> {
        match self.verdict(token).await? {
            Verdict::Admin(identity) => Ok(identity),
            Verdict::Reader(identity) | Verdict::Plain(identity) => Err(Denied::NotAdmin(identity)),
            Verdict::Refused => Err(Denied::Invalid),
        }
    }

    /// Tells whose token this is, for what only reads: an admin's, one with `read`, or the
    /// monitoring token.
    ///
    /// # Errors
    /// As [`check`](Self::check), and for a good token without `read` and `admin`.
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
            self.shared.verdict(token).await
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

    /// Drops every kept verdict, so that the next request of each token asks the database: for use after the
    /// database was restored. A check that is under way leaves nothing in the cache.
    pub fn forget(&self) {
        self.shared.cache.forget();
    }
}

#[cfg(test)]
mod tests;
