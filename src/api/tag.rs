//! The groups of endpoints in Swagger.

use poem_openapi::Tags;

/// A group of endpoints.
#[derive(Tags)]
pub(super) enum Tag {
    /// Arc's own endpoints.
    Backup,
    /// Progress, cancel, history.
    Operations,
    /// Whether the service answers.
    Service,
}
