//! Full and incremental backups.

use poem_openapi::Enum;

use crate::backup_type;

/// Whether a backup copies every file, or reuses the unchanged ones of an earlier backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(in crate::api) enum BackupType {
    Full,
    Incremental,
}

impl From<BackupType> for backup_type::BackupType {
    fn from(wanted: BackupType) -> Self {
        match wanted {
            BackupType::Full => Self::Full,
            BackupType::Incremental => Self::Incremental,
        }
    }
}
