//! How many files and bytes a restore would change, by the plans of the sources.

use std::collections::BTreeMap;

use arc_backup_core::{Digest, FileChanges, Hasher, RestoreSummary, Section};
use serde::{Deserialize, Serialize};

use crate::operations::ExtraFilesPolicy;

/// What a restore changes, by its plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestorePlan {
    /// Files that are live already, the same as in the backup, and stay.
    pub unchanged_files: u64,
    /// Files that are written.
    pub written_files: u64,
    /// How many of these replace a live file, which is kept aside.
    pub replaced_files: u64,
    /// Live files that the backup does not hold.
    pub extra_files: u64,
    /// What becomes of those.
    pub extra_files_policy: ExtraFilesPolicy,
    /// Live files that are set aside: data files, databases and the configuration.
    pub set_aside_files: u64,
    /// Live files that are removed in the end: by the policy, replaced and extra data files.
    pub removed_files: u64,
    /// Bytes that are written.
    pub bytes_to_write: u64,
    /// How many of these are read from the backup: an interrupted restore may have staged some.
    pub bytes_to_read: u64,
    /// Files that have moved to the cold tier since the backup: they stay there, and are not
    /// written.
    pub cold_files_skipped_already_cold: u64,
    /// What changes in each of Arc's databases, sorted by name; extra files of the cold tier are
    /// not counted here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<DatabaseChanges>,
    /// The room that must be free on local disk before anything changes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub room: Vec<RoomNeeded>,
    /// What the operator should know before it begins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// SHA-256 of what the plan was made from. Two plans with the same one do the same.
    #[serde(skip)]
    pub(crate) basis: Option<Digest>,
}

/// What a restore changes in one of Arc's databases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseChanges {
    /// Its name.
    pub name: String,
    /// Files that are the same already.
    pub unchanged_files: u64,
    /// Files that are written.
    pub written_files: u64,
    /// Their bytes.
    pub bytes_to_write: u64,
    /// How many of these replace a live file.
    pub replaced_files: u64,
    /// Live files that the backup does not hold.
    pub extra_files: u64,
}

/// Room that is needed on local disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomNeeded {
    /// Where: rooms of one file system add up.
    pub path: String,
    /// How many bytes.
    pub bytes: u64,
}

impl RestorePlan {
    pub(crate) fn new(extra_files_policy: ExtraFilesPolicy) -> Self {
        Self {
            extra_files_policy,
            ..Self::default()
        }
    }

    /// Adds the plan of the source of a section.
    pub(crate) fn add(&mut self, section: &Section, summary: &RestoreSummary) {
        self.unchanged_files += summary.unchanged_files;
        self.written_files += summary.needed_files;
        self.replaced_files += summary.replaced_files;
        self.extra_files += summary.extra_files;
        match self.extra_files_policy {
            ExtraFilesPolicy::Remove if *section == Section::Data => {
                self.removed_files += summary.replaced_files + summary.extra_files;
            }
            ExtraFilesPolicy::SetAside => {
                self.set_aside_files += summary.replaced_files + summary.extra_files;
            }
            _ => self.set_aside_files += summary.replaced_files,
        }
        self.bytes_to_write = self.bytes_to_write.saturating_add(summary.needed_bytes);
        self.bytes_to_read = (self.bytes_to_read)
            .saturating_add(summary.needed_bytes.saturating_sub(summary.staged_bytes));
        self.cold_files_skipped_already_cold += summary.cold_files_skipped_already_cold;
        (self.room).extend(summary.room.iter().map(|(path, bytes)| RoomNeeded {
            path: path.display().to_string(),
            bytes: *bytes,
        }));
        self.databases.extend(changes(&summary.databases));
        self.warnings.extend(summary.warnings.iter().cloned());
        self.add_basis(section, summary);
    }

    /// A source that does not say what its plan was made from: the figures stand for it.
    fn add_basis(&mut self, section: &Section, summary: &RestoreSummary) {
        let mut hasher = Hasher::new();
        if let Some(before) = self.basis {
            hasher.update(before.to_string().as_bytes());
        }
        let own = match summary.basis {
            Some(basis) => basis.to_string(),
            None => format!("{:?}", summary.changes()),
        };
        hasher.update(format!("{section} {own}\n").as_bytes());
        self.basis = Some(hasher.finish());
    }
}

fn changes(databases: &BTreeMap<String, FileChanges>) -> impl Iterator<Item = DatabaseChanges> {
    databases.iter().map(|(name, changes)| DatabaseChanges {
        name: name.clone(),
        unchanged_files: changes.unchanged_files,
        written_files: changes.needed_files,
        bytes_to_write: changes.needed_bytes,
        replaced_files: changes.replaced_files,
        extra_files: changes.extra_files,
    })
}
