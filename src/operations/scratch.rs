//! Scratch folders: temporary files of operations on local disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::Scratch;
use crate::{Error, Result};

/// Folders of operations, each by its id.
const OPERATIONS: &str = "operations";
/// Folders of dead operations, to be removed.
const STALE: &str = "stale";
/// Folders of listings, any number at a time.
const READS: &str = "reads";

/// The folder `<state folder>/scratch`.
#[derive(Debug, Clone)]
pub(crate) struct ScratchFolders(PathBuf);

impl ScratchFolders {
    pub(crate) fn new(state_folder: &Path) -> Self {
        Self(state_folder.join("scratch"))
    }

    /// Creates the folder of an operation.
    pub(crate) fn for_operation(&self, operation_id: &str) -> Result<Scratch> {
        create(self.0.join(OPERATIONS).join(operation_id))
    }

    /// Creates a folder for a listing.
    pub(crate) fn for_reading(&self) -> Result<Scratch> {
        create(self.0.join(READS).join(crate::random::random_hex::<8>()?))
    }

    /// Removes the folder of a dead operation, where it has one. The caller holds its slot.
    pub(crate) fn remove(&self, operation_id: &str) {
        let is_name = Path::new(operation_id).file_name() == Some(operation_id.as_ref());
        if is_name {
            // The next operation that writes attempts it again.
            let _ = std::fs::remove_dir_all(self.0.join(OPERATIONS).join(operation_id));
        }
    }

    /// The folders of operations that do not run, by `runs`.
    fn dead(&self, runs: impl Fn(&str) -> bool) -> impl Iterator<Item = PathBuf> {
        let folders = std::fs::read_dir(self.0.join(OPERATIONS));
        (folders.into_iter().flatten().flatten())
            .filter(move |folder| !folder.file_name().to_str().is_some_and(&runs))
            .map(|folder| folder.path())
    }

    /// Renames the folders of dead operations, for [`Stale::remove`]. The caller holds the
    /// instance's lock or keeps it free, so that no operation that writes uses one. Of the others,
    /// `runs` says by its id whether one does.
    pub(crate) fn take_stale(&self, runs: impl Fn(&str) -> bool) -> Result<Stale> {
        let stale = self.0.join(STALE);
        for folder in self.dead(runs) {
            crate::files::create_folder(&stale).map_err(|e| Error::io("create", &stale, e))?;
            let to = stale.join(crate::random::random_hex::<8>()?);
            match std::fs::rename(&folder, &to) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("rename", &folder, error));
                }
                _ => {}
            }
        }
        Ok(Stale(stale))
    }

    /// Removes leftover folders. The caller holds the instance's lock, so that no operation that
    /// writes uses one. Of the others, `runs` says by its id whether one does. A listing takes no
    /// lock, but it ends within an hour.
    pub(crate) fn clean(&self, runs: impl Fn(&str) -> bool) -> Result<()> {
        for folder in self.dead(runs) {
            let removed = std::fs::remove_dir_all(&folder);
            match removed.or_else(|_| std::fs::remove_file(&folder)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", &folder, error));
                }
                _ => {}
            }
        }
        Stale(self.0.join(STALE)).remove();
        let Ok(reads) = std::fs::read_dir(self.0.join(READS)) else {
            return Ok(());
        };
        for read in reads.flatten() {
            let age = (read.metadata())
                .and_then(|meta| meta.modified())
                .ok()
                .and_then(|time| time.elapsed().ok());
            if age.is_some_and(|age| age > Duration::from_secs(3600)) {
                // The next operation attempts it again.
                let _ = std::fs::remove_dir_all(read.path());
            }
        }
        Ok(())
    }
}

/// Scratch folders that nobody uses.
pub(crate) struct Stale(PathBuf);

impl Stale {
    /// Removes the folders.
    pub(crate) fn remove(&self) {
        // The next operation removes the rest.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn create(path: PathBuf) -> Result<Scratch> {
    Scratch::create(path.clone()).map_err(|e| {
        Error::io("create", &path, e)
            .context("set `backup.state_path` to a file in a folder that can be written")
    })
}
