//! What a check demands.

use std::time::Duration;

/// What is demanded of the backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOptions {
    /// Only this target.
    pub target: Option<String>,
    /// How old the newest good backup may be.
    pub max_age: Duration,
    /// Within how long the last clean verification must be; `None` requires none.
    pub verified_within: Option<Duration>,
    /// How many good backups there must be.
    pub min_backups: u64,
}
