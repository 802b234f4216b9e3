//! The objects that a backup refers to, or copies within the store: whether each is there, as it
//! was when its backup was made.
//!
//! A request for each would be a million. So the folders of the backups that hold most of them are
//! listed, in step with the inventory: both are in byte order.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, SystemTime};

use arc_backup_core::{ListOptions, ListStream, Listed, Meta, Section};
use futures::StreamExt;
use tokio::sync::Mutex;

use crate::Result;
use crate::manifest::{BackupId, Record};
use crate::operations::backup::base::{Base, Way};
use crate::operations::context::Context;
use crate::repository::{Repository, folder, location_of, manifest_key};

/// How many folders are listed at once: each listing holds a page of keys.
const LISTINGS: usize = 32;
/// A folder with fewer of the files is not listed: it may be a large one.
const FEWEST_FILES: u64 = 64;
/// About how many of the files in folders that are not listed are asked for, drawn again by each
/// backup.
const REQUESTS: u64 = 1000;
/// Stores give times in seconds to some requests, and their machines differ a little.
const MARGIN: Duration = Duration::from_secs(2);

/// What a listing shows of an object.
#[derive(Debug)]
pub(super) enum Held {
    /// It was not looked for.
    NotAsked,
    /// It is there.
    Listed(Meta),
    /// The object itself has to be asked for.
    Ask,
}

/// The listings of the holders, in step with the base's inventory.
pub(super) struct HeldObjects {
    base: BackupId,
    /// The backup that is made, by which it is drawn what is asked for.
    id: BackupId,
    is_needed: bool,
    listings: HashMap<BackupId, Cursor>,
    /// Of this many files in folders that are not listed, one is asked for.
    one_of: u64,
}

/// How far a folder is listed.
struct Cursor {
    listing: ListStream,
    next: Option<Meta>,
}

impl HeldObjects {
    /// Those of the base's files of a section. On local disk each link shows what is there.
    pub(super) fn new(context: &Context, base: &Base, section: &Section) -> Self {
        let others: u64 = base.holders.iter().map(|(_, files)| files).sum();
        let own = base.inventory.totals_of(section).0.saturating_sub(others);
        let mut holders = base.holders.clone();
        holders.push((base.id.clone(), own));
        holders.sort_by_key(|(_, files)| std::cmp::Reverse(*files));
        let is_needed = base.way != Way::Link;
        let is_listed = |(number, (_, files)): &(usize, (BackupId, u64))| {
            *number < LISTINGS && *files >= FEWEST_FILES
        };
        let (listed, not_listed): (Vec<_>, Vec<_>) = holders
            .into_iter()
            .enumerate()
            .filter(|_| is_needed)
            .partition(is_listed);
        let sink = context.repository.sink();
        let listings = listed.into_iter().map(|(_, (holder, _))| {
            let cursor = Cursor {
                listing: sink
                    .list(ListOptions {
                        prefix: format!("{}/{section}/", folder(&holder)),
                        ..ListOptions::default()
                    })
                    .fuse()
                    .boxed(),
                next: None,
            };
            (holder, cursor)
        });
        let files: u64 = not_listed.iter().map(|(_, (_, files))| files).sum();
        Self {
            base: base.id.clone(),
            id: context.id.clone(),
            is_needed,
            listings: listings.collect(),
            one_of: files.div_ceil(REQUESTS).max(1),
        }
    }

    /// What the listings show of the object of this record. Records come in byte order.
    pub(super) async fn look(&mut self, of_base: &Record) -> Result<Held> {
        if !self.is_needed {
            return Ok(Held::NotAsked);
        }
        let (holder, key) = location_of(&self.base, of_base)?;
        if let Some(cursor) = self.listings.get_mut(&holder) {
            // One that a listing lacks may have been stored a moment ago.
            return Ok(cursor.find(&key).await?.map_or(Held::Ask, Held::Listed));
        }
        let mut hasher = DefaultHasher::new();
        (self.id.as_str(), of_base.path.as_str()).hash(&mut hasher);
        Ok(match hasher.finish().is_multiple_of(self.one_of) {
            true => Held::Ask,
            false => Held::NotAsked,
        })
    }
}

impl Cursor {
    async fn find(&mut self, key: &str) -> Result<Option<Meta>> {
        while (self.next.as_ref()).is_none_or(|next| *next.key < *key) {
            match self.listing.next().await {
                Some(Ok(Listed::Object(meta))) => self.next = Some(meta),
                Some(Ok(Listed::Other { .. })) => {}
                Some(Err(error)) if error.is_of_one_place() => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(None),
            }
        }
        Ok(self.next.take_if(|next| *next.key == *key))
    }
}

/// When backups were published, by the clock of the store: their manifests are the last that is
/// written of them.
#[derive(Debug, Default)]
pub(super) struct Published(Mutex<HashMap<BackupId, Option<SystemTime>>>);

impl Published {
    /// Whether the object was written after its backup was published. Where only files of the
    /// backup are left, nothing shows that.
    pub(super) async fn is_before(
        &self,
        repository: &Repository,
        holder: &BackupId,
        object: &Meta,
    ) -> Result<bool> {
        let Some(modified) = object.modified else {
            return Ok(false);
        };
        let mut known = self.0.lock().await;
        let published = match known.get(holder) {
            Some(published) => *published,
            None => {
                let manifest = repository.sink().head(&manifest_key(holder)).await?;
                let published = manifest.and_then(|manifest| manifest.modified);
                known.insert(holder.clone(), published);
                published
            }
        };
        Ok(published.is_some_and(|published| modified > published + MARGIN))
    }
}
