//! The options of a restore.

use crate::source;

/// What becomes of live files that the backup does not hold.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    poem_openapi::Enum,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
#[value(rename_all = "kebab-case")]
pub enum ExtraFilesPolicy {
    /// They are moved beside the storage root.
    #[default]
    #[value(alias = "set_aside")]
    SetAside,
    /// They stay: Arc may serve rows twice.
    Keep,
    /// They are set aside, and removed after everything else has succeeded.
    Remove,
}

/// The options of a restore: which sections, and how.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Restores Parquet files and their companions.
    pub data: bool,
    /// Restores SQLite databases.
    pub metadata: bool,
    /// Restores `arc.toml`.
    pub config: bool,
    /// The policy for live files that the backup does not hold.
    pub extra_files: ExtraFilesPolicy,
    /// Restores an incomplete copy if there is no backup with this id.
    pub allow_incomplete: bool,
    /// Reads all files before the first write, even if the data storage cannot stage them.
    pub verify_first: bool,
    /// Replaces live files with a backup of another instance.
    pub into_other_instance: bool,
    /// Omits files that are damaged or missing in the backup; the live files in their place stay.
    /// The restore still ends as failed.
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
    pub(crate) fn includes(&self, section: &str) -> bool {
        match section {
            source::DATA => self.data,
            source::METADATA => self.metadata,
            source::CONFIG => self.config,
            // A section of a third party belongs to the data.
            _ => self.data,
        }
    }
}
