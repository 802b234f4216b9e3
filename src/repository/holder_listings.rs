//! Listings of the folders of backups that hold files of another one.
//!
//! A request for each of the files would be a million. So the folders that hold most of them are
//! listed, in step with the inventory: both are in byte order.

use std::cmp::Reverse;
use std::collections::HashMap;

use arc_backup_core::{Key, ListOptions, ListStream, Listed, Meta};
use futures::StreamExt;

use super::{Repository, folder};
use crate::Result;
use crate::manifest::BackupId;

/// How many folders are listed at once: each listing holds a page of keys.
const LISTINGS: usize = 32;
/// A folder with fewer of the files is not listed: it may be a large one.
const FEWEST_FILES: u64 = 64;

/// The listings.
pub(crate) struct HolderListings(HashMap<BackupId, Cursor>);

/// How far a folder is listed.
struct Cursor {
    listing: ListStream,
    next: Option<Meta>,
}

impl HolderListings {
    /// Lists, of these backups with how many of the files they hold, the folders of those that hold
    /// most. `prefix` is what the keys of a backup begin with. Also returns how many files the
    /// others hold.
    pub(crate) fn new(
        repository: &Repository,
        mut holders: Vec<(BackupId, u64)>,
        prefix: impl Fn(&Key) -> String,
    ) -> (Self, u64) {
        holders.sort_by_key(|(_, files)| Reverse(*files));
        let (mut listings, mut not_listed) = (HashMap::new(), 0);
        for (holder, files) in holders {
            if listings.len() == LISTINGS || files < FEWEST_FILES {
                not_listed += files;
                continue;
            }
            let listing = repository.sink().list(ListOptions {
                prefix: prefix(&folder(&holder)),
                ..ListOptions::default()
            });
            let cursor = Cursor {
                listing: listing.fuse().boxed(),
                next: None,
            };
            listings.insert(holder, cursor);
        }
        (Self(listings), not_listed)
    }

    /// Whether the folder of this backup is listed.
    pub(crate) fn has(&self, holder: &BackupId) -> bool {
        self.0.contains_key(holder)
    }

    /// The object at `key` in the folder of the backup `holder`, as its listing shows it. Keys are
    /// asked for in byte order. What can't be listed is left out.
    ///
    /// # Errors
    /// Those of the target.
    pub(crate) async fn find(&mut self, holder: &BackupId, key: &Key) -> Result<Option<Meta>> {
        let Some(cursor) = self.0.get_mut(holder) else {
            return Ok(None);
        };
        while (cursor.next.as_ref()).is_none_or(|next| next.key < *key) {
            match cursor.listing.next().await {
                Some(Ok(Listed::Object(meta))) => cursor.next = Some(meta),
                Some(Ok(Listed::Other { .. })) => {}
                Some(Err(error)) if error.is_of_one_place() => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(None),
            }
        }
        Ok(cursor.next.take_if(|next| next.key == *key))
    }
}
