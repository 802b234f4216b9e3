//! The state of a backup.

use poem_openapi::Enum;

use crate::repository;

/// What is known of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
#[oai(rename_all = "snake_case")]
pub(in crate::api) enum BackupState {
    /// The last verification found nothing wrong, and no earlier fault is left to clear.
    Ok,
    /// It was never verified.
    Unverified,
    /// Its manifest is broken, or a verification found a fault that no clean full one has cleared
    /// since.
    Damaged,
    /// Its manifest is in an archive tier.
    Archived,
    /// The credentials may not read it.
    Denied,
    /// It lacks files that could not be read: an incomplete copy, for emergencies.
    Incomplete,
}

impl From<repository::BackupState> for BackupState {
    fn from(state: repository::BackupState) -> Self {
        match state {
            repository::BackupState::Ok => Self::Ok,
            repository::BackupState::Unverified => Self::Unverified,
            repository::BackupState::Damaged => Self::Damaged,
            repository::BackupState::Archived => Self::Archived,
            repository::BackupState::Denied => Self::Denied,
            repository::BackupState::Incomplete => Self::Incomplete,
        }
    }
}

impl From<BackupState> for repository::BackupState {
    fn from(state: BackupState) -> Self {
        match state {
            BackupState::Ok => Self::Ok,
            BackupState::Unverified => Self::Unverified,
            BackupState::Damaged => Self::Damaged,
            BackupState::Archived => Self::Archived,
            BackupState::Denied => Self::Denied,
            BackupState::Incomplete => Self::Incomplete,
        }
    }
}
