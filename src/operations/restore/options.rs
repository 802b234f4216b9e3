//! What a restore is asked for.

use arc_backup_core::{ExtraFiles, Section};

/// What becomes of live files that the backup does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtraFilesPolicy {
    /// They are moved beside the storage root and kept.
    #[default]
    SetAside,
    /// They stay: Arc may serve rows twice.
    Keep,
    /// They are moved aside, and removed after everything else has succeeded.
    Remove,
}

impl From<ExtraFilesPolicy> for ExtraFiles {
    fn from(policy: ExtraFilesPolicy) -> Self {
        match policy {
            ExtraFilesPolicy::SetAside => Self::SetAside,
            ExtraFilesPolicy::Keep => Self::Keep,
            ExtraFilesPolicy::Remove => Self::Remove,
        }
    }
}

/// What to restore, and how.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Parquet files and their companions.
    pub data: bool,
    /// SQLite databases.
    pub metadata: bool,
    /// `arc.toml`.
    pub config: bool,
    /// Live files that the backup does not hold.
    pub extra_files: ExtraFilesPolicy,
    /// An incomplete copy may be taken, where there is no backup of that id.
    pub allow_incomplete: bool,
    /// Read all that will be restored before the first write, also where the data storage can't stage it.
    pub verify_first: bool,
    /// What is live here may be replaced by a backup of another instance.
    pub into_other_instance: bool,
    /// Files that are damaged or missing in the backup are left out, and what is live in their
    /// place stays as it is. Such a restore ends as a failed one all the same.
    pub skip_damaged: bool,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            data: true,
            metadata: true,
            config: false,
            extra_files: ExtraFilesPolicy::default(),
            allow_incomplete: false,
            verify_first: false,
            into_other_instance: false,
            skip_damaged: false,
        }
    }
}

impl RestoreOptions {
    pub(crate) fn includes(&self, section: &Section) -> bool {
        match section {
            // A section of a third party is data.
            Section::Data | Section::Other(_) => self.data,
            Section::Metadata => self.metadata,
            Section::Config => self.config,
        }
    }
}
