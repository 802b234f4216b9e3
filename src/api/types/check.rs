//! The report of the check, for monitoring.

use poem_openapi::{Enum, Object};

use crate::check;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Object)]
pub(crate) struct CheckReport {
    /// `ok` or `critical`.
    pub(in crate::api) status: CheckStatus,
    /// Whether the status is `ok`.
    pub(in crate::api) ok: bool,
    /// All of it in one line, the worst first: what the command prints.
    pub(in crate::api) line: String,
    /// When it was checked, RFC 3339, UTC.
    pub(in crate::api) checked_at: String,
    /// What is wrong and belongs to no target: a restore that was interrupted, schedules
    /// that are overdue.
    pub(in crate::api) faults: Vec<String>,
    /// Each target.
    pub(in crate::api) targets: Vec<TargetCheck>,
}

impl From<check::CheckReport> for CheckReport {
    fn from(report: check::CheckReport) -> Self {
        let check::CheckReport {
            status,
            ok,
            line,
            checked_at,
            faults,
            targets,
        } = report;
        Self {
            status: status.into(),
            ok,
            line,
            checked_at,
            faults,
            targets: targets.into_iter().map(Into::into).collect(),
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(in crate::api) enum CheckStatus {
    /// The backups are as they should be.
    Ok,
    /// Something is wrong.
    Critical,
}

impl From<check::CheckStatus> for CheckStatus {
    fn from(status: check::CheckStatus) -> Self {
        match status {
            check::CheckStatus::Ok => Self::Ok,
            check::CheckStatus::Critical => Self::Critical,
        }
    }
}

/// What a check found of one target.
#[derive(Debug, Clone, PartialEq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct TargetCheck {
    /// Its name.
    pub(in crate::api) target: String,
    /// `ok` or `critical`.
    pub(in crate::api) status: CheckStatus,
    /// Whether the status is `ok`.
    pub(in crate::api) ok: bool,
    /// What was found, for people.
    pub(in crate::api) detail: String,
    /// What is wrong, each for people.
    pub(in crate::api) faults: Vec<String>,
    /// How many good backups it holds: of all databases, readable, and not known to be damaged.
    pub(in crate::api) backups: u64,
    /// The newest of them.
    pub(in crate::api) newest: Option<String>,
    /// When that began, RFC 3339, UTC.
    pub(in crate::api) newest_at: Option<String>,
    /// Its age in seconds.
    pub(in crate::api) age_seconds: Option<u64>,
    /// When a verification last read a backup of this target and found nothing wrong, RFC 3339,
    /// UTC.
    pub(in crate::api) last_verified_at: Option<String>,
}

impl From<check::TargetCheck> for TargetCheck {
    fn from(check: check::TargetCheck) -> Self {
        let check::TargetCheck {
            target,
            status,
            ok,
            detail,
            faults,
            backups,
            newest,
            newest_at,
            age_seconds,
            last_verified_at,
        } = check;
        Self {
            target,
            status: status.into(),
            ok,
            detail,
            faults,
            backups,
            newest,
            newest_at,
            age_seconds,
            last_verified_at,
        }
    }
}
