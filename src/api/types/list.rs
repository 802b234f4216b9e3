//! The list of backups.

use jiff::Timestamp;
use poem_openapi::{Enum, Object};

use super::labels::BackupPin;
use super::state::BackupState;
use super::verification::LastVerified;
use crate::operations::{self, ListAnswer};
use crate::repository;

/// The backups of all targets, newest first.
#[derive(Debug, Object)]
pub(crate) struct BackupList {
    /// The backups.
    pub(in crate::api) backups: Vec<Summary>,
    /// How many.
    pub(in crate::api) count: u64,
    /// Folders that have the name of a backup and are not one.
    pub(in crate::api) damaged: Vec<Damaged>,
    /// Backups that can't be read now. They may be sound.
    pub(in crate::api) unreadable: Vec<Unreadable>,
    /// With `all`: incomplete copies of sources with files that could not be read, newest first.
    #[oai(skip_serializing_if_is_none)]
    pub(in crate::api) incomplete: Option<Vec<Incomplete>>,
    /// Backups over several targets of which a leg is missing although its target answers, newest
    /// first. They can't be restored.
    pub(in crate::api) incomplete_runs: Vec<IncompleteRun>,
    /// Targets that can't be listed.
    pub(in crate::api) errors: Vec<TargetError>,
    /// Their names, and those of targets that hold legs and are not configured here.
    pub(in crate::api) unreachable_targets: Vec<String>,
    /// How many backups of other instances are hidden: `include_foreign` shows them. Absent where
    /// none is.
    #[oai(skip_serializing_if_is_none)]
    pub(in crate::api) foreign_backups: Option<u64>,
    /// The `start_after` of the next page; absent on the last.
    #[oai(skip_serializing_if_is_none)]
    pub(in crate::api) next: Option<String>,
}

impl From<ListAnswer> for BackupList {
    fn from(answer: ListAnswer) -> Self {
        let ListAnswer {
            backups,
            damaged,
            unreadable,
            incomplete,
            incomplete_runs,
            errors,
            unreachable_targets,
            foreign_backups,
            next,
        } = answer;
        Self {
            count: backups.len() as u64,
            backups: backups.into_iter().map(Into::into).collect(),
            damaged: damaged.into_iter().map(Into::into).collect(),
            unreadable: unreadable.into_iter().map(Into::into).collect(),
            incomplete: incomplete.map(|copies| copies.into_iter().map(Into::into).collect()),
            incomplete_runs: incomplete_runs.into_iter().map(Into::into).collect(),
            errors: errors.into_iter().map(Into::into).collect(),
            unreachable_targets,
            foreign_backups: Some(foreign_backups).filter(|count| *count > 0),
            next,
        }
    }
}

