//! What the plan of a restore was made from, and what it changes by database.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use arc_backup_core::{
    Entry, FileChanges, Hasher, Key, Meta, RestoreSummary, Section, database_of,
};

use super::cold_places::ColdPlace;

/// Takes in each file of the backup and of the live data, in the order of the plan.
pub(super) struct PlanBasis {
    hasher: Hasher,
    /// `None` where its folders are no databases of Arc's.
    databases: Option<BTreeMap<String, FileChanges>>,
}

impl PlanBasis {
    pub(super) fn new(section: &str) -> Self {
        Self {
            hasher: Hasher::new(),
            databases: (section == Section::Data.as_str()).then(BTreeMap::new),
        }
    }

    /// Takes in a key: as the backup has it, as it is live, and in the cold tier. Returns the key.
    pub(super) fn add(
        &mut self,
        entry: Option<&Entry>,
        live: Option<&Meta>,
        cold: Option<&ColdPlace>,
    ) -> Option<Key> {
        if let Some(entry) = entry {
            let sha256 = entry.sha256.map(|digest| digest.to_string());
            self.fields(&[
                "entry",
                &entry.key,
                &entry.size.to_string(),
                sha256.as_deref().unwrap_or_default(),
                entry.tier.as_str(),
            ]);
        }
        if let Some(live) = live {
            self.live("live", live);
        }
        if let Some(cold) = cold {
            self.fields(&["row", &cold.row.to_string()]);
            if let Some(object) = &cold.object {
                self.live("cold", object);
            }
        }
        (entry.map(|one| &one.key))
            .or(live.map(|one| &one.key))
            .or(cold.map(|one| &one.key))
            .cloned()
    }

    fn live(&mut self, tier: &str, live: &Meta) {
        // None of before 1970: no file of Arc's is as old.
        let modified = (live.modified)
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
            .map(|since| since.as_nanos().to_string());
        self.fields(&[
            tier,
            &live.key,
            &live.size.to_string(),
            modified.as_deref().unwrap_or_default(),
            live.etag.as_deref().unwrap_or_default(),
        ]);
    }

    /// No field holds a zero byte.
    fn fields(&mut self, fields: &[&str]) {
        for field in fields {
            self.hasher.update(field.as_bytes());
            self.hasher.update(&[0]);
        }
    }

    /// Counts what was decided of the file at `key`, by the figures of before and after.
    pub(super) fn count(&mut self, key: Option<Key>, before: FileChanges, after: FileChanges) {
        let Some(databases) = &mut self.databases else {
            return;
        };
        if let Some(database) = key.as_deref().and_then(database_of) {
            match databases.get_mut(database) {
                Some(changes) => changes.add(after.since(before)),
                None => {
                    databases.insert(database.to_owned(), after.since(before));
                }
            }
        }
    }

    /// Adds it to the summary.
    pub(super) fn finish(self, summary: &mut RestoreSummary) {
        summary.basis = Some(self.hasher.finish());
        summary.databases = self.databases.unwrap_or_default();
    }
}
