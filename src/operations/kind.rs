//! The kinds of operations.

use crate::operations::named::named;
use crate::repository::DELETERS;

named! {
    /// The kind of an operation.
    #[derive(Default)]
    pub enum OperationKind {
        /// A backup is made.
        #[default]
        Backup = "backup",
        /// A backup is restored.
        Restore = "restore",
        /// A backup is read and compared.
        Verify = "verify",
        /// A restore of a backup is rehearsed.
        Rehearse = "rehearse",
        /// A backup is deleted.
        Delete = "delete",
        /// A backup is copied to another target.
        Copy = "copy",
        /// A backup is written to an archive.
        Export = "export",
        /// A backup is taken from an archive.
        Import = "import",
        /// Files of a backup are written to a folder.
        Extract = "extract",
        /// Backups that no retention rule keeps are deleted.
        Prune = "prune",
        /// A restore is taken back.
        Undo = "undo",
        /// Leftovers are removed. The history does not record sweeps.
        Sweep = "sweep",
        /// An operation whose entry in the history cannot be read.
        Unknown = "unknown",
    }
}

impl OperationKind {
    /// Whether it only reads backups where it has been asked to: it runs beside a backup, and has a
    /// lease in place of the target's lock. All others run one at a time.
    pub(crate) fn is_reader(self) -> bool {
        matches!(
            self,
            Self::Verify | Self::Rehearse | Self::Copy | Self::Export | Self::Extract
        )
    }

    /// Whether it changes live data, with a restore marker while it does so.
    pub(crate) fn changes_live_data(self) -> bool {
        matches!(self, Self::Restore | Self::Undo)
    }

    /// Whether the history has operations of it.
    pub(crate) fn is_recorded(self) -> bool {
        !matches!(self, Self::Sweep | Self::Unknown)
    }

    /// What was to become of the backup, for messages: `copied`.
    pub(crate) fn participle(self) -> &'static str {
        match self {
            Self::Export => "exported",
            Self::Import => "imported",
            Self::Extract => "extracted",
            _ => "copied",
        }
    }

    /// Whether it removes published backups.
    pub(crate) fn is_deleter(self) -> bool {
        DELETERS.contains(&self.as_str())
    }
}
