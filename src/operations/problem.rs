//! A problem of one file.

use serde::{Deserialize, Serialize};

use crate::operations::named::named;

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Its path as in the inventory: `data/…`, `metadata/arc.db`.
    pub path: String,
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// The description of the problem.
    pub detail: String,
}

named! {
    /// What kind of problem a file has.
    pub enum ProblemKind {
        /// The file is missing.
        Missing = "missing",
        /// Its size differs from the inventory.
        Size = "size",
        /// Its SHA-256 differs from the inventory.
        Checksum = "checksum",
        /// The manifest is damaged, or contradicts the inventory.
        Manifest = "manifest",
        /// The inventory is damaged.
        Inventory = "inventory",
        /// The inventory does not list the file, or it changed during the operation.
        Unexpected = "unexpected",
        /// It cannot be read.
        Unreadable = "unreadable",
        /// It cannot be written.
        Write = "write",
        /// Prune: the backup of this id cannot be deleted.
        Delete = "delete",
    }
}
