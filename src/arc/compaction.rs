//! Whether a running Arc compacts.

use serde::Deserialize;

use super::error::ArcError;

/// The body of an answer to `/api/v1/compaction/stats`.
#[derive(Debug, Deserialize)]
pub(super) struct Stats {
    cycle_running: bool,
    #[serde(default)]
    total_jobs_completed: u64,
    #[serde(default)]
    total_jobs_failed: u64,
}

/// How many compaction jobs Arc has done since it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobCounts {
    completed: u64,
    failed: u64,
}

/// Whether Arc compacts, by its own answer.
#[derive(Debug)]
pub(crate) enum CompactionStatus {
    /// No job runs; so many have run.
    Idle(JobCounts),
    /// A job runs.
    Active,
    /// Compaction is disabled.
    Disabled,
    /// Arc did not say.
    Unknown(ArcError),
    /// Nobody listens at Arc's address.
    Unreachable(ArcError),
}

impl CompactionStatus {
    /// Whether Arc says that no job runs.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self, Self::Idle(_) | Self::Disabled)
    }

    /// Whether an answer came, and so Arc runs.
    pub(crate) fn is_answer(&self) -> bool {
        match self {
            Self::Idle(_) | Self::Active | Self::Disabled => true,
            Self::Unknown(error) => error.is_answer(),
            Self::Unreachable(_) => false,
        }
    }
}

impl From<Stats> for CompactionStatus {
    fn from(stats: Stats) -> Self {
        match stats.cycle_running {
            true => Self::Active,
            false => Self::Idle(JobCounts {
                completed: stats.total_jobs_completed,
                failed: stats.total_jobs_failed,
            }),
        }
    }
}

impl From<ArcError> for CompactionStatus {
    fn from(error: ArcError) -> Self {
        match error {
            // An Arc whose compaction is disabled has no such path.
            ArcError::NoSuchPath { status: 404, .. } => Self::Disabled,
            error @ ArcError::Refused { .. } => Self::Unreachable(error),
            error => Self::Unknown(error),
        }
    }
}
