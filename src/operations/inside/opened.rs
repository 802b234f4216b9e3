//! A backup that is looked into.

use std::sync::Arc;

use super::backup_file::BackupFile;
use super::folder::{self, FolderChild, FolderTotals};
use super::path;
use crate::manifest::{BackupId, Inventory, InventoryFault, Record};
use crate::operations::{ArcBackup, LocalInventory};
use crate::repository::{Loaded, Repository};
use crate::{Error, Result};

/// A backup that is looked into: its list of files in a private local copy, and where it is.
#[derive(Debug)]
pub struct OpenedBackup {
    id: BackupId,
    repository: Repository,
    loaded: Loaded,
    local: Arc<LocalInventory>,
}

impl ArcBackup {
    /// Opens a backup to look into it, in `target` or the first target that answers.
    ///
    /// # Errors
    /// As [`find`](Self::find), and [`Error::Damaged`] where its list of files is.
    pub async fn open(&self, id: &BackupId, target: Option<&str>) -> Result<Arc<OpenedBackup>> {
        match self.find_with_inventory(id, target).await {
            Ok((repository, loaded, local)) => Ok(Arc::new(OpenedBackup {
                id: id.clone(),
                repository,
                loaded,
                local,
            })),
            Err(InventoryFault::Damaged { list, detail }) => Err(Error::Damaged {
                id: id.to_string(),
                detail: format!("{list} {detail}"),
            }),
            Err(InventoryFault::Other(error)) => Err(error),
        }
    }
}

impl OpenedBackup {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &BackupId {
        &self.id
    }

    /// The target that it is in.
    #[must_use]
    pub fn target(&self) -> &str {
        self.repository.name()
    }

    /// Whether its list of files has checksums.
    #[must_use]
    pub fn has_checksums(&self) -> bool {
        self.loaded.has_checksums
    }

    pub(crate) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    pub(crate) fn inventory(&self) -> &Inventory {
        &self.local.inventory
    }

    /// One file, by its path in the backup.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what can't be a path, [`Error::NoSuchFile`] where the backup does not
    /// have it.
    pub fn file(&self, text: &str) -> Result<BackupFile> {
        let path = path::file(text)?;
        match self.inventory().find(&path)? {
            Some(record) => Ok(BackupFile {
                id: self.id.clone(),
                repository: self.repository.clone(),
                local: self.local.clone(),
                record,
            }),
            None => Err(self.lacks(text)),
        }
    }

    /// Gives each file and folder right in the folder `text` to `take`, in byte order, and returns
    /// the totals of all of them. Without a text, the folder is the backup itself.
    ///
    /// # Errors
    /// As [`file`](Self::file), and those of `take`.
    pub fn children(
        &self,
        text: &str,
        take: impl FnMut(FolderChild) -> Result<()>,
    ) -> Result<FolderTotals> {
        let folder = path::folder(text)?;
        let totals = folder::children(self.inventory(), folder.as_ref(), take)?;
        match totals.files == 0 && folder.is_some() {
            true => Err(self.lacks(text)),
            false => Ok(totals),
        }
    }

    /// The files at `text` or anywhere below it, in byte order. Whether there is any shows only
    /// when they are read: see [`lacks`](Self::lacks).
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub(crate) fn files(
        &self,
        text: &str,
    ) -> Result<impl Iterator<Item = Result<Record>> + Send + use<>> {
        let folder = path::folder(text)?;
        folder::files_at(self.inventory(), folder.as_ref())
    }

    /// The error for a path at which the backup has nothing.
    pub(crate) fn lacks(&self, text: &str) -> Error {
        Error::NoSuchFile {
            id: self.id.to_string(),
            path: text.to_owned(),
        }
    }
}
