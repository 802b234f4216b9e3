//! The answer to a deletion.

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object};

use super::accepted::Accepted;

/// A backup was deleted, or would be.
#[derive(Debug, Object)]
pub(in crate::api) struct DeletedBody {
    /// `Backup deleted`; of a dry run, `Nothing was deleted`.
    pub(in crate::api) message: String,
    /// Whether nothing was deleted: the figures are those of a deletion.
    pub(in crate::api) dry_run: bool,
    /// The backup.
    pub(in crate::api) backup_id: String,
    /// The targets that held it, or a leg of it.
    pub(in crate::api) targets: Vec<String>,
    /// Files whose bytes are freed.
    pub(in crate::api) freed_files: u64,
    /// Their bytes.
    pub(in crate::api) freed_bytes: u64,
    /// Files of the backup whose bytes stay, as other backups need them.
    pub(in crate::api) retained_files: u64,
    /// Their bytes.
    pub(in crate::api) retained_bytes: u64,
    /// Of a dry run: the backups that need them. On local disk they are not known.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) needed_by: Vec<String>,
    /// What the operator should know: that the target holds no good backup of all databases
    /// now.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) warnings: Vec<String>,
}

/// The answers to a deletion.
#[derive(ApiResponse)]
pub(in crate::api) enum Deleted {
    /// The backup is deleted; of a dry run, what that would free.
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
