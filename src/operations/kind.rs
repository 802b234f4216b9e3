//! The kinds of operations.

use crate::operations::named::named;

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
        /// A backup is deleted.
        Delete = "delete",
        /// A backup is copied to another target.
        Copy = "copy",
        /// Backups that no retention rule keeps are deleted.
        Prune = "prune",
        /// Leftovers are removed. The history does not record sweeps.
        Sweep = "sweep",
        /// An operation whose entry in the history cannot be read.
        Unknown = "unknown",
    }
}
