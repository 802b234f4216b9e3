//! A cache of inventories: a client that pages through the files of a backup requests the same one
//! many times.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::files::Scratch;
use crate::manifest::{BackupId, Inventory};

/// The number of cached inventories.
const MAX_CACHED: usize = 4;
/// How long an inventory is cached. After an hour, the folder of a listing counts as a leftover.
const MAX_AGE: Duration = Duration::from_secs(600);

/// An inventory in a private local copy. Dropping it removes the copy.
#[derive(Debug)]
pub struct LocalInventory {
    /// The inventory.
    pub inventory: Inventory,
    pub(crate) scratch: Scratch,
}

/// Identifies an inventory: the target, the backup, and the SHA-256 of the file.
pub(crate) type InventoryId = (String, String, String);

/// The cached inventories, newest last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inventories(Arc<Mutex<Vec<Cached>>>);

/// A cached inventory, with the moment when it was read.
type Cached = (InventoryId, Instant, Arc<LocalInventory>);

impl Inventories {
    /// Returns the cached inventory, if its file still exists.
    pub(crate) fn get(&self, id: &InventoryId) -> Option<Arc<LocalInventory>> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.retain(|(_, since, local)| since.elapsed() < MAX_AGE && local.path().exists());
        let found = cached.iter().find(|(other, _, _)| other == id);
        found.map(|(_, _, local)| local.clone())
    }

    /// Removes those of a backup.
    pub(crate) fn forget(&self, id: &BackupId) {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.retain(|((_, of, _), _, _)| of != id.as_str());
    }

    pub(crate) fn insert(&self, id: InventoryId, local: &Arc<LocalInventory>) {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.retain(|(other, since, _)| *other != id && since.elapsed() < MAX_AGE);
        if cached.len() >= MAX_CACHED {
            cached.remove(0);
        }
        cached.push((id, Instant::now(), local.clone()));
        // Cached files take disk space even when no more requests come.
        let all = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(MAX_AGE).await;
            let mut cached = all.0.lock().unwrap_or_else(PoisonError::into_inner);
            cached.retain(|(_, since, _)| since.elapsed() < MAX_AGE);
        });
    }
}

impl LocalInventory {
    fn path(&self) -> &Path {
        self.scratch.path()
    }
}
