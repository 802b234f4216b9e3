//! A backend as one value.

use std::sync::Arc;

use arc_backup_core::Sink;

use crate::Result;
use crate::config::{BackendDescription, Settings, TargetSettings};

/// A backend: what a configuration may say of it, and how its sinks are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct BackendKind {
    pub(super) description: BackendDescription,
    /// Absent in a build without the backend's feature.
    pub(super) constructors: Option<Constructors>,
}

/// How the sinks of a backend are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Constructors {
    /// The sink of a target.
    pub(super) target: fn(&TargetSettings, &Settings) -> Result<Arc<dyn Sink>>,
    /// The sink of Arc's data storage.
    pub(super) storage: fn(&Settings) -> Result<Arc<dyn Sink>>,
    /// The sink of Arc's cold tier.
    pub(super) cold: fn(&Settings) -> Result<Arc<dyn Sink>>,
}

/// A backend's fault of configuration, with the table that its setting is in.
#[cfg(any(feature = "s3", feature = "azure"))]
pub(super) fn in_table(table: &str, error: &arc_backup_core::Error) -> crate::Error {
    crate::Error::Config(format!("`{table}.{}`: {}", error.subject(), error.detail()))
}
