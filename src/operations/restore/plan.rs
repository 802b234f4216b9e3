//! How many files and bytes a restore would change, by the plans of the sources.

use arc_backup_core::RestoreSummary;
use serde::{Deserialize, Serialize};

use crate::operations::ExtraFilesPolicy;

/// What a restore changes, by its plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestorePlan {
    /// Files that are live already, the same as in the backup, and stay.
    pub unchanged_files: u64,
    /// Files that are written.
    pub written_files: u64,
    /// How many of these replace a live file, which is kept aside.
    pub replaced_files: u64,
    /// Live files that the backup does not hold.
    pub extra_files: u64,
    /// What becomes of those.
    pub extra_files_policy: ExtraFilesPolicy,
    /// Bytes that are written.
    pub bytes_to_write: u64,
    /// Files that have moved to the cold tier since the backup: they stay there, and are not
    /// written.
    pub cold_files_skipped_already_cold: u64,
    /// What the operator should know before it begins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl RestorePlan {
    pub(crate) fn new(extra_files_policy: ExtraFilesPolicy) -> Self {
        Self {
            extra_files_policy,
            ..Self::default()
        }
    }

    /// Adds the plan of one source.
    pub(crate) fn add(&mut self, summary: &RestoreSummary) {
        self.unchanged_files += summary.unchanged_files;
        self.written_files += summary.needed_files;
        self.replaced_files += summary.replaced_files;
        self.extra_files += summary.extra_files;
        self.bytes_to_write = self.bytes_to_write.saturating_add(summary.needed_bytes);
        self.cold_files_skipped_already_cold += summary.cold_files_skipped_already_cold;
        self.warnings.extend(summary.warnings.iter().cloned());
    }
}
