//! The answer to a request that started an operation.

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object};

use super::data_scope::SelectedData;
use super::restore::RestorePreview;

/// An operation was accepted, and runs in the background.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct Accepted {
    /// What was accepted.
    pub(in crate::api) message: String,
    /// `running`.
    pub(in crate::api) status: String,
    /// The backup.
    pub(in crate::api) backup_id: String,
    /// The operation, for `GET /api/v1/backup/operations/{operation_id}`.
    pub(in crate::api) operation_id: String,
    /// Backup: the databases that were asked for, sorted; absent where all are backed up.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) databases: Vec<String>,
    /// The same, under the name that lists and manifests have for it.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) scope: Vec<String>,
    /// Restore and verify: the part of the data that was asked for; absent where that is all.
    pub(in crate::api) selection: Option<SelectedData>,
    /// Whether Arc must be restarted afterwards.
    pub(in crate::api) restart_required: Option<bool>,
    /// Restore: where the backup comes from, where it goes, and what changes.
    pub(in crate::api) restore: Option<Box<RestorePreview>>,
    /// Unknown fields of the request, and what else the caller should know.
    pub(in crate::api) warnings: Vec<String>,
}

/// 202.
#[derive(ApiResponse)]
pub(in crate::api) enum Started {
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

/// After how many seconds the status of an operation is first worth asking for.
pub(in crate::api) const POLL_AFTER_SECS: u64 = 1;

/// Where an operation is reported.
pub(in crate::api) fn location(operation_id: &str) -> String {
    format!("/api/v1/backup/operations/{operation_id}")
}
