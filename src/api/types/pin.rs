//! Pins, as answers have them.

use poem_openapi::Object;

use super::labels::BackupPin;
use crate::operations;

/// A backup after it was pinned or unpinned.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct PinnedBackup {
    /// The backup.
    pub(in crate::api) backup_id: String,
    /// The targets that hold it, or a leg of it.
    pub(in crate::api) targets: Vec<String>,
    /// Whether it is pinned now.
    pub(in crate::api) locked: bool,
    /// Its pin; absent where it has none.
    pub(in crate::api) pin: Option<BackupPin>,
}

impl From<operations::PinnedBackup> for PinnedBackup {
    fn from(pinned: operations::PinnedBackup) -> Self {
        let operations::PinnedBackup {
            backup_id,
            targets,
            pin,
        } = pinned;
        Self {
            backup_id,
            targets,
            locked: pin.is_some(),
            pin: pin.map(Into::into),
        }
    }
}
