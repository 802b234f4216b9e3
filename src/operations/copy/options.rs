//! What a copy is asked for.

use crate::manifest::BackupId;
use crate::repository::Repository;

/// Which backup to copy, and where to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CopyOptions {
    /// The backup.
    pub id: BackupId,
    /// The target to read it from; `None` for the one that holds it.
    pub from: Option<String>,
    /// The target to copy it to.
    pub to: String,
    /// Where it was found, by the start of the operation.
    pub(crate) source: Option<Repository>,
}

impl CopyOptions {
    /// A copy of the backup `id` to the target `to`.
    #[must_use]
    pub fn new(id: BackupId, to: impl Into<String>) -> Self {
        Self {
            id,
            from: None,
            to: to.into(),
            source: None,
        }
    }

    /// The same, read from the target `from`; `None` for the one that holds it.
    #[must_use]
    pub fn from(self, from: Option<String>) -> Self {
        Self { from, ..self }
    }
}
