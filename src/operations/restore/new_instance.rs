//! The folder that a restore makes a new instance in.

use std::path::{Path, PathBuf};

use crate::files::{create_folder, sync_folder, write_atomically};
use crate::manifest::BackupId;
use crate::{Error, Result};

/// The folder in the new instance that is there until the restore has ended.
pub(super) const UNFINISHED: &str = ".arc-backup-restore";
/// The file in it that has the id of the backup.
pub(super) const OF_BACKUP: &str = "backup_id";
/// A new instance in a folder.
#[derive(Debug, Clone)]
pub(crate) struct NewInstance {
    pub(super) folder: PathBuf,
    /// Its `arc.toml`.
    pub(super) text: String,
}

impl NewInstance {
    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder, and records which backup comes into it.
    pub(crate) fn begin(&self, id: &BackupId) -> Result<()> {
        let state = self.folder.join(UNFINISHED);
        for folder in [&self.folder, &state] {
            create_folder(folder).map_err(|error| Error::io("create", folder, error))?;
        }
        write_atomically(&state.join(OF_BACKUP), id.as_str().as_bytes())?;
        Ok(sync_folder(&self.folder)?)
    }

    /// Removes what was made where nothing was restored; what has a file stays.
    pub(crate) fn give_up(&self) {
        if self.folder.join("arc.toml").exists() || has_files(&self.folder.join("data")) {
            return;
        }
        let _ = std::fs::remove_dir_all(self.folder.join(UNFINISHED));
        remove_empty(&self.folder);
    }

    /// Writes its `arc.toml`, when everything else is there.
    pub(crate) fn finish(&self) -> Result<()> {
        // Interrupted runs leave folders for what they would have set aside.
        remove_empty(&self.folder.join("data/arc.before-restore"));
        write_atomically(&self.folder.join("arc.toml"), self.text.as_bytes())?;
        let state = self.folder.join(UNFINISHED);
        match std::fs::remove_dir_all(&state) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", &state, error))
            }
            _ => Ok(sync_folder(&self.folder)?),
        }
    }
}

/// Whether any file is below the folder; one that can't be read counts as if there were.
fn has_files(folder: &Path) -> bool {
    match std::fs::read_dir(folder) {
        Ok(children) => children.into_iter().any(|child| match child {
            Ok(child) if child.file_type().is_ok_and(|kind| kind.is_dir()) => {
                has_files(&child.path())
            }
            _ => true,
        }),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Removes the folder and those below it, as far as they are empty.
fn remove_empty(folder: &Path) {
    for child in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&child.path());
        }
    }
    let _ = std::fs::remove_dir(folder);
}
