//! What restores have set aside, in figures.

use std::collections::BTreeMap;

use crate::{ListStream, Listed, Result};
use futures::StreamExt;

/// What one operation has set aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AsideArea {
    /// The operation's name.
    pub area: String,
    /// How many objects it has set aside.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// An object that was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsideObject {
    /// Its size in bytes.
    pub size: u64,
    /// Whether the object at its place has the same bytes, as far as the store shows that. In
    /// doubt it is another one.
    pub is_live: bool,
}

/// Adds up what was set aside, by operation.
#[derive(Debug, Default)]
pub struct AsideAreas(BTreeMap<String, (u64, u64)>);

impl AsideAreas {
    /// Adds an object; its path begins with the operation's name.
    pub fn add(&mut self, path: &str, bytes: u64) {
        if let Some((area, _)) = path.split_once('/') {
            let sums = self.0.entry(area.to_owned()).or_default();
            sums.0 += 1;
            sums.1 += bytes;
        }
    }

    /// Adds all objects of a listing, whose keys have the operation's name behind `prefix`.
    ///
    /// # Errors
    /// That of the listing.
    pub async fn add_listing(&mut self, mut rows: ListStream, prefix: &str) -> Result<()> {
        while let Some(row) = rows.next().await {
            if let Listed::Object(meta) = row? {
                self.add(
                    meta.key.strip_prefix(prefix).unwrap_or(&meta.key),
                    meta.size,
                );
            }
        }
        Ok(())
    }

    /// The sums, by the names of the operations.
    #[must_use]
    pub fn into_vec(self) -> Vec<AsideArea> {
        let sums = self.0.into_iter();
        sums.map(|(area, (files, bytes))| AsideArea { area, files, bytes })
            .collect()
    }
}
