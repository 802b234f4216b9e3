//! The answer to a request for the list of backups.

use crate::operations::legs::grouping::IncompleteRun;
use crate::repository::{Damaged, Incomplete, Summary, Unreadable};

/// A target that cannot be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetError {
    /// The target's name.
    pub target: String,
    /// The reason.
    pub detail: String,
}

/// The backups of all targets.
#[derive(Debug, Clone, Default)]
pub struct ListAnswer {
    /// The backups, newest first.
    pub backups: Vec<Summary>,
    /// Damaged backups.
    pub damaged: Vec<Damaged>,
    /// Backups that cannot be read now.
    pub unreadable: Vec<Unreadable>,
    /// Incomplete copies, newest first; `None` if they were not requested.
    pub incomplete: Option<Vec<Incomplete>>,
    /// Backups over several targets of which a leg is missing, newest first.
    pub incomplete_runs: Vec<IncompleteRun>,
    /// Targets that cannot be listed.
    pub errors: Vec<TargetError>,
    /// Their names, and those of targets that hold legs and are not configured here.
    pub unreachable_targets: Vec<String>,
    /// How many backups of other instances a filter has hidden.
    pub foreign_backups: u64,
    /// Where the next page begins; `None` on the last page.
    pub next: Option<String>,
}
