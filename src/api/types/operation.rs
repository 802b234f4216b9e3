//! An operation, as the status and the history show it.

use poem_openapi::{Enum, Object};

use super::damaged_file::DamagedFile;
use super::data_scope::SelectedData;
use super::restore::RestorePlan;
use super::restore_in_progress::RestoreInProgress;
use super::state::BackupState;
use crate::operations;

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub(in crate::api) struct Problem {
    /// Its path as in the inventory: `data/…`, `metadata/arc.db`. Prune: the backup's id.
    pub(in crate::api) path: String,
    /// `missing`, `size`, `checksum`, `manifest`, `inventory`, `unexpected`, `unreadable`,
    /// `write` or `delete`.
    pub(in crate::api) kind: String,
    /// What is wrong, for people.
    pub(in crate::api) detail: String,
}

impl From<operations::Problem> for Problem {
    fn from(problem: operations::Problem) -> Self {
        let operations::Problem { path, kind, detail } = problem;
        Self {
            path,
            kind: kind.to_string(),
            detail,
        }
    }
}

/// The status of an operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(in crate::api) enum Status {
    /// It runs.
    #[default]
    Running,
    /// It did all it was asked to.
    Completed,
    /// It did not; `error` says why.
    Failed,
    /// A cancel or a signal to its process ended it; `error` says whose.
    Cancelled,
}

impl From<operations::Status> for Status {
    fn from(status: operations::Status) -> Self {
        match status {
            operations::Status::Running => Self::Running,
            operations::Status::Completed => Self::Completed,
            operations::Status::Failed => Self::Failed,
            operations::Status::Cancelled => Self::Cancelled,
        }
    }
}

