//! What kind of operation one is.

use crate::operations::named::named;

named! {
    /// What kind of operation one is.
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
        /// Leftovers are removed. The history has none of these.
        Sweep = "sweep",
    }
}
