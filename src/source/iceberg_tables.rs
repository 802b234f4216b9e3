//! Which Iceberg tables a backup has files of, and how many live files these have beside them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arc_backup_core::{Entry, Meta};

/// The folders of Iceberg metadata, `…/metadata/`.
#[derive(Debug, Default)]
pub(super) struct Tables(Mutex<BTreeMap<String, Table>>);

#[derive(Debug, Clone, Copy, Default)]
struct Table {
    /// Whether the backup has a file of it.
    is_held: bool,
    /// Live files of it that the backup does not have.
    extra: u64,
}

impl Tables {
    /// Adds a file that the backup has, or is live.
    pub(super) fn add(&self, entry: Option<&Entry>, live: Option<&Meta>) {
        let key = (entry.map(|entry| &entry.key)).or_else(|| live.map(|live| &live.key));
        let Some((folder, _)) = key.and_then(|key| key.rsplit_once('/')) else {
            return;
        };
        if folder.rsplit('/').next() != Some("metadata") {
            return;
        }
        let mut tables = self.lock();
        let table = tables.entry(folder.to_owned()).or_default();
        match entry {
            Some(_) => table.is_held = true,
            None => table.extra += 1,
        }
    }

    /// How many live files the tables have that the backup has too, beside its own files.
    pub(super) fn extra(&self) -> u64 {
        let tables = self.lock();
        tables
            .values()
            .filter(|table| table.is_held)
            .map(|table| table.extra)
            .sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Table>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
