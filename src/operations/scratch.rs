//! Folders for what an operation needs on local disk while it runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::Scratch;
use crate::{Error, Result};

/// Those of operations, one at a time.
const OPERATIONS: &str = "operations";
/// Those of operations that are dead, on their way out.
const STALE: &str = "stale";
/// Those of listings, any number at a time.
const READS: &str = "reads";

/// `<state folder>/scratch`.
#[derive(Debug, Clone)]
pub(crate) struct ScratchFolders(PathBuf);

impl ScratchFolders {
    pub(crate) fn new(state_folder: &Path) -> Self {
        Self(state_folder.join("scratch"))
    }

    /// One for an operation.
    pub(crate) fn for_operation(&self, operation_id: &str) -> Result<Scratch> {
        create(self.0.join(OPERATIONS).join(operation_id))
    }

    /// One for somebody who only reads.
    pub(crate) fn for_reading(&self) -> Result<Scratch> {
        create(self.0.join(READS).join(crate::random::random_hex::<8>()?))
    }

    /// Takes those of dead operations out of the way, for [`Stale::remove`]. With the instance's lock held, or found free and
    /// kept so: then no operation has one in use.
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

    /// Removes those that crashes have left. With the instance's lock held, no operation has one in use; a listing of
    /// files, which needs no lock, is done with its own long before an hour is over.
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
                // The next operation tries again.
                let _ = std::fs::remove_dir_all(read.path());
            }
        }
        Ok(())
    }
}

/// Scratch folders that nobody has in use.
pub(crate) struct Stale(PathBuf);

impl Stale {
    /// Removes them.
    pub(crate) fn remove(&self) {
        // What stays is removed by the next operation.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn create(path: PathBuf) -> Result<Scratch> {
    Scratch::create(path.clone()).map_err(|e| {
        Error::io("create", &path, e)
            .context("set `backup.state_path` to a file in a folder that can be written")
    })
}
