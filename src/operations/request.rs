//! The requests for operations.

use crate::manifest::BackupId;
use crate::operations::BackupOptions;
use crate::operations::CopyOptions;
use crate::operations::OperationKind;
use crate::operations::PruneOptions;
use crate::operations::restore::RestoreOptions;
use crate::operations::sections::named_databases;
use crate::operations::verify::VerifyMode;

/// A request for an operation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Request {
    /// Make a backup.
    Backup(BackupOptions),
    /// Restore a backup, from this target if several hold it.
    Restore(BackupId, RestoreOptions, Option<String>),
    /// Verify a backup, in this target if several hold it.
    Verify(BackupId, VerifyMode, Option<String>),
    /// Delete a backup, in this target if several hold it.
    Delete(BackupId, Option<String>),
    /// Copy a backup to another target.
    Copy(CopyOptions),
    /// Delete the backups of a target that no retention rule keeps.
    Prune(PruneOptions),
}

impl Request {
    /// Returns the target that the request names.
    pub(crate) fn target(&self) -> Option<&str> {
        match self {
            Self::Backup(options) => options.target.as_deref(),
            Self::Prune(options) => options.target.as_deref(),
            Self::Restore(_, _, target) | Self::Verify(_, _, target) | Self::Delete(_, target) => {
                target.as_deref()
            }
            Self::Copy(options) => options.from.as_deref(),
        }
    }

    /// Returns the databases that it is limited to, sorted; empty if it is not.
    pub(crate) fn databases(&self) -> Vec<String> {
        match self {
            Self::Backup(options) => named_databases(&options.scope),
            Self::Restore(_, options, _) => options.named_databases(),
            Self::Verify(..) | Self::Delete(..) | Self::Copy(..) | Self::Prune(..) => Vec::new(),
        }
    }

    pub(crate) fn kind(&self) -> OperationKind {
        match self {
            Self::Backup(..) => OperationKind::Backup,
            Self::Restore(..) => OperationKind::Restore,
            Self::Verify(..) => OperationKind::Verify,
            Self::Delete(..) => OperationKind::Delete,
            Self::Copy(..) => OperationKind::Copy,
            Self::Prune(..) => OperationKind::Prune,
        }
    }
}