/// One backup of a list.
#[derive(Debug, Clone, PartialEq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct Summary {
    /// The backup's id.
    pub(in crate::api) backup_id: String,
    /// When the backup began, RFC 3339, UTC.
    pub(in crate::api) created_at: String,
    /// `full`, or `incremental` where unchanged files are those of an earlier backup.
    pub(in crate::api) backup_type: String,
    /// The earlier backup whose unchanged files an incremental one reused.
    pub(in crate::api) base_backup_id: Option<String>,
    /// The schedule that it was made for; absent where it was made for none.
    pub(in crate::api) schedule: Option<String>,
    /// Parquet files of databases.
    pub(in crate::api) total_files: u64,
    /// Their size in bytes.
    pub(in crate::api) total_size_bytes: u64,
    /// Their rows, of those whose rows are known; absent where those of none are.
    pub(in crate::api) total_rows: Option<u64>,
    /// Those of them whose rows are not known; absent where there are none.
    pub(in crate::api) files_without_rows: Option<u64>,
    /// Parquet files that were damaged in the source already; absent where there were none. The
    /// backup has them as they are.
    pub(in crate::api) damaged_files: Option<u64>,
    /// How many databases.
    pub(in crate::api) database_count: u64,
    /// The databases that were asked for, sorted; absent where it has all of them.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) scope: Vec<String>,
    /// The target that holds it; of a backup over several targets, the default one.
    pub(in crate::api) target: String,
    /// All targets that hold it, or a leg of it.
    pub(in crate::api) targets: Vec<String>,
    /// Whether legs of it could not be read: then the figures are those of the others.
    pub(in crate::api) partial_view: bool,
    /// The instance that made it: a random name. Absent in a backup that Arc made.
    pub(in crate::api) instance: Option<String>,
    /// The instance that made it, as Arc 27.01 names it: `cluster.name`, or a UUID. Absent in
    /// backups of earlier releases.
    pub(in crate::api) owner_instance_id: Option<String>,
    /// Where its data came from: the kind of storage, and the path or URL without credentials.
    pub(in crate::api) source_location: Option<String>,
    /// Files with unsupported names, which the backup does not hold; absent where there are none.
    pub(in crate::api) unaddressable_files: Option<u64>,
    /// By Arc: files that it skipped, and the backup does not hold.
    pub(in crate::api) skipped_files: Option<u64>,
    /// By Arc: Iceberg metadata files that it skipped.
    pub(in crate::api) skipped_metadata_files: Option<u64>,
    /// What is known of it: `ok`, `unverified` or `damaged`.
    pub(in crate::api) state: BackupState,
    /// Whether it has checksums: false for a backup that Arc before 27.01 made.
    pub(in crate::api) has_checksums: bool,
    /// All its files, databases and configuration included; absent in a backup that Arc made.
    pub(in crate::api) files: Option<u64>,
    /// Their size in bytes.
    pub(in crate::api) bytes: Option<u64>,
    /// The bytes that this backup itself stored: all of them, less those that it reused of an
    /// earlier backup.
    pub(in crate::api) new_bytes: u64,
    /// Its labels, sorted.
    pub(in crate::api) labels: Vec<String>,
    /// A note for people; absent where it has none.
    pub(in crate::api) note: Option<String>,
    /// Whether a pin keeps it.
    pub(in crate::api) locked: bool,
    /// That pin; absent where none keeps it.
    pub(in crate::api) pin: Option<BackupPin>,
    /// When it was last verified, and with what result; absent when it never was.
    pub(in crate::api) last_verified: Option<LastVerified>,
    /// When every byte of it was last read, where that was not the last verification.
    pub(in crate::api) last_full: Option<LastVerified>,
    /// The verification that found a damaged backup's fault, where that was not the last one.
    pub(in crate::api) last_failed: Option<LastVerified>,
    /// When a restore of it was last rehearsed, and with what result; absent when it never was.
    pub(in crate::api) last_rehearsed: Option<LastVerified>,
}

impl From<repository::Summary> for Summary {
    fn from(summary: repository::Summary) -> Self {
        let locked = summary.is_locked(Timestamp::now());
        let repository::Summary {
            backup_id,
            created_at,
            backup_type,
            base_backup_id,
            schedule,
            total_files,
            total_size_bytes,
            total_rows,
            files_without_rows,
            damaged_files,
            database_count,
            scope,
            omitted: _,
            target,
            targets,
            partial_view,
            leg: _,
            instance,
            owner_instance_id,
            is_foreign: _,
            source_location,
            unaddressable_files,
            skipped,
            state,
            note_unreadable: _,
            has_checksums,
            files,
            bytes,
            new_bytes,
            labels,
            note,
            pin,
            last_verified,
            last_full,
            last_failed,
            last_rehearsed,
        } = summary;
        let unless_none = |count: u64| Some(count).filter(|count| *count > 0);
        Self {
            backup_id,
            created_at,
            backup_type,
            base_backup_id,
            schedule,
            total_files,
            total_size_bytes,
            total_rows,
            files_without_rows: unless_none(files_without_rows),
            damaged_files: unless_none(damaged_files),
            database_count,
            scope,
            target,
            targets,
            partial_view,
            instance,
            owner_instance_id,
            source_location,
            unaddressable_files: unless_none(unaddressable_files),
            skipped_files: unless_none(skipped.files),
            skipped_metadata_files: unless_none(skipped.metadata_files),
            state: state.into(),
            has_checksums,
            files,
            bytes,
            new_bytes,
            labels,
            note,
            locked,
            pin: pin.filter(|_| locked).map(Into::into),
            last_verified: last_verified.map(Into::into),
            last_full: last_full.map(Into::into),
            last_failed: last_failed.map(Into::into),
            last_rehearsed: last_rehearsed.map(Into::into),
        }
    }
}

/// A folder that has the name of a backup and is not one.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub(in crate::api) struct Damaged {
    /// The folder's name.
    pub(in crate::api) backup_id: String,
    /// The target that holds it.
    pub(in crate::api) target: String,
    /// Always `damaged`.
    pub(in crate::api) state: BackupState,
    /// What is wrong.
    pub(in crate::api) detail: String,
}

