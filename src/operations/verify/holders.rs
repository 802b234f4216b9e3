//! The files of a backup that other backups hold: whether each is there, with its size.

use arc_backup_core::{Key, Meta};

use crate::Result;
use crate::manifest::{BackupId, Manifest};
use crate::repository::{HolderListings, Repository};

/// Where to look for files of other backups.
pub(super) struct Holders<'a> {
    repository: &'a Repository,
    listings: HolderListings,
}

impl<'a> Holders<'a> {
    /// Those of the backup with this manifest.
    pub(super) fn new(repository: &'a Repository, manifest: &Manifest) -> Self {
        let holders = (manifest.stored_in.iter())
            .filter_map(|(holder, totals)| Some((BackupId::parse(holder).ok()?, totals.files)))
            .collect();
        let whole = |folder: &Key| format!("{folder}/");
        let (listings, _) = HolderListings::new(repository, holders, whole);
        Self {
            repository,
            listings,
        }
    }

    /// The object at `key` in the folder of the backup `holder`; `None` where it is missing. Keys
    /// are asked for in byte order.
    pub(super) async fn object(&mut self, holder: &BackupId, key: &Key) -> Result<Option<Meta>> {
        if let Some(found) = self.listings.find(holder, key).await? {
            return Ok(Some(found));
        }
        // One that a listing lacks may be in a folder that can't be listed.
        Ok(self.repository.sink().head(key).await?)
    }
}
