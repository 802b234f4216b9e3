//! A restore: its preview, its plan, and what becomes of extra files.

use std::collections::BTreeMap;

use poem_openapi::{Enum, Object};

use super::data_scope::SelectedData;
use crate::operations;

/// What becomes of live files that the backup does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(in crate::api) enum ExtraFilesPolicy {
    /// They are moved beside the storage root and kept.
    #[default]
    SetAside,
    /// They stay: Arc may serve rows twice.
    Keep,
    /// They are moved aside, and removed after everything else has succeeded.
    Remove,
}

impl From<operations::ExtraFilesPolicy> for ExtraFilesPolicy {
    fn from(policy: operations::ExtraFilesPolicy) -> Self {
        match policy {
            operations::ExtraFilesPolicy::SetAside => Self::SetAside,
            operations::ExtraFilesPolicy::Keep => Self::Keep,
            operations::ExtraFilesPolicy::Remove => Self::Remove,
        }
    }
}

impl From<ExtraFilesPolicy> for operations::ExtraFilesPolicy {
    fn from(policy: ExtraFilesPolicy) -> Self {
        match policy {
            ExtraFilesPolicy::SetAside => Self::SetAside,
            ExtraFilesPolicy::Keep => Self::Keep,
            ExtraFilesPolicy::Remove => Self::Remove,
        }
    }
}

/// What a restore changes, by its plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Object)]
pub(in crate::api) struct RestorePlan {
    /// Live files that are the same as in the backup, and stay.
    pub(in crate::api) unchanged_files: u64,
    /// Files that are written.
    pub(in crate::api) written_files: u64,
    /// How many of these replace a live file, which is set aside.
    pub(in crate::api) replaced_files: u64,
    /// Live files that the backup does not hold.
    pub(in crate::api) extra_files: u64,
    /// What becomes of those.
    pub(in crate::api) extra_files_policy: ExtraFilesPolicy,
    /// Live files that are set aside: data files, databases and the configuration.
    pub(in crate::api) set_aside_files: u64,
    /// Live files that are removed in the end: by the policy, replaced and extra data files.
    pub(in crate::api) removed_files: u64,
    /// Bytes that are written.
    pub(in crate::api) bytes_to_write: u64,
    /// How many of these are read from the backup: an interrupted restore may have staged some.
    pub(in crate::api) bytes_to_read: u64,
    /// What changes in each of Arc's databases, sorted by name; extra files of the cold tier are
    /// not counted here.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) databases: Vec<DatabaseChanges>,
    /// The room that must be free on local disk before anything changes.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) room: Vec<RoomNeeded>,
    /// Files that have moved to the cold tier since the backup: they stay there.
    #[oai(skip_serializing_if_is_none)]
    pub(in crate::api) cold_files_skipped_already_cold: Option<u64>,
    /// What the operator should know before it begins.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) warnings: Vec<String>,
}

impl From<operations::RestorePlan> for RestorePlan {
    fn from(plan: operations::RestorePlan) -> Self {
        let operations::RestorePlan {
            unchanged_files,
            written_files,
            replaced_files,
            extra_files,
            extra_files_policy,
            set_aside_files,
            removed_files,
            bytes_to_write,
            bytes_to_read,
            cold_files_skipped_already_cold,
            databases,
            room,
            warnings,
            ..
        } = plan;
        Self {
            unchanged_files,
            written_files,
            replaced_files,
            extra_files,
            extra_files_policy: extra_files_policy.into(),
            set_aside_files,
            removed_files,
            bytes_to_write,
            bytes_to_read,
            databases: databases.into_iter().map(Into::into).collect(),
            room: room.into_iter().map(Into::into).collect(),
            cold_files_skipped_already_cold: Some(cold_files_skipped_already_cold)
                .filter(|files| *files > 0),
            warnings,
        }
    }
}

/// What a restore changes in one of Arc's databases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Object)]
pub(in crate::api) struct DatabaseChanges {
    /// Its name.
    pub(in crate::api) name: String,
    /// Files that are the same already.
    pub(in crate::api) unchanged_files: u64,
    /// Files that are written.
    pub(in crate::api) written_files: u64,
    /// Their bytes.
    pub(in crate::api) bytes_to_write: u64,
    /// How many of these replace a live file.
    pub(in crate::api) replaced_files: u64,
    /// Live files that the backup does not hold.
    pub(in crate::api) extra_files: u64,
}

impl From<operations::DatabaseChanges> for DatabaseChanges {
    fn from(changes: operations::DatabaseChanges) -> Self {
        let operations::DatabaseChanges {
            name,
            unchanged_files,
            written_files,
            bytes_to_write,
            replaced_files,
            extra_files,
        } = changes;
        Self {
            name,
            unchanged_files,
            written_files,
            bytes_to_write,
            replaced_files,
            extra_files,
        }
    }
}

