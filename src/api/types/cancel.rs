//! The answer to a cancel.

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object};

/// An operation was asked to end. It still runs.
#[derive(Debug, Object)]
#[oai(rename = "CancelRequested", skip_serializing_if_is_none)]
pub(in crate::api) struct CancelRequested {
    /// `Cancel requested`.
    pub(in crate::api) message: String,
    /// `running`.
    pub(in crate::api) status: String,
    /// What runs: `backup`, `restore`, `verify`, `delete` or `sweep`.
    pub(in crate::api) operation: String,
    /// Its id.
    pub(in crate::api) operation_id: String,
    /// The backup that it makes or reads; absent for a sweep.
    pub(in crate::api) backup_id: Option<String>,
    /// Always empty.
    pub(in crate::api) warnings: Vec<String>,
}

/// The answer to a cancel.
#[derive(ApiResponse)]
pub(in crate::api) enum Cancelled {
    /// The operation ends within `backup.stop_timeout`; poll the status.
    #[oai(status = 202)]
    Accepted(
        Json<CancelRequested>,
        /// Where the operation is reported: `/api/v1/backup/operations/{operation_id}`.
        #[oai(header = "Location")]
        String,
    ),
}
