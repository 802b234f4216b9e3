//! Inventories that were read a moment ago: who pages through the files of a backup asks for the same one again and again.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::files::Scratch;
use crate::manifest::Inventory;

/// How many are kept.
const KEPT: usize = 4;
/// For how long: well below the hour after which the folders of listings are taken for those of crashes.
const AGE: Duration = Duration::from_secs(600);

/// An inventory in a private local copy, which is removed with it.
#[derive(Debug)]
pub struct LocalInventory {
    /// The inventory.
    pub inventory: Inventory,
    pub(crate) scratch: Scratch,
}

/// Which inventory it is: the target, the backup, and the SHA-256 of the file.
pub(crate) type InventoryId = (String, String, String);

/// Those that were read a moment ago, newest last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inventories(Arc<Mutex<Vec<Kept>>>);

/// One that was read then.
type Kept = (InventoryId, Instant, Arc<LocalInventory>);

impl Inventories {
    /// The inventory of this name, where it is kept, and its file is still there.
    pub(crate) fn get(&self, id: &InventoryId) -> Option<Arc<LocalInventory>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, since, local)| since.elapsed() < AGE && local.path().exists());
        let found = kept.iter().find(|(other, _, _)| other == id);
        found.map(|(_, _, local)| local.clone())
    }

    pub(crate) fn keep(&self, id: InventoryId, local: &Arc<LocalInventory>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(other, since, _)| *other != id && since.elapsed() < AGE);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((id, Instant::now(), local.clone()));
        // They take room, also where nobody asks any more.
        let all = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(AGE).await;
            let mut kept = all.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.retain(|(_, since, _)| since.elapsed() < AGE);
        });
    }
}

impl LocalInventory {
    fn path(&self) -> &Path {
        self.scratch.path()
    }
}
