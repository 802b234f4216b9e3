//! The files of a backup that other backups hold: whether each is there, with its size.
//!
//! A request for each would be a million. So the folders of the backups that hold most of them are
//! listed, in step with the inventory: both are in byte order.

use std::collections::HashMap;

use arc_backup_core::{Key, ListOptions, ListStream, Listed, Meta};
use futures::StreamExt;

use crate::Result;
use crate::manifest::{BackupId, Manifest};
use crate::repository::{Repository, folder};

/// How many folders are listed at once: each listing holds a page of keys.
const LISTINGS: usize = 32;
/// A folder with fewer files of the backup is not listed: it may be a large one.
const FEWEST_FILES: u64 = 64;

/// Where to look for files of other backups.
pub(super) struct Holders<'a> {
    repository: &'a Repository,
    listings: HashMap<BackupId, Cursor>,
}

/// How far a folder is listed.
struct Cursor {
    listing: ListStream,
    next: Option<Meta>,
}

impl<'a> Holders<'a> {
    /// Those of the backup with this manifest.
    pub(super) fn new(repository: &'a Repository, manifest: &Manifest) -> Self {
        let mut holders: Vec<_> = (manifest.stored_in.iter())
            .filter(|(_, totals)| totals.files >= FEWEST_FILES)
            .filter_map(|(holder, totals)| Some((totals.files, BackupId::parse(holder).ok()?)))
            .collect();
        holders.sort_unstable_by_key(|(files, _)| std::cmp::Reverse(*files));
        let listings = holders.into_iter().take(LISTINGS).map(|(_, holder)| {
            let cursor = Cursor {
                listing: repository
                    .sink()
                    .list(ListOptions::within(&folder(&holder)))
                    .fuse()
                    .boxed(),
                next: None,
            };
            (holder, cursor)
        });
        Self {
            repository,
            listings: listings.collect(),
        }
    }

    /// The object at `key` in the folder of the backup `holder`; `None` where it is missing. Keys
    /// are asked for in byte order.
    pub(super) async fn object(&mut self, holder: &BackupId, key: &Key) -> Result<Option<Meta>> {
        if let Some(cursor) = self.listings.get_mut(holder)
            && let Some(found) = cursor.find(key).await?
        {
            return Ok(Some(found));
        }
        // One that a listing lacks may be in a folder that can't be listed.
        Ok(self.repository.sink().head(key).await?)
    }
}

impl Cursor {
    async fn find(&mut self, key: &Key) -> Result<Option<Meta>> {
        while (self.next.as_ref()).is_none_or(|next| next.key < *key) {
            match self.listing.next().await {
                Some(Ok(Listed::Object(meta))) => self.next = Some(meta),
                Some(Ok(Listed::Other { .. })) => {}
                Some(Err(error)) if error.is_of_one_place() => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(None),
            }
        }
        Ok(self.next.take_if(|next| next.key == *key))
    }
}
