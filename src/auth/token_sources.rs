//! Where accepted tokens come from: Arc's database, or else the bootstrap token and the generated
//! one.

use std::fmt::Display;
use std::path::PathBuf;

use jiff::Timestamp;

use super::candidate::Candidate;
use super::error::AuthError;
use super::expiry::Expiry;
use super::generated;
use super::log_throttle::LogThrottle;
use super::settings::AuthSettings;
use super::store::{self, Lookup};
use super::token::{fingerprint, hex, prefix};

/// Finds the stored tokens that a presented one may be.
pub(crate) struct TokenSources {
    db_path: PathBuf,
    state_dir: PathBuf,
    /// The bootstrap token in the 64-digit form; the token itself is not kept.
    bootstrap_hash: Option<String>,
    log: LogThrottle,
}

impl TokenSources {
    pub(crate) fn new(settings: AuthSettings) -> Self {
        let bootstrap = settings.bootstrap_token.filter(|token| !token.is_empty());
        Self {
            db_path: settings.db_path,
            state_dir: settings.state_dir,
            bootstrap_hash: bootstrap.map(|token| hex(&fingerprint(&token))),
            log: LogThrottle::default(),
        }
    }

    /// The stored tokens that may be the one with this fingerprint. Blocks.
    ///
    /// Disabled and expired ones are omitted before anything is hashed, so that they take the same
    /// time as unknown ones. `None` where the sources can't be read, which is logged.
    pub(crate) fn candidates(&self, fingerprint: &[u8; 32]) -> Option<Vec<Candidate>> {
        let token_prefix = prefix(fingerprint);
        let found = match store::look_up(&self.db_path, &token_prefix, &self.log) {
            Ok(Lookup::Tokens(found)) => found,
            Ok(Lookup::NoTokens) => self.fallback(&token_prefix),
            Err(error) => {
                self.report(&error);
                return None;
            }
        };
        let now = Timestamp::now();
        let good = found
            .into_iter()
            .filter(|candidate| !candidate.expiry.is_past(now));
        Some(good.collect())
    }

    /// Makes an admin token where there is no other. See [`super::Authenticator::ensure_token`].
    pub(crate) fn ensure_token(&self) -> Result<Option<String>, AuthError> {
        if self.bootstrap_hash.is_some() || store::has_tokens(&self.db_path, &self.log)? {
            return Ok(None);
        }
        generated::ensure(&self.state_dir)
    }

    /// Logs why a token could not be checked.
    pub(crate) fn report(&self, fault: &dyn Display) {
        self.log
            .warn(&format!("a token was refused unchecked: {fault}"));
    }

    fn fallback(&self, token_prefix: &str) -> Vec<Candidate> {
        let bootstrap = self.bootstrap_hash.iter().map(|hash| Candidate {
            name: "bootstrap".to_owned(),
            hash: hash.clone(),
            is_admin: true,
            may_read: true,
            expiry: Expiry::Never,
            is_likely: true,
        });
        let own = generated::candidate(&self.state_dir, token_prefix).unwrap_or_else(|error| {
            // The bootstrap token counts all the same.
            self.log.warn(&error.to_string());
            None
        });
        bootstrap.chain(own).collect()
    }
}