/// Room that is needed on local disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Object)]
pub(in crate::api) struct RoomNeeded {
    /// Where; rooms of one file system add up.
    pub(in crate::api) path: String,
    /// How many bytes.
    pub(in crate::api) bytes: u64,
}

impl From<operations::RoomNeeded> for RoomNeeded {
    fn from(room: operations::RoomNeeded) -> Self {
        let operations::RoomNeeded { path, bytes } = room;
        Self { path, bytes }
    }
}

/// Where the data of a backup came from, or where that of this instance is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct BackupOrigin {
    /// `local`, `s3`, `azure`.
    pub(in crate::api) backend: String,
    /// The path or URL, without credentials.
    pub(in crate::api) location: String,
    /// A random name of the instance, kept in its state folder; absent where it has none yet.
    pub(in crate::api) instance: Option<String>,
}

impl From<operations::BackupOrigin> for BackupOrigin {
    fn from(origin: operations::BackupOrigin) -> Self {
        let operations::BackupOrigin {
            backend,
            location,
            instance,
        } = origin;
        Self {
            backend,
            location,
            instance,
        }
    }
}

/// Where a restore writes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct RestoreDestination {
    /// Arc's data storage, with the name of this instance.
    pub(in crate::api) storage: BackupOrigin,
    /// The paths of the databases that are replaced.
    pub(in crate::api) databases: Vec<String>,
    /// The configuration file that is replaced.
    pub(in crate::api) config: Option<String>,
    /// The folder of the Iceberg warehouse, where the backup has one.
    pub(in crate::api) warehouse: Option<String>,
}

impl From<operations::RestoreDestination> for RestoreDestination {
    fn from(destination: operations::RestoreDestination) -> Self {
        let operations::RestoreDestination {
            storage,
            databases,
            config,
            warehouse,
        } = destination;
        Self {
            storage: storage.into(),
            databases,
            config,
            warehouse,
        }
    }
}

/// What a restore would do.
#[derive(Debug, Clone, Default, PartialEq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct RestorePreview {
    /// The backup.
    pub(in crate::api) backup_id: String,
    /// The target that holds it.
    pub(in crate::api) target: String,
    /// When the backup began, RFC 3339.
    pub(in crate::api) created_at: String,
    /// How long ago that was.
    pub(in crate::api) age_seconds: Option<u64>,
    /// Where its data came from; absent in a backup that Arc made.
    pub(in crate::api) source: Option<BackupOrigin>,
    /// Whether that is known to be another instance, or other data, than is replaced here.
    pub(in crate::api) other_instance: bool,
    /// Where the restore writes to.
    pub(in crate::api) destination: RestoreDestination,
    /// New names of databases, by those in the backup.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) rename: BTreeMap<String, String>,
    /// The databases that the restore is limited to, as the backup has no others, sorted; absent
    /// where it is not limited. No other database is touched.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) scope: Vec<String>,
    /// The part of the data that the restore is limited to; absent where it is not. Nothing else is
    /// touched.
    pub(in crate::api) selection: Option<SelectedData>,
    /// Arc's databases in the backup, where its data is restored.
    pub(in crate::api) databases: Vec<String>,
    /// The files of SQLite databases in the backup, where these are restored.
    pub(in crate::api) sqlite_databases: Vec<String>,
    /// What would change. Absent where the plan took too long or failed.
    pub(in crate::api) plan: Option<RestorePlan>,
    /// Why there is no `plan`, where that is known.
    pub(in crate::api) plan_error: Option<String>,
    /// The id of the plan, for `plan_id` of a restore; absent where none was asked for.
    pub(in crate::api) plan_id: Option<String>,
    /// Whether Arc runs; absent where that is not known.
    pub(in crate::api) arc_running: Option<bool>,
    /// How that was found out.
    pub(in crate::api) arc_seen: Option<String>,
    /// Whether Arc must be restarted afterwards.
    pub(in crate::api) restart_required: bool,
}

impl From<operations::RestorePreview> for RestorePreview {
    fn from(preview: operations::RestorePreview) -> Self {
        let operations::RestorePreview {
            is_live: _,
            backup_id,
            target,
            created_at,
            age_seconds,
            source,
            other_instance,
            destination,
            rename,
            scope,
            selection,
            databases,
            sqlite_databases,
            plan,
            plan_error,
            plan_id,
            arc_running,
            arc_seen,
            restart_required,
        } = preview;
        Self {
            backup_id,
            target,
            created_at,
            age_seconds,
            source: source.map(Into::into),
            other_instance,
            destination: destination.into(),
            rename,
            scope,
            selection: selection.map(Into::into),
            databases,
            sqlite_databases,
            plan: plan.map(Into::into),
            plan_error,
            plan_id,
            arc_running,
            arc_seen,
            restart_required,
        }
    }
}
