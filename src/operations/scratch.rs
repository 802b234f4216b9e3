//! Scratch folders: temporary files of operations on local disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::Scratch;
use crate::{Error, Result};

/// Folders of operations, one at a time.
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

    /// Renames the folders of dead operations, for [`Stale::remove`]. The caller holds the
    /// instance's lock or keeps it free, so that no operation uses one.
    pub(crate) fn take_stale(&self) -> Result<Stale> {
        let operations = self.0.join(OPERATIONS);
        let stale = self.0.join(STALE);
        if !operations.exists() {
            return Ok(Stale(stale));
        }
        crate::files::create_folder(&stale).map_err(|e| Error::io("create", &stale, e))?;
        let to = stale.join(crate::random::random_hex::<8>()?);
        match std::fs::rename(&operations, &to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("rename", &operations, error))
            }
            _ => Ok(Stale(stale)),
        }
    }

    /// Removes leftover folders. The caller holds the instance's lock, so that no operation uses
    /// one. A listing takes no lock, but it ends within an hour.
    pub(crate) fn clean(&self) -> Result<()> {
        let operations = self.0.join(OPERATIONS);
        match std::fs::remove_dir_all(&operations) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &operations, error));
            }
            _ => {}
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
