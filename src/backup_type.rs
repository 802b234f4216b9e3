//! Full and incremental backups.

use serde::{Deserialize, Serialize};

/// Whether a backup copies every file, or reuses the unchanged ones of an earlier backup. Every
/// backup is logically full: a restore needs no other one to be given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupType {
    /// Every file is copied.
    #[default]
    Full,
    /// Files that the newest earlier backup has, unchanged, are reused.
    Incremental,
}

impl BackupType {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Full, Self::Incremental];

    /// The word that JSON has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
        }
    }

    /// The type of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}
