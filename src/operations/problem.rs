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
    /// The problem in words.
    pub detail: String,
}

named! {
    /// What kind of problem a file has.
    pub enum ProblemKind {
        /// The file is not there.
        Missing = "missing",
        /// It has another size than the inventory says.
        Size = "size",
        /// Its SHA-256 is not that of the inventory.
        Checksum = "checksum",
        /// The manifest is damaged, or says something else than the inventory.
        Manifest = "manifest",
        /// The inventory is damaged.
        Inventory = "inventory",
        /// Nothing names the file, or it changed during the operation.
        Unexpected = "unexpected",
        /// It cannot be read.
        Unreadable = "unreadable",
        /// It cannot be written.
        Write = "write",
    }
}
