//! The status: the operation that runs or ran last, or that there is none.

use poem_openapi::{Object, Union};

use super::operation::Operation;
use super::restore_in_progress::RestoreInProgress;
use crate::operations::ArcBackup;

/// No operation has run.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct IdleBody {
    /// `idle`.
    pub(in crate::api) status: String,
    /// A restore that was interrupted while it changed live data, and has not been completed.
    pub(in crate::api) restore_in_progress: Option<Box<RestoreInProgress>>,
}

impl IdleBody {
    /// The answer where the history has no operation. A restore may be interrupted all the same:
    /// the history may be lost.
    pub(crate) async fn new(engine: &ArcBackup) -> Self {
        let restore = engine.restore_in_progress().await;
        Self {
            status: "idle".to_owned(),
            restore_in_progress: restore.map(|restore| Box::new(restore.into())),
        }
    }
}

/// The operation that runs or ran last, or `idle`.
#[derive(Debug, Union)]
pub(in crate::api) enum StatusBody {
    /// The operation.
    Operation(Box<Operation>),
    /// None has run.
    Idle(IdleBody),
}
