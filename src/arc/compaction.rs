//! Whether a running Arc compacts.

use serde::Deserialize;
use serde_json::Value;

use super::error::ArcError;

/// The body of an answer to `/api/v1/compaction/stats`.
#[derive(Debug, Deserialize)]
pub(super) struct Stats {
    cycle_running: bool,
    /// Since Arc 27.01: the jobs that run, as a number or a list. Jobs that were begun run to their
    /// end while compaction is paused.
    #[serde(default)]
    active_jobs: Value,
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

impl Stats {
    /// Whether a job runs.
    fn is_active(&self) -> bool {
        let has_jobs = match &self.active_jobs {
            Value::Number(count) => count.as_f64().is_some_and(|count| count > 0.0),
            Value::Array(jobs) => !jobs.is_empty(),
            Value::Object(jobs) => !jobs.is_empty(),
            _ => false,
        };
        self.cycle_running || has_jobs
    }
}

impl From<Stats> for CompactionStatus {
    fn from(stats: Stats) -> Self {
        match stats.is_active() {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a restore into the files of a job that a paused Arc 27.01 still runs.
    #[test]
    fn jobs_run_whether_a_cycle_does_or_not() {
        for (answer, is_idle) in [
            (r#"{"cycle_running": false}"#, true),
            (r#"{"cycle_running": true}"#, false),
            (
                r#"{"cycle_running": false, "paused": true, "active_jobs": 0}"#,
                true,
            ),
            (
                r#"{"cycle_running": false, "paused": true, "active_jobs": 1}"#,
                false,
            ),
            (r#"{"cycle_running": false, "active_jobs": []}"#, true),
            (
                r#"{"cycle_running": false, "active_jobs": [{"id": "x"}]}"#,
                false,
            ),
            (r#"{"cycle_running": false, "active_jobs": null}"#, true),
        ] {
            let stats: Stats = serde_json::from_str(answer).expect(answer);
            assert_eq!(CompactionStatus::from(stats).is_idle(), is_idle, "{answer}");
        }
    }
}