/// A backup, restore, verification or deletion that runs or has ended.
#[derive(Debug, Clone, Default, PartialEq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct Operation {
    /// `backup`, `restore`, `verify`, `delete`, `copy`, `prune` or `undo`; `unknown` where its
    /// entry in the history cannot be read.
    pub(in crate::api) operation: String,
    /// Its own id.
    pub(in crate::api) operation_id: String,
    /// The backup that is made, read or deleted; empty of a prune, which is over many.
    pub(in crate::api) backup_id: String,
    /// Whether it runs, and how it ended.
    pub(in crate::api) status: Status,
    /// The target that holds the backup.
    pub(in crate::api) target: Option<String>,
    /// Of a backup over several targets: all that hold a leg of it.
    pub(in crate::api) targets: Option<Vec<String>>,
    /// Backup and restore: the databases that it is limited to, sorted; absent where it is not.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) scope: Vec<String>,
    /// Restore and verify: the part of the data that it is limited to; absent where it is not.
    pub(in crate::api) selection: Option<SelectedData>,
    /// Backup: `full`, or `incremental` where files of an earlier backup were reused.
    pub(in crate::api) backup_type: Option<String>,
    /// Backup: the earlier backup whose unchanged files were reused.
    pub(in crate::api) base_backup_id: Option<String>,
    /// The schedule that it runs for.
    pub(in crate::api) schedule: Option<String>,
    /// Copy: the target that the backup is copied to.
    pub(in crate::api) to_target: Option<String>,
    /// Undo: the operation that is taken back.
    pub(in crate::api) undoes: Option<String>,
    /// Restore that makes a new instance: the folder, or the storage of the configuration.
    pub(in crate::api) restored_to: Option<String>,
    /// Export and import: the archive. Extraction: the folder.
    pub(in crate::api) file: Option<String>,
    /// Copy and import: true where the target held the backup already, so that nothing was copied.
    pub(in crate::api) unchanged: Option<bool>,
    /// Delete and prune: files that were removed.
    pub(in crate::api) freed_files: Option<u64>,
    /// Their bytes.
    pub(in crate::api) freed_bytes: Option<u64>,
    /// Delete and prune: files of the deleted backups that stay, as other backups need them.
    pub(in crate::api) retained_files: Option<u64>,
    /// Their bytes.
    pub(in crate::api) retained_bytes: Option<u64>,
    /// Prune: the backups that were deleted.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) deleted_backups: Vec<String>,
    /// What it is doing: `listing`, `copying`, `applying`, …
    pub(in crate::api) phase: Option<String>,
    /// Files to process; grows until everything is listed.
    pub(in crate::api) total_files: u64,
    /// Files processed.
    pub(in crate::api) processed_files: u64,
    /// Always 0: a file that can't be stored fails the operation.
    pub(in crate::api) skipped_files: u64,
    /// Bytes to process.
    pub(in crate::api) total_bytes: u64,
    /// Bytes processed.
    pub(in crate::api) processed_bytes: u64,
    /// Bytes per second so far.
    pub(in crate::api) bytes_per_second: Option<u64>,
    /// Seconds that remain at that rate.
    pub(in crate::api) eta_seconds: Option<u64>,
    /// When it began, RFC 3339.
    pub(in crate::api) started_at: String,
    /// When it ended.
    pub(in crate::api) completed_at: Option<String>,
    /// Why it failed, or who cancelled it.
    pub(in crate::api) error: Option<String>,
    /// The name of the token that asked for it, or the user on the command line.
    pub(in crate::api) actor: String,
    /// `rest`, `cli` or `schedule`.
    pub(in crate::api) origin: String,
    /// What is wrong, file by file; at most 10,000.
    #[oai(default)]
    pub(in crate::api) problems: Vec<Problem>,
    /// How many problems there are.
    #[oai(default)]
    pub(in crate::api) problem_count: u64,
    /// What the operator should know.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) warnings: Vec<String>,
    /// What the configuration names and the backup does not hold.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) not_included: Vec<String>,
    /// Backup: whether Arc wrote its memory to files before these were listed. Absent where
    /// `backup.arc_url` is not set and Arc is not seen to run.
    pub(in crate::api) flushed: Option<bool>,
    /// Links, FIFOs, sockets and devices that the backup does not hold.
    pub(in crate::api) special_files: Option<u64>,
    /// The first of them.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) special_sample: Vec<String>,
    /// Parquet files that were damaged in the source already. The backup has them as they are.
    pub(in crate::api) damaged_files: Option<u64>,
    /// The first of them.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) damaged_sample: Vec<DamagedFile>,
    /// Files with unsupported names, which the backup does not hold.
    pub(in crate::api) unaddressable_files: Option<u64>,
    /// The first of them.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) unaddressable_sample: Vec<String>,
    /// Backup: files that an interrupted backup, or the base of an incremental one, had stored
    /// already. Restore: files that an
    /// interrupted restore of the same backup had staged.
    pub(in crate::api) reused_files: Option<u64>,
    /// Their bytes.
    pub(in crate::api) reused_bytes: Option<u64>,
    /// Backup: where the incomplete copy is, made for emergencies because files could not be read.
    pub(in crate::api) incomplete_copy: Option<String>,
    /// Restore and verify: whether the backup has checksums: false for one that Arc before
    /// 27.01 made.
    pub(in crate::api) has_checksums: Option<bool>,
    /// Backup and verify: the state of the backup afterwards.
    pub(in crate::api) backup_state: Option<BackupState>,
    /// Verification of a sample: what it is a sample of.
    pub(in crate::api) sample: Option<SampleOf>,
    /// Restore: what it changes, by its plan; absent until that is made.
    pub(in crate::api) plan: Option<RestorePlan>,
    /// Restore: live files that were the same already.
    pub(in crate::api) unchanged_files: Option<u64>,
    /// Restore: files that have moved to the cold tier since the backup, and stayed there.
    pub(in crate::api) cold_files_skipped_already_cold: Option<u64>,
    /// Backup: files of the cold tier that it does not hold.
    pub(in crate::api) cold_files_excluded: Option<u64>,
    /// Restore: live files that were set aside.
    pub(in crate::api) set_aside_files: Option<u64>,
    /// Restore: where to.
    pub(in crate::api) set_aside_location: Option<String>,
    /// Restore: files that Arc wrote during the restore, which stay.
    pub(in crate::api) appeared_files: Option<u64>,
    /// Restore of a backup that Arc made during a compaction: inputs of jobs that are not restored,
    /// as their output has the same rows.
    pub(in crate::api) consumed_inputs_skipped: Option<u64>,
    /// Restore: where earlier files are kept.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) kept: Vec<String>,
    /// Restore: whether Arc must be restarted to see all of it.
    pub(in crate::api) restart_required: Option<bool>,
    /// In the status only: a restore that was interrupted while it changed live data, and has not
    /// been completed.
    pub(in crate::api) restore_in_progress: Option<RestoreInProgress>,
    /// In the status only: the other operations that run.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) also_running: Vec<AlsoRunning>,
}

