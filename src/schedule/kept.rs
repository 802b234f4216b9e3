//! What is kept of a schedule across restarts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is kept of all schedules, by their names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KeptSchedules {
    /// Each of them.
    pub(crate) schedules: BTreeMap<String, Kept>,
}

/// What is kept of one schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// When this schedule was first seen.
    pub(crate) since: Timestamp,
    /// Its expression then; with another one it begins afresh.
    pub(crate) cron: String,
    /// Its time zone.
    pub(crate) timezone: String,
    /// Whether it was paused when it was last looked at.
    #[serde(default)]
    pub(crate) paused: bool,
    /// What was scheduled until this moment has run, or never will.
    pub(crate) decided_until: Timestamp,
    /// The run that begins now: the engine has not answered yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) beginning: Option<Beginning>,
    /// The run that began last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_run: Option<LastRun>,
    /// The run that waits. For those who look: a restart finds it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waiting: Option<Waiting>,
    /// Runs that never will be.
    #[serde(default)]
    pub(crate) missed: MissedRuns,
    /// Copies that are still to be made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) copies: Vec<PendingCopy>,
    /// What follows the copies of the last backup, while it is not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<After>,
    /// The run that the end of the service cut off, and that was made up: that is done once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cut_off: Option<Timestamp>,
    /// When the schedule was removed from the configuration, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) removed_at: Option<Timestamp>,
}

/// The verification of a backup, its rehearsal, and the pruning of the targets that hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct After {
    pub(crate) backup_id: String,
    /// The target that holds it; `None` where several hold a leg of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    pub(crate) targets: Vec<String>,
}

/// A run that begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Beginning {
    pub(crate) scheduled_at: Timestamp,
    pub(crate) at: Timestamp,
    /// `decided_until` before, for the case that it does not begin.
    pub(crate) decided_before: Timestamp,
}

/// A run that began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LastRun {
    pub(crate) scheduled_at: Timestamp,
    pub(crate) started_at: Timestamp,
    /// Empty where it did not come so far: then `error` says why.
    pub(crate) operation_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// Whether the service has seen its end.
    #[serde(default = "ended")]
    pub(crate) has_ended: bool,
}

fn ended() -> bool {
    true
}

/// A run that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) scheduled_at: Timestamp,
    pub(crate) since: Timestamp,
    pub(crate) attempts: u32,
    pub(crate) retry_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Runs that were scheduled and never will be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct MissedRuns {
    /// How many.
    pub(crate) count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<MissedRun>,
}

/// A run that never will be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct MissedRun {
    pub(crate) scheduled_at: Timestamp,
    pub(crate) reason: String,
}

/// A copy that is still to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PendingCopy {
    pub(crate) backup_id: String,
    /// The target that holds the backup; `None` where several hold a leg of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    pub(crate) to: String,
    pub(crate) attempts: u32,
    pub(crate) retry_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}
