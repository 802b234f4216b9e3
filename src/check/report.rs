//! What a check found.

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckStatus {
    /// The backups are as they should be.
    Ok,
    /// Something is wrong.
    Critical,
}

impl CheckStatus {
    /// The word that the line begins with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Critical => "CRITICAL",
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckReport {
    /// `ok` or `critical`.
    pub status: CheckStatus,
    /// Whether the status is `ok`.
    pub ok: bool,
    /// All of it in one line, the worst first: what the command prints.
    pub line: String,
    /// When it was checked, RFC 3339, UTC.
    pub checked_at: String,
    /// What is wrong and belongs to no target: a restore that was interrupted, schedules that are
    /// overdue.
    pub faults: Vec<String>,
    /// Each target.
    pub targets: Vec<TargetCheck>,
}

/// What a check found of one target.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetCheck {
    /// Its name.
    pub target: String,
    /// `ok` or `critical`.
    pub status: CheckStatus,
    /// Whether the status is `ok`.
    pub ok: bool,
    /// What was found, for people.
    pub detail: String,
    /// What is wrong, each for people.
    pub faults: Vec<String>,
    /// How many good backups it holds: of all databases, readable, and not known to be damaged.
    pub backups: u64,
    /// The newest of them.
    pub newest: Option<String>,
    /// When that began, RFC 3339, UTC.
    pub newest_at: Option<String>,
    /// Its age in seconds.
    pub age_seconds: Option<u64>,
    /// When a verification last read a backup of this target and found nothing wrong, RFC 3339,
    /// UTC.
    pub last_verified_at: Option<String>,
}
