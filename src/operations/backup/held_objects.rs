//! The objects that a backup refers to, or copies within the store: whether each is there, as it
//! was when its backup was made.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, SystemTime};

use arc_backup_core::{Key, Meta, Section};
use tokio::sync::Mutex;

use crate::Result;
use crate::manifest::{BackupId, Record};
use crate::operations::backup::base::{Base, Way};
use crate::operations::context::Context;
use crate::repository::{HolderListings, Repository, location_of, manifest_key};

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
    listings: HolderListings,
    /// Of this many files in folders that are not listed, one is asked for.
    one_of: u64,
}

impl HeldObjects {
    /// Those of the base's files of a section. On local disk each link shows what is there.
    pub(super) fn new(context: &Context, base: &Base, section: &Section) -> Self {
        let others: u64 = base.holders.iter().map(|(_, files)| files).sum();
        let own = base.inventory.totals_of(section).0.saturating_sub(others);
        let is_needed = base.way != Way::Link;
        let mut holders = Vec::new();
        if is_needed {
            holders.clone_from(&base.holders);
            holders.push((base.id.clone(), own));
        }
        let in_section = |folder: &Key| format!("{folder}/{section}/");
        let (listings, not_listed) = HolderListings::new(&context.repository, holders, in_section);
        Self {
            base: base.id.clone(),
            id: context.id.clone(),
            is_needed,
            listings,
            one_of: not_listed.div_ceil(REQUESTS).max(1),
        }
    }

    /// What the listings show of the object of this record. Records come in byte order.
    pub(super) async fn look(&mut self, of_base: &Record) -> Result<Held> {
        if !self.is_needed {
            return Ok(Held::NotAsked);
        }
        let (holder, key) = location_of(&self.base, of_base)?;
        if self.listings.has(&holder) {
            // One that a listing lacks may have been stored a moment ago.
            let found = self.listings.find(&holder, &key).await?;
            return Ok(found.map_or(Held::Ask, Held::Listed));
        }
        let mut hasher = DefaultHasher::new();
        (self.id.as_str(), of_base.path.as_str()).hash(&mut hasher);
        Ok(match hasher.finish().is_multiple_of(self.one_of) {
            true => Held::Ask,
            false => Held::NotAsked,
        })
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
