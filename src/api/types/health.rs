//! Whether the service answers.

use poem_openapi::Object;

/// The service answers.
#[derive(Debug, Object)]
pub(in crate::api) struct HealthBody {
    /// `ok`.
    pub(in crate::api) status: String,
    /// The version of the program.
    pub(in crate::api) version: String,
}
