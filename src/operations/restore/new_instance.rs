//! The new instance that a restore makes: in a folder, or its data in another storage.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::files::{create_folder, sync_folder, write_atomically};
use crate::manifest::BackupId;
use crate::{Error, Result};

/// The folder in the folder of a new instance that is there until the restore has ended.
pub(super) const UNFINISHED: &str = ".arc-backup-restore";
/// The file that says what comes into it, in the folder of the program's own files: the id of the
/// backup, and in the next line the place.
const OF_BACKUP: &str = "backup_id";

/// A new instance.
#[derive(Debug, Clone)]
pub(crate) struct NewInstance {
    pub(super) place: NewPlace,
    /// The folder of the program's own files, which is there until the restore has ended.
    pub(super) state: PathBuf,
    /// Where the data comes to.
    pub(super) location: String,
    /// Whether an interrupted restore is completed.
    pub(super) is_resumed: bool,
}

/// Where a new instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NewPlace {
    /// All of it in a folder.
    Folder {
        path: PathBuf,
        /// Its `arc.toml`.
        config: String,
    },
    /// Its data in the storage of this name.
    Storage(String),
}

impl fmt::Display for NewPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { .. } => f.write_str("the new folder"),
            Self::Storage(name) => write!(f, "storage `{name}`"),
        }
    }
}

impl NewInstance {
    /// Where it is.
    pub(crate) fn place(&self) -> &NewPlace {
        &self.place
    }

    /// The folder, where it is in one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match &self.place {
            NewPlace::Folder { path, .. } => Some(path),
            NewPlace::Storage(_) => None,
        }
    }

    /// The name of the storage, where its data is in one.
    pub(crate) fn storage(&self) -> Option<&str> {
        match &self.place {
            NewPlace::Folder { .. } => None,
            NewPlace::Storage(name) => Some(name),
        }
    }

    /// Makes the folders, and records which backup comes into it.
    pub(crate) fn begin(&self, id: &BackupId) -> Result<()> {
        for folder in self.folder().into_iter().chain([&*self.state]) {
            create_folder(folder).map_err(|error| Error::io("create", folder, error))?;
        }
        let text = format!("{id}\n{}\n", self.location);
        write_atomically(&self.state.join(OF_BACKUP), text.as_bytes())?;
        match self.folder() {
            Some(folder) => Ok(sync_folder(folder)?),
            None => Ok(()),
        }
    }

    /// Removes what was made where nothing was restored; what has a file stays.
    pub(crate) fn give_up(&self) {
        let Some(folder) = self.folder() else {
            // Of an interrupted restore, the storage has a part already.
            if !self.is_resumed {
                let _ = std::fs::remove_dir_all(&self.state);
                self.remove_parent();
            }
            return;
        };
        if folder.join("arc.toml").exists() || has_files(&folder.join("data")) {
            return;
        }
        let _ = std::fs::remove_dir_all(&self.state);
        remove_empty(folder);
    }

    /// Writes its `arc.toml`, when everything else is there.
    pub(crate) fn finish(&self) -> Result<()> {
        if let NewPlace::Folder { path, config } = &self.place {
            // Interrupted runs leave folders for what they would have set aside.
            remove_empty(&path.join("data/arc.before-restore"));
            write_atomically(&path.join("arc.toml"), config.as_bytes())?;
        }
        match std::fs::remove_dir_all(&self.state) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &self.state, error));
            }
            _ => {}
        }
        match self.folder() {
            Some(folder) => Ok(sync_folder(folder)?),
            None => {
                self.remove_parent();
                Ok(())
            }
        }
    }

    /// Removes the folder above that of a storage, unless a restore into another storage was
    /// interrupted.
    fn remove_parent(&self) {
        let _ = self.state.parent().map(std::fs::remove_dir);
    }
}

/// What an interrupted restore brings into a new instance.
pub(super) struct Interrupted {
    /// The id of the backup.
    pub(super) backup_id: String,
    /// Where its data comes to; empty where that is not recorded.
    pub(super) location: String,
}

/// The interrupted restore of the new instance with these own files.
pub(super) fn interrupted(state: &Path) -> Option<Interrupted> {
    let text = std::fs::read_to_string(state.join(OF_BACKUP)).ok()?;
    let mut lines = text.lines().map(str::trim);
    Some(Interrupted {
        backup_id: lines.next()?.to_owned(),
        location: lines.next().unwrap_or_default().to_owned(),
    })
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
