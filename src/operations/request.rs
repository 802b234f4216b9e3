//! The requests for operations.

use crate::manifest::BackupId;
use crate::operations::BackupOptions;
use crate::operations::CopyOptions;
use crate::operations::DataSelection;
use crate::operations::ExportOptions;
use crate::operations::ExtractOptions;
use crate::operations::ImportOptions;
use crate::operations::LastGood;
use crate::operations::OperationKind;
use crate::operations::PruneOptions;
use crate::operations::RehearseOptions;
use crate::operations::UndoRequest;
use crate::operations::restore::RestoreOptions;
use crate::operations::sections::named_databases;
use crate::operations::verify::VerifyOptions;
use crate::repository::Repository;

/// A request for an operation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Request {
    /// Make a backup.
    Backup(BackupOptions),
    /// Restore a backup, from this target if several hold it.
    Restore(BackupId, RestoreOptions, Option<String>),
    /// Verify a backup, in this target if several hold it.
    Verify(BackupId, VerifyOptions, Option<String>),
    /// Rehearse a restore of a backup, from this target if several hold it.
    Rehearse(BackupId, RehearseOptions, Option<String>),
    /// Delete a backup, in this target if several hold it.
    Delete(BackupId, Option<String>, LastGood),
    /// Copy a backup to another target.
    Copy(CopyOptions),
    /// Write a backup to an archive.
    Export(ExportOptions),
    /// Take a backup from an archive.
    Import(ImportOptions),
    /// Write files of a backup to a folder.
    Extract(ExtractOptions),
    /// Take a restore back.
    Undo(UndoRequest),
    /// Delete the backups of a target that no retention rule keeps.
    Prune(PruneOptions),
}

impl Request {
    /// Returns the targets that the request names.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &str> {
        let to = match self {
            Self::Copy(options) => Some(options.to.as_str()),
            _ => None,
        };
        let target = match self {
            Self::Backup(options) => options.target.as_deref(),
            Self::Prune(options) => options.target.as_deref(),
            Self::Restore(_, _, target)
            | Self::Verify(_, _, target)
            | Self::Rehearse(_, _, target)
            | Self::Delete(_, target, _) => target.as_deref(),
            Self::Copy(options) => options.from.as_deref(),
            Self::Export(options) => options.target.as_deref(),
            Self::Import(options) => options.target.as_deref(),
            Self::Extract(options) => options.target.as_deref(),
            Self::Undo(undo) => undo.target.as_deref(),
        };
        target.into_iter().chain(to)
    }

    /// Returns where a copy reads, once that is found.
    pub(crate) fn source(&self) -> Option<&Repository> {
        match self {
            Self::Copy(options) => options.source.as_ref(),
            _ => None,
        }
    }

    /// Returns the databases that it is limited to, sorted; empty if it is not.
    pub(crate) fn databases(&self) -> Vec<String> {
        match self {
            Self::Backup(options) => named_databases(&options.scope),
            Self::Restore(_, options, _) => options.named_databases(),
            Self::Verify(..)
            | Self::Rehearse(..)
            | Self::Delete(..)
            | Self::Copy(..)
            | Self::Export(..)
            | Self::Import(..)
            | Self::Extract(..)
            | Self::Undo(..)
            | Self::Prune(..) => Vec::new(),
        }
    }

    /// Returns the part of the data that it is limited to; `None` if it is not.
    pub(crate) fn selection(&self) -> Option<DataSelection> {
        match self {
            Self::Restore(_, options, _) => DataSelection::of(options.backup_scope()),
            Self::Verify(_, options, _) => DataSelection::of(&options.scope),
            Self::Backup(..)
            | Self::Rehearse(..)
            | Self::Delete(..)
            | Self::Copy(..)
            | Self::Export(..)
            | Self::Import(..)
            | Self::Extract(..)
            | Self::Undo(..)
            | Self::Prune(..) => None,
        }
    }

    pub(crate) fn kind(&self) -> OperationKind {
        match self {
            Self::Backup(..) => OperationKind::Backup,
            Self::Restore(..) => OperationKind::Restore,
            Self::Verify(..) => OperationKind::Verify,
            Self::Rehearse(..) => OperationKind::Rehearse,
            Self::Delete(..) => OperationKind::Delete,
            Self::Copy(..) => OperationKind::Copy,
            Self::Export(..) => OperationKind::Export,
            Self::Import(..) => OperationKind::Import,
            Self::Extract(..) => OperationKind::Extract,
            Self::Undo(..) => OperationKind::Undo,
            Self::Prune(..) => OperationKind::Prune,
        }
    }
}
