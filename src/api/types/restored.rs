//! The answers to a request for a restore.

use poem_openapi::ApiResponse;
use poem_openapi::payload::Json;

use super::accepted::Accepted;
use super::restore::RestorePreview;

/// The answers to a request for a restore.
#[derive(ApiResponse)]
#[allow(
    clippy::large_enum_variant,
    reason = "an answer is made once, and sent"
)]
pub(in crate::api) enum Restored {
    /// What it would do. Nothing was done.
    #[oai(status = 200)]
    Planned(Json<RestorePreview>),
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
