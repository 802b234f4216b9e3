//! The backends that this program knows, compiled in or not.

use super::azure::AZURE;
use super::backend_kind::BackendKind;
use super::local::LOCAL;
use super::s3::S3;
use crate::config::Backends;

const BACKENDS: [BackendKind; 3] = [LOCAL, S3, AZURE];

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static BackendKind> {
    BACKENDS.iter()
}

/// The one of this name.
pub(super) fn find(name: &str) -> Option<&'static BackendKind> {
    all().find(|kind| kind.description.names.contains(&name))
}

/// Their descriptions, for the configuration.
pub(super) fn descriptions() -> Backends {
    all().map(|kind| kind.description).collect()
}
