//! An operation, as the status and the history show it.

use serde::{Deserialize, Serialize};

use crate::backup_type::BackupType;
use crate::manifest::DamagedFile;
use crate::operations::{
    DataSelection, OperationKind, Origin, Phase, Problem, RestoreInProgress, RestorePlan, Status,
};
use crate::repository::BackupState;

/// The maximum number of warnings that are listed.
const WARNING_LIMIT: usize = 100;

/// A backup, restore, verification or deletion, running or ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Operation {
    /// What kind of operation it is.
    pub operation: OperationKind,
    /// Its own id.
    pub operation_id: String,
    /// The backup that is made or read.
    pub backup_id: String,
    /// Its status.
    pub status: Status,
    /// The target that holds the backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Of a backup over several targets: all that hold a leg of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Backup and restore: the databases that it is limited to, sorted; empty if it is not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// Restore and verify: the part of the data that it is limited to; absent if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<DataSelection>,
    /// Backup: whether files of an earlier backup were reused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_type: Option<BackupType>,
    /// Backup: the earlier backup whose unchanged files were reused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_backup_id: Option<String>,
    /// The schedule that it runs for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Copy: the target that the backup is copied to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_target: Option<String>,
    /// Undo: the operation that is taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// Restore that makes a new instance: the folder, or the storage of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_to: Option<String>,
    /// Export and import: the archive. Extraction: the folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Copy and import: true where the target held the backup already, so that nothing was copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<bool>,
    /// Delete and prune: files that were removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freed_files: Option<u64>,
    /// Their bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freed_bytes: Option<u64>,
    /// Delete and prune: files of the deleted backups that stay, as other backups need them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retained_files: Option<u64>,
    /// Their bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retained_bytes: Option<u64>,
    /// Prune: the backups that were deleted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deleted_backups: Vec<String>,
    /// Its phase: `listing`, `copying`, `applying`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Files to go through; grows until everything is listed.
    pub total_files: u64,
    /// Files done.
    pub processed_files: u64,
    /// Always 0: a file that cannot be stored fails the operation.
    pub skipped_files: u64,
    /// Bytes to go through.
    pub total_bytes: u64,
    /// Bytes done.
    pub processed_bytes: u64,
    /// Bytes per second so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Seconds that remain at that rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<u64>,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Why it failed, or who cancelled it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The name of the token, or the user on the command line.
    pub actor: String,
    /// The interface that it was requested on.
    pub origin: Origin,
    /// The problems, by file; at most 10,000.
    pub problems: Vec<Problem>,
    /// The number of all problems.
    pub problem_count: u64,
    /// Warnings for the operator.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the configuration names and the backup does not hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_included: Vec<String>,
    /// Backup: whether Arc flushed its buffers before its files were listed; absent if
    /// `backup.arc_url` is not set and Arc does not seem to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flushed: Option<bool>,
    /// Links, FIFOs, sockets and devices that the backup does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special_files: Option<u64>,
    /// The first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub special_sample: Vec<String>,
    /// Parquet files that were damaged in the source already. The backup has them as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damaged_files: Option<u64>,
    /// The first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged_sample: Vec<DamagedFile>,
    /// Files with unsupported names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unaddressable_files: Option<u64>,
    /// The first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unaddressable_sample: Vec<String>,
    /// Backup: reused files of the base, or of an interrupted backup. Restore: reused staged files
    /// of an interrupted restore of the same backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reused_files: Option<u64>,
    /// Their bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reused_bytes: Option<u64>,
    /// Backup: the location of the incomplete copy, for emergencies. It holds the readable files if
    /// others could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete_copy: Option<String>,
    /// Restore and verify: whether the backup has checksums; false for a backup that
    /// Arc before 27.01 made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_checksums: Option<bool>,
    /// Backup and verify: the state of the backup afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_state: Option<BackupState>,
    /// Verification of a sample: the size of the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// Restore: the planned changes; absent until the plan is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<RestorePlan>,
    /// Restore: live files that were already the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchanged_files: Option<u64>,
    /// Restore: files that have moved to the cold tier since the backup, and stayed there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold_files_skipped_already_cold: Option<u64>,
    /// Backup: files of the cold tier that it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold_files_excluded: Option<u64>,
    /// Restore: live files that were set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside_files: Option<u64>,
    /// Restore: where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside_location: Option<String>,
    /// Restore: files that Arc wrote during it; they stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub appeared_files: Option<u64>,
    /// Restore of a backup that Arc made during a compaction: inputs of jobs that are not restored,
    /// as their output has the same rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumed_inputs_skipped: Option<u64>,
    /// Restore: the locations of replaced files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// Restore: whether Arc must be restarted to use the restored files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_required: Option<bool>,
    /// In the status only: a restore that was interrupted while it changed live data, and that is
    /// not completed yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_in_progress: Option<RestoreInProgress>,
    /// In the status only: the other operations that run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_running: Vec<AlsoRunning>,
}

/// An operation that runs beside the one that the status shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlsoRunning {
    /// Its kind.
    pub operation: OperationKind,
    /// Its id.
    pub operation_id: String,
}

/// The whole of which a sample reads a part. The operation's own counts are those of the part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The requested share: 0.05 for a twentieth.
    pub share: f64,
    /// The number of files in the backup.
    pub of_files: u64,
    /// Their bytes.
    pub of_bytes: u64,
    /// The share that the samples of this round have read, this one included; 1 at the end of a
    /// round. Absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covered: Option<f64>,
}

impl Operation {
    /// Adds a warning, once. Warnings past the limit are only counted.
    pub(crate) fn add_warning(&mut self, text: String) {
        if self.warnings.contains(&text) {
            return;
        }
        let more = |count: u64| format!("and {count} more warnings");
        let counted = self.warnings.get(WARNING_LIMIT).map_or(0, |last| {
            let digits = last.trim_matches(|c: char| !c.is_ascii_digit());
            digits.parse().unwrap_or(0)
        });
        self.warnings.truncate(WARNING_LIMIT);
        self.warnings.push(match self.warnings.len() {
            0..WARNING_LIMIT => text,
            _ => more(counted + 1),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a status of gigabytes when each of a million files has a warning.
    #[test]
    fn warnings_are_bounded() {
        let mut operation = Operation::default();
        for number in 0..250 {
            operation.add_warning(format!("file {number}"));
            operation.add_warning("file 0".to_owned());
        }
        assert_eq!(operation.warnings.len(), WARNING_LIMIT + 1);
        assert_eq!(operation.warnings[WARNING_LIMIT], "and 150 more warnings");
    }
}
