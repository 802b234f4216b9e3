//! What an extraction is asked for.

use std::path::PathBuf;

use arc_backup_core::Scope;

use crate::manifest::BackupId;

/// Which files of which backup to extract, and where to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExtractOptions {
    /// The backup.
    pub id: BackupId,
    /// The target that holds it; `None` for the only one.
    pub target: Option<String>,
    /// The folder that the files are written to.
    pub to: PathBuf,
    /// The files.
    pub scope: Scope,
}

impl ExtractOptions {
    /// An extraction of these files of the backup `id` into the folder `to`.
    #[must_use]
    pub fn new(id: BackupId, to: PathBuf, scope: Scope) -> Self {
        Self {
            id,
            target: None,
            to,
            scope,
        }
    }

    /// The same, from the target that is named.
    #[must_use]
    pub fn target(self, target: Option<String>) -> Self {
        Self { target, ..self }
    }
}
