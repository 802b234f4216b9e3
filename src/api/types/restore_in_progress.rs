//! A restore that was interrupted while it changed live data.

use std::collections::BTreeMap;

use poem_openapi::Object;

use super::data_scope::SelectedData;
use super::restore::ExtraFilesPolicy;
use crate::operations;

/// A restore that began to change live data and did not end. Running the same restore again
/// completes it.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub(in crate::api) struct RestoreInProgress {
    /// The operation.
    pub(in crate::api) operation_id: String,
    /// The backup that it restores.
    pub(in crate::api) backup_id: String,
    /// The sections that it restores: `data`, `metadata`, `config`, ….
    #[oai(default)]
    pub(in crate::api) sections: Vec<String>,
    /// The databases that its restore of data is limited to; absent where it is not.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) databases: Vec<String>,
    /// The part of the data that it is limited to; absent where it is not.
    #[oai(default, skip_serializing_if_is_none)]
    pub(in crate::api) selection: Option<SelectedData>,
    /// New names of databases, by those in the backup.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) rename: BTreeMap<String, String>,
    /// The sections that are restored.
    #[oai(default)]
    pub(in crate::api) done: Vec<String>,
    /// `staging`: nothing live has changed; `applying`: it has.
    pub(in crate::api) phase: String,
    /// When that phase began, RFC 3339.
    pub(in crate::api) written_at: String,
    /// The target that holds the backup.
    #[oai(default, skip_serializing_if_is_none)]
    pub(in crate::api) target: Option<String>,
    /// What becomes of live files that the backup does not hold.
    #[oai(default)]
    pub(in crate::api) extra_files: ExtraFilesPolicy,
    /// Whether an incomplete copy may be restored.
    #[oai(default)]
    pub(in crate::api) allow_incomplete: bool,
    /// Whether files that are damaged in the backup are omitted.
    #[oai(default)]
    pub(in crate::api) skip_damaged: bool,
    /// Earlier attempts that were interrupted too, and have set files aside under their own names.
    #[oai(default)]
    pub(in crate::api) earlier: Vec<InterruptedRun>,
    /// The operation that it takes back, where it is an undo.
    #[oai(default, skip_serializing_if_is_none)]
    pub(in crate::api) undoes: Option<String>,
    /// Why the restore marker can't be read. Then it is not known which backup was being restored.
    #[oai(default, skip_serializing_if_is_none)]
    pub(in crate::api) unreadable: Option<String>,
}

impl From<operations::RestoreInProgress> for RestoreInProgress {
    fn from(restore: operations::RestoreInProgress) -> Self {
        let operations::RestoreInProgress {
            operation_id,
            backup_id,
            sections,
            databases,
            // Not of a restore that a request can ask for.
            except_databases: _,
            folders: _,
            selection,
            // A part of the command that completes it.
            new_instance: _,
            to_storage: _,
            over_existing: _,
            rename,
            done,
            phase,
            written_at,
            target,
            extra_files,
            allow_incomplete,
            skip_damaged,
            // A name on disk, of no use to others.
            stage: _,
            earlier,
            undoes,
            // The remedy of the message follows from these.
            can_be_undone: _,
            exceeds_backup: _,
            unreadable,
        } = restore;
        Self {
            operation_id,
            backup_id,
            sections,
            databases,
            selection: selection.map(Into::into),
            rename: rename.names().clone(),
            done,
            phase,
            written_at,
            target,
            extra_files: extra_files.into(),
            allow_incomplete,
            skip_damaged,
            earlier: earlier.into_iter().map(Into::into).collect(),
            undoes,
            unreadable,
        }
    }
}

/// A restore that was interrupted, and that a later one resumed.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub(in crate::api) struct InterruptedRun {
    /// The operation: the files that it set aside have this name.
    pub(in crate::api) operation_id: String,
    /// What it did with live files that the backup does not hold.
    pub(in crate::api) extra_files: ExtraFilesPolicy,
}

impl From<operations::InterruptedRun> for InterruptedRun {
    fn from(run: operations::InterruptedRun) -> Self {
        let operations::InterruptedRun {
            operation_id,
            extra_files,
        } = run;
        Self {
            operation_id,
            extra_files: extra_files.into(),
        }
    }
}
