//! The files of a backup that lie in the folders of others.

use std::collections::HashMap;

use arc_backup_core::{Key, ListOptions, ListStream, Listed, Meta};
use futures::StreamExt;

use crate::Result;
use crate::manifest::{BackupId, Inventory};
use crate::repository::{Repository, folder};

/// Up to how many files of a folder are asked for one by one. A page of a listing has more, and a
/// folder may have many pages.
const FEW: u64 = 100;

/// Finds files in the folders of other backups, asked for in byte order of their paths.
pub(crate) struct Elsewhere {
    repository: Repository,
    /// How many files of each folder are asked for.
    counts: HashMap<BackupId, u64>,
    listings: HashMap<BackupId, Listing>,
}

struct Listing {
    rows: ListStream,
    head: Option<Meta>,
}

impl Elsewhere {
    /// For the files in `inventory`, in this target.
    pub(crate) fn new(repository: &Repository, inventory: &Inventory) -> Result<Self> {
        let mut counts: HashMap<BackupId, u64> = HashMap::new();
        if inventory.refers_to_other_backups() {
            for record in inventory.records()? {
                if let Some(holder) = record?.stored_in {
                    *counts.entry(holder).or_default() += 1;
                }
            }
        }
        Ok(Self {
            repository: repository.clone(),
            counts,
            listings: HashMap::new(),
        })
    }

    /// What is known of the object `key` in the folder of `holder`; `None` where it is absent.
    pub(crate) async fn meta(&mut self, holder: &BackupId, key: &Key) -> Result<Option<Meta>> {
        if self.counts.get(holder).is_some_and(|count| *count > FEW) {
            let listing = (self.listings.entry(holder.clone()))
                .or_insert_with(|| Listing::new(&self.repository, holder, key));
            if let Some(meta) = listing.find(key).await? {
                return Ok(Some(meta));
            }
        }
        // One that a listing lacks may be in a folder that can't be listed.
        Ok(self.repository.sink().head(key).await?)
    }
}

impl Listing {
    fn new(repository: &Repository, holder: &BackupId, first: &Key) -> Self {
        let above = first.rfind('/').map(|at| first[..=at].to_owned());
        let options = ListOptions {
            start_after: above,
            ..ListOptions::within(&folder(holder))
        };
        Self {
            rows: repository.sink().list(options),
            head: None,
        }
    }

    async fn find(&mut self, key: &Key) -> Result<Option<Meta>> {
        loop {
            if self.head.as_ref().is_some_and(|head| head.key >= *key) {
                return Ok(self.head.take_if(|head| head.key == *key));
            }
            self.head = match self.rows.next().await {
                Some(Ok(Listed::Object(meta))) => Some(meta),
                Some(Ok(Listed::Other { .. })) => None,
                Some(Err(error)) if error.is_of_one_place() => None,
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(None),
            };
        }
    }
}
