//! What authentication needs to know.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The validated settings of authentication: Arc's `[auth]` table and the place for a token of our
/// own.
///
/// `Debug` redacts the bootstrap token.
#[derive(Clone)]
pub struct AuthSettings {
    /// `auth.enabled`: with `false` every request is let in as `anonymous`.
    pub enabled: bool,
    /// `auth.db_path`: Arc's database. It need not exist.
    pub db_path: PathBuf,
    /// `auth.cache_ttl`: how long a verdict on a good token is kept.
    pub cache_ttl: Duration,
    /// `auth.bootstrap_token`: an admin token as long as the database has none. Empty counts as
    /// absent.
    pub bootstrap_token: Option<String>,
    /// `arc_backup.monitor_token`: may ask whether the backups are in order, and nothing else.
    pub monitor_token: Option<String>,
    /// The folder in which the hash of a generated token is kept.
    pub state_dir: PathBuf,
}

impl fmt::Debug for AuthSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AuthSettings")
            .field("enabled", &self.enabled)
            .field("db_path", &self.db_path)
            .field("cache_ttl", &self.cache_ttl)
            .field(
                "bootstrap_token",
                &self.bootstrap_token.as_ref().map(|_| "<redacted>"),
            )
            .field(
                "monitor_token",
                &self.monitor_token.as_ref().map(|_| "<redacted>"),
            )
            .field("state_dir", &self.state_dir)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a bootstrap token in a log that prints the settings.
    #[test]
    fn debug_redacts_the_bootstrap_token() {
        let settings = AuthSettings {
            enabled: true,
            db_path: "arc.db".into(),
            cache_ttl: Duration::from_secs(1),
            bootstrap_token: Some("very-secret".into()),
            monitor_token: Some("very-secret too".into()),
            state_dir: "state".into(),
        };
        let text = format!("{settings:?}");
        assert!(text.contains("redacted") && !text.contains("very-secret"));
    }
}
