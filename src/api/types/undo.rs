//! Taking restores back, and what they have set aside.

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object};

use super::accepted::Accepted;
use crate::{Error, operations};

/// What an undo will do.
#[derive(Debug, Object)]
pub(crate) struct UndoPlan {
    /// Always true: nothing was done.
    pub(in crate::api) dry_run: bool,
    /// The operation that is taken back.
    pub(in crate::api) operation_id: String,
    /// The backup that it restored.
    pub(in crate::api) backup_id: String,
    /// Data files that return.
    pub(in crate::api) returned_files: u64,
    /// Their bytes.
    pub(in crate::api) returned_bytes: u64,
    /// Data files that the restore brought, and that are set aside.
    pub(in crate::api) removed_files: u64,
    /// Data files that are as they were before the restore.
    pub(in crate::api) unchanged_files: u64,
    /// Databases and configuration files that return.
    pub(in crate::api) returned: Vec<String>,
    /// Those that the restore brought, and that are set aside.
    pub(in crate::api) removed: Vec<String>,
    /// How many files stand in the way; where there are any, the restore can't be taken back.
    pub(in crate::api) refused_files: u64,
    /// The first of them.
    pub(in crate::api) refused: Vec<RefusedFile>,
    /// Whether Arc must be restarted afterwards.
    pub(in crate::api) restart_required: bool,
}

/// A file that stands in the way of an undo.
#[derive(Debug, Object)]
pub(in crate::api) struct RefusedFile {
    /// Its path as in an inventory.
    pub(in crate::api) path: String,
    /// Why it stands in the way.
    pub(in crate::api) reason: String,
}

impl From<operations::UndoPlan> for UndoPlan {
    fn from(plan: operations::UndoPlan) -> Self {
        let operations::UndoPlan {
            operation_id,
            backup_id,
            returned_files,
            returned_bytes,
            removed_files,
            unchanged_files,
            returned,
            removed,
            refused_files,
            refused,
            restart_required,
        } = plan;
        Self {
            dry_run: true,
            operation_id,
            backup_id,
            returned_files,
            returned_bytes,
            removed_files,
            unchanged_files,
            returned,
            removed,
            refused_files,
            refused: (refused.into_iter())
                .map(|(path, reason)| RefusedFile { path, reason })
                .collect(),
            restart_required,
        }
    }
}

/// The answer to an undo.
#[derive(ApiResponse)]
pub(in crate::api) enum Undone {
    /// What it would do; nothing was done.
    #[oai(status = 200)]
    Planned(Json<UndoPlan>),
    /// It runs; poll the status.
    #[oai(status = 202)]
    Accepted(
        Json<Accepted>,
        /// Where the operation is reported: `/api/v1/backup/operations/{operation_id}`.
        #[oai(header = "Location")]
        String,
        /// After how many seconds to ask there; or ask with `?wait=30s`.
        #[oai(header = "Retry-After")]
        u64,
    ),
}

/// What restores have set aside.
#[derive(Debug, Object)]
pub(crate) struct SetAsideBody {
    /// By the operation, the oldest first.
    pub(in crate::api) set_aside: Vec<SetAsideFiles>,
    /// How many operations.
    pub(in crate::api) count: u64,
    /// What could not be listed.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) faults: Vec<String>,
}

impl SetAsideBody {
    pub(crate) fn new(found: Vec<operations::SetAsideFiles>, faults: &[Error]) -> Self {
        Self {
            count: found.len() as u64,
            set_aside: found.into_iter().map(Into::into).collect(),
            faults: faults.iter().map(ToString::to_string).collect(),
        }
    }
}

/// What an operation had set aside, and was removed.
#[derive(Debug, Object)]
pub(crate) struct RemovedBody {
    /// What was removed.
    pub(in crate::api) removed: SetAsideFiles,
}

/// What one operation has set aside.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct SetAsideFiles {
    /// The operation; absent of files that an earlier version of this program kept without it.
    pub(in crate::api) operation_id: Option<String>,
    /// `restore` or `undo`; absent where that is unknown.
    pub(in crate::api) operation: Option<String>,
    /// The backup that it restored, or whose restore it took back.
    pub(in crate::api) backup_id: Option<String>,
    /// How many files.
    pub(in crate::api) files: u64,
    /// Their bytes.
    pub(in crate::api) bytes: u64,
    /// When they were set aside, RFC 3339.
    pub(in crate::api) since: Option<String>,
    /// From when on the next backup removes them; absent where they stay.
    pub(in crate::api) expires_at: Option<String>,
    /// Whether it can be taken back now.
    pub(in crate::api) can_be_undone: bool,
    /// Where they are.
    pub(in crate::api) places: Vec<SetAsidePlace>,
}

/// One place of files that were set aside.
#[derive(Debug, Object)]
pub(in crate::api) struct SetAsidePlace {
    /// The place, for people.
    pub(in crate::api) place: String,
    /// How many files.
    pub(in crate::api) files: u64,
    /// Their bytes.
    pub(in crate::api) bytes: u64,
}

impl From<operations::SetAsideFiles> for RemovedBody {
    fn from(removed: operations::SetAsideFiles) -> Self {
        Self {
            removed: removed.into(),
        }
    }
}

impl From<operations::SetAsideFiles> for SetAsideFiles {
    fn from(kept: operations::SetAsideFiles) -> Self {
        let places = kept.places.into_iter().map(|place| SetAsidePlace {
            place: place.place,
            files: place.files,
            bytes: place.bytes,
        });
        Self {
            operation_id: kept.operation_id,
            operation: kept.operation.map(|kind| kind.to_string()),
            backup_id: kept.backup_id,
            files: kept.files,
            bytes: kept.bytes,
            since: kept.since.map(|moment| moment.to_string()),
            expires_at: kept.expires_at.map(|moment| moment.to_string()),
            can_be_undone: kept.can_be_undone,
            places: places.collect(),
        }
    }
}
