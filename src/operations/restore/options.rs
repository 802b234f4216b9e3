//! The options of a restore.

use std::path::PathBuf;

use arc_backup_core::{ColdHeld, Databases, ExtraFiles, Scope, Section};

use crate::manifest::Manifest;
use crate::operations::restore::rename::Renames;
use crate::operations::sections::named_databases;
use crate::operations::verify::check_for::OnBadList;

/// What becomes of live files that the backup does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtraFilesPolicy {
    /// They are moved beside the storage root.
    #[default]
    SetAside,
    /// They stay: Arc may serve rows twice.
    Keep,
    /// They are set aside, and removed after everything else has succeeded.
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

/// Where a restore writes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Destination {
    /// This instance.
    #[default]
    Live,
    /// A new instance in this folder, which must be empty or absent.
    Folder(PathBuf),
    /// The data alone, to the storage of this name in `[arc_backup.storages]`, which must be empty.
    Storage(String),
}

impl Destination {
    /// Where a new instance is made, for people; `None` for this one.
    pub(crate) fn place(&self) -> Option<String> {
        match self {
            Self::Live => None,
            Self::Folder(folder) => Some(folder.display().to_string()),
            Self::Storage(name) => Some(format!("storage {name}")),
        }
    }

    /// Whether live files may be replaced.
    #[must_use]
    pub fn is_live(&self) -> bool {
        *self == Self::Live
    }
}

/// The options of a restore: its scope, and how it is done.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// The scope: by default data and metadata. Files outside of it are neither changed nor listed
    /// as extra.
    pub scope: Scope,
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
    /// Databases that are restored under other names. Then nothing else is restored.
    pub rename: Renames,
    /// Restores renamed databases over those that have the new names already.
    pub over_existing: bool,
    /// Set by the engine for renamed databases: what of the backup is restored. `scope` is that of
    /// the live files then.
    pub backup_scope: Option<Scope>,
    /// Where it writes to.
    pub destination: Destination,
    /// The plan that it must do exactly, of [`plan_restore`](crate::ArcBackup::plan_restore). It
    /// fails before anything changes if the data has changed since.
    pub plan_id: Option<String>,
    /// How much of Arc's cold tier the backup holds, by its manifest.
    pub cold_held: ColdHeld,
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
            rename: Renames::default(),
            over_existing: false,
            backup_scope: None,
            destination: Destination::Live,
            plan_id: None,
            cold_held: ColdHeld::default(),
        }
    }
}

impl RestoreOptions {
    /// The same, within what the backup is of: a restore of a backup of some databases changes
    /// nothing else. Such a backup seldom has SQLite databases: they are not expected of it.
    #[must_use]
    pub(crate) fn within_backup(&self, manifest: &Manifest) -> Self {
        let covered = manifest.covered_databases();
        let mut scope = self.backup_scope().clone().and_databases(&covered);
        let mut backup_scope = None;
        if !self.rename.is_empty() {
            let of_backup = (scope.and_databases(&self.rename.old_names()))
                .without(&Section::Metadata)
                .without(&Section::Config);
            backup_scope = Some(of_backup);
            scope = Scope::of_sections([Section::Data]).of_databases(self.rename.new_names());
        } else if covered != Databases::All && !manifest.has_metadata {
            scope = scope.without(&Section::Metadata);
        }
        Self {
            scope,
            backup_scope,
            cold_held: match (manifest.cold_files_excluded, manifest.missing_files) {
                (0, 0) if manifest.cold_files.is_some() => ColdHeld::All,
                (0, 0) => ColdHeld::Unknown,
                (excluded, _) => ColdHeld::AllBut(excluded),
            },
            ..self.clone()
        }
    }

    /// What of the backup is restored, as the backup names it.
    pub(crate) fn backup_scope(&self) -> &Scope {
        self.backup_scope.as_ref().unwrap_or(&self.scope)
    }

    /// Whether live files may be replaced or set aside.
    #[must_use]
    pub fn overwrites(&self) -> bool {
        self.destination.is_live() && (self.rename.is_empty() || self.over_existing)
    }

    /// Without Arc's list of files nothing shows which are missing: only where all live files stay,
    /// and damaged ones are omitted, a restore can do without.
    pub(crate) fn on_bad_list(&self) -> OnBadList {
        match self.skip_damaged && self.extra_files == ExtraFilesPolicy::Keep {
            true => OnBadList::DoWithout,
            false => OnBadList::Fail,
        }
    }

    /// Whether the section, or a part of it, is restored.
    #[must_use]
    pub fn includes(&self, section: &Section) -> bool {
        self.scope.includes(section)
    }

    /// The databases that the restore of data is limited to, sorted; empty if it is not.
    #[must_use]
    pub(crate) fn named_databases(&self) -> Vec<String> {
        named_databases(&self.scope)
    }

    /// Whether anything is restored.
    #[must_use]
    pub fn includes_any(&self) -> bool {
        [Section::Data, Section::Metadata, Section::Config]
            .iter()
            .any(|section| self.includes(section))
    }

    /// Whether Arc must be restarted to use the restored files: it holds databases and the
    /// configuration in memory.
    #[must_use]
    pub fn needs_restart(&self) -> bool {
        let is_in_memory = self.includes(&Section::Metadata) || self.includes(&Section::Config);
        self.destination.is_live() && is_in_memory
    }
}
