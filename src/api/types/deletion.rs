//! The answer to a deletion.

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object};

use super::accepted::Accepted;

/// A backup was deleted.
#[derive(Debug, Object)]
pub(in crate::api) struct DeletedBody {
    /// `Backup deleted`.
    pub(in crate::api) message: String,
    /// The backup.
    pub(in crate::api) backup_id: String,
    /// The targets that held it, or a leg of it.
    pub(in crate::api) targets: Vec<String>,
    /// What the operator should know: that the target holds no good backup of all databases
    /// now.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) warnings: Vec<String>,
}

/// The answers to a deletion.
#[derive(ApiResponse)]
pub(in crate::api) enum Deleted {
    /// The backup is deleted.
    #[oai(status = 200)]
    Done(Json<DeletedBody>),
    /// The deletion takes longer than 25 s, and continues; poll the status.
    #[oai(status = 202)]
    Running(
        Json<Accepted>,
        /// Where the operation is reported: `/api/v1/backup/operations/{operation_id}`.
        #[oai(header = "Location")]
        String,
        /// After how many seconds to ask there; or ask with `?wait=30s`.
        #[oai(header = "Retry-After")]
        u64,
    ),
}