/// An operation that runs beside the one that the status shows.
#[derive(Debug, Clone, Default, PartialEq, Object)]
pub(in crate::api) struct AlsoRunning {
    /// Its kind.
    pub(in crate::api) operation: String,
    /// Its id.
    pub(in crate::api) operation_id: String,
}

impl From<operations::Operation> for Operation {
    fn from(operation: operations::Operation) -> Self {
        let operations::Operation {
            operation,
            operation_id,
            backup_id,
            status,
            target,
            targets,
            scope,
            selection,
            backup_type,
            base_backup_id,
            schedule,
            to_target,
            file,
            undoes,
            restored_to,
            unchanged,
            freed_files,
            freed_bytes,
            retained_files,
            retained_bytes,
            deleted_backups,
            phase,
            total_files,
            processed_files,
            skipped_files,
            total_bytes,
            processed_bytes,
            bytes_per_second,
            eta_seconds,
            started_at,
            completed_at,
            error,
            actor,
            origin,
            problems,
            problem_count,
            warnings,
            not_included,
            flushed,
            special_files,
            special_sample,
            damaged_files,
            damaged_sample,
            unaddressable_files,
            unaddressable_sample,
            reused_files,
            reused_bytes,
            incomplete_copy,
            has_checksums,
            backup_state,
            sample,
            plan,
            unchanged_files,
            cold_files_skipped_already_cold,
            cold_files_excluded,
            set_aside_files,
            set_aside_location,
            appeared_files,
            consumed_inputs_skipped,
            kept,
            restart_required,
            restore_in_progress,
            also_running,
        } = operation;
        Self {
            operation: operation.to_string(),
            operation_id,
            backup_id,
            status: status.into(),
            target,
            targets: (!targets.is_empty()).then_some(targets),
            scope,
            selection: selection.map(Into::into),
            backup_type: backup_type.map(|kind| kind.as_str().to_owned()),
            base_backup_id,
            schedule,
            to_target,
            file,
            undoes,
            restored_to,
            unchanged,
            freed_files,
            freed_bytes,
            retained_files,
            retained_bytes,
            deleted_backups,
            phase: phase.map(|phase| phase.to_string()),
            total_files,
            processed_files,
            skipped_files,
            total_bytes,
            processed_bytes,
            bytes_per_second,
            eta_seconds,
            started_at,
            completed_at,
            error,
            actor,
            origin: origin.to_string(),
            problems: problems.into_iter().map(Into::into).collect(),
            problem_count,
            warnings,
            not_included,
            flushed,
            special_files,
            special_sample,
            damaged_files,
            damaged_sample: damaged_sample.into_iter().map(Into::into).collect(),
            unaddressable_files,
            unaddressable_sample,
            reused_files,
            reused_bytes,
            incomplete_copy,
            has_checksums,
            backup_state: backup_state.map(Into::into),
            sample: sample.map(Into::into),
            plan: plan.map(Into::into),
            unchanged_files,
            cold_files_skipped_already_cold,
            cold_files_excluded,
            set_aside_files,
            set_aside_location,
            appeared_files,
            consumed_inputs_skipped,
            kept,
            restart_required,
            restore_in_progress: restore_in_progress.map(Into::into),
            also_running: (also_running.into_iter())
                .map(|one| AlsoRunning {
                    operation: one.operation.to_string(),
                    operation_id: one.operation_id,
                })
                .collect(),
        }
    }
}

/// What a sample is a sample of. The figures of the operation count only the files of the sample.
#[derive(Debug, Clone, Default, PartialEq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct SampleOf {
    /// The share that was asked for: 0.05 for a twentieth.
    pub(in crate::api) share: f64,
    /// How many files the backup has.
    pub(in crate::api) of_files: u64,
    /// Their bytes.
    pub(in crate::api) of_bytes: u64,
    /// The share of the backup that all samples of this round have read, this one included; 1 when
    /// all. Absent while it runs.
    pub(in crate::api) covered: Option<f64>,
}

impl From<operations::Sample> for SampleOf {
    fn from(sample: operations::Sample) -> Self {
        let operations::Sample {
            share,
            of_files,
            of_bytes,
            covered,
        } = sample;
        Self {
            share,
            of_files,
            of_bytes,
            covered,
        }
    }
}

/// Operations, newest first.
#[derive(Debug, Object)]
pub(in crate::api) struct OperationsBody {
    /// The operations.
    pub(in crate::api) operations: Vec<Operation>,
    /// How many are on this page.
    pub(in crate::api) count: u64,
    /// How many there are on all pages.
    pub(in crate::api) total: u64,
}
