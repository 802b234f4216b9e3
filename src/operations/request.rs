//! What can be asked for.

use crate::manifest::BackupId;
use crate::operations::OperationKind;
use crate::operations::restore::RestoreOptions;
use crate::operations::verify::VerifyMode;
use arc_backup_core::Scope;

/// What to do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Request {
    /// Make a backup.
    Backup {
        /// What to back up.
        scope: Scope,
        /// Only where Arc was flushed.
        require_flush: bool,
        /// To this target instead of the default one.
        target: Option<String>,
        /// Under this id instead of a new one: for the demo.
        id: Option<BackupId>,
    },
    /// Restore one, from this target where several hold it.
    Restore(BackupId, RestoreOptions, Option<String>),
    /// Verify one, in this target where several hold it.
    Verify(BackupId, VerifyMode, Option<String>),
    /// Delete one, in this target where several hold it.
    Delete(BackupId, Option<String>),
}

impl Request {
    /// The target that it names.
    pub(crate) fn target(&self) -> Option<&str> {
        match self {
            Self::Backup { target, .. }
            | Self::Restore(_, _, target)
            | Self::Verify(_, _, target)
            | Self::Delete(_, target) => target.as_deref(),
        }
    }

    pub(crate) fn kind(&self) -> OperationKind {
        match self {
            Self::Backup { .. } => OperationKind::Backup,
            Self::Restore(..) => OperationKind::Restore,
            Self::Verify(..) => OperationKind::Verify,
            Self::Delete(..) => OperationKind::Delete,
        }
    }
}
