//! Whether the service answers.

use poem_openapi::Object;

/// The service answers.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct HealthBody {
    /// `ok`.
    pub(in crate::api) status: String,
    /// The version of the program.
    pub(in crate::api) version: String,
    /// The schedules in one line: how many, paused, overdue; absent where there are none.
    pub(in crate::api) schedules: Option<String>,
}
