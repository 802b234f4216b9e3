//! What a restore is asked for.

use arc_backup_core::{ExtraFiles, Scope, Section};

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
    /// What to restore: by default data and metadata. Nothing else is listed as extra or changed.
    pub scope: Scope,
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
            scope: Scope::of_sections([Section::Data, Section::Metadata]),
            extra_files: ExtraFilesPolicy::default(),
            allow_incomplete: false,
            verify_first: false,
            into_other_instance: false,
            skip_damaged: false,
        }
    }
}

impl RestoreOptions {
    /// Whether the section, or a part of it, is restored.
    #[must_use]
    pub fn includes(&self, section: &Section) -> bool {
        self.scope.includes(section)
    }

    /// Whether anything is.
    #[must_use]
    pub fn includes_any(&self) -> bool {
        [Section::Data, Section::Metadata, Section::Config]
            .iter()
            .any(|section| self.includes(section))
    }

    /// Whether Arc must be restarted to see all of it: it holds databases and the configuration in
    /// memory.
    #[must_use]
    pub fn needs_restart(&self) -> bool {
        self.includes(&Section::Metadata) || self.includes(&Section::Config)
    }
}