impl From<repository::Damaged> for Damaged {
    fn from(damaged: repository::Damaged) -> Self {
        let repository::Damaged {
            backup_id,
            target,
            state,
            detail,
        } = damaged;
        Self {
            backup_id,
            target,
            state: state.into(),
            detail,
        }
    }
}

/// Why a backup can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(in crate::api) enum UnreadableState {
    /// Its manifest or inventory is in an archive tier.
    Archived,
    /// The credentials may not read it.
    Denied,
}

/// A backup that exists and can't be read now. It may be sound.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub(in crate::api) struct Unreadable {
    /// The folder's name.
    pub(in crate::api) backup_id: String,
    /// The target that holds it.
    pub(in crate::api) target: String,
    /// Why it can't be read.
    pub(in crate::api) state: UnreadableState,
    /// The same for people, and what to do.
    pub(in crate::api) detail: String,
}

impl From<repository::Unreadable> for Unreadable {
    fn from(unreadable: repository::Unreadable) -> Self {
        let repository::Unreadable {
            backup_id,
            target,
            state,
            detail,
        } = unreadable;
        Self {
            backup_id,
            target,
            state: match state {
                repository::UnreadableState::Archived => UnreadableState::Archived,
                repository::UnreadableState::Denied => UnreadableState::Denied,
            },
            detail,
        }
    }
}

/// An incomplete copy in a list.
#[derive(Debug, Clone, PartialEq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct Incomplete {
    /// The id of the backup that it would have been.
    pub(in crate::api) backup_id: String,
    /// When that began, RFC 3339, UTC.
    pub(in crate::api) created_at: String,
    /// The target that holds it.
    pub(in crate::api) target: String,
    /// Always `incomplete`.
    pub(in crate::api) state: BackupState,
    /// The databases that were asked for, sorted; absent where all were.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) scope: Vec<String>,
    /// Parquet files of databases that it holds.
    pub(in crate::api) total_files: u64,
    /// Their size in bytes.
    pub(in crate::api) total_size_bytes: u64,
    /// All files that it holds, databases and configuration included.
    pub(in crate::api) files: Option<u64>,
    /// Their size in bytes.
    pub(in crate::api) bytes: Option<u64>,
    /// Files that could not be read, and are not in it. A folder that could not be listed counts as
    /// one.
    pub(in crate::api) missing_files: u64,
    /// The first of them, each with the reason; the path of a folder ends in `/`.
    pub(in crate::api) missing: Vec<String>,
    /// How much is missing, for people.
    pub(in crate::api) lacks: String,
}

impl From<repository::Incomplete> for Incomplete {
    fn from(copy: repository::Incomplete) -> Self {
        let repository::Incomplete {
            backup_id,
            created_at,
            target,
            state,
            scope,
            total_files,
            total_size_bytes,
            files,
            bytes,
            missing_files,
            missing,
            lacks,
        } = copy;
        Self {
            backup_id,
            created_at,
            target,
            state: state.into(),
            scope,
            total_files,
            total_size_bytes,
            files,
            bytes,
            missing_files,
            missing,
            lacks,
        }
    }
}

/// A backup over several targets of which a leg is missing.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub(in crate::api) struct IncompleteRun {
    /// The backup's id.
    pub(in crate::api) backup_id: String,
    /// The targets that hold a leg.
    pub(in crate::api) targets: Vec<String>,
    /// The targets that should hold one, and do not.
    pub(in crate::api) missing_targets: Vec<String>,
    /// What is wrong, and what to do.
    pub(in crate::api) detail: String,
}

impl From<operations::IncompleteRun> for IncompleteRun {
    fn from(run: operations::IncompleteRun) -> Self {
        let operations::IncompleteRun {
            backup_id,
            targets,
            missing_targets,
            detail,
            instance: _,
            is_foreign: _,
        } = run;
        Self {
            backup_id,
            targets,
            missing_targets,
            detail,
        }
    }
}

/// A target that can't be listed.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub(in crate::api) struct TargetError {
    /// Its name.
    pub(in crate::api) target: String,
    /// Why.
    pub(in crate::api) detail: String,
}

impl From<operations::TargetError> for TargetError {
    fn from(error: operations::TargetError) -> Self {
        let operations::TargetError { target, detail } = error;
        Self { target, detail }
    }
}
