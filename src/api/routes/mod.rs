//! The endpoints, by what they are about.

mod backups;
mod files;
mod operations;
mod parameters;
mod restore;
mod service;

use poem_openapi::Tags;

pub(super) use parameters::{OFFSET_LIMIT, PAGE, PAGE_LIMIT, page};

#[derive(Tags)]
pub(super) enum Tag {
    /// Arc's own endpoints.
    Backup,
    /// Progress, cancel, history.
    Operations,
    /// Whether the service answers.
    Service,
}

/// All endpoints.
pub(super) type Api = (
    backups::Backups,
    operations::Operations,
    restore::Restore,
    files::Files,
    service::Service,
);

pub(super) fn api() -> Api {
    (
        backups::Backups,
        operations::Operations,
        restore::Restore,
        files::Files,
        service::Service,
    )
}
