//! What restores have set aside, in figures.

use std::collections::BTreeMap;

use crate::object::Listed;
use crate::{Key, ListOptions, Result, Sink};
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

    /// Adds all objects of a sink below `folder`.
    ///
    /// # Errors
    /// When the sink can't be listed.
    pub async fn add_all(&mut self, sink: &dyn Sink, folder: Option<&Key>) -> Result<()> {
        let options = folder.map(ListOptions::within).unwrap_or_default();
        let prefix = options.prefix.clone();
        let mut rows = sink.list(options);
        while let Some(row) = rows.next().await {
            if let Listed::Object(meta) = row? {
                self.add(
                    meta.key.strip_prefix(&prefix).unwrap_or(&meta.key),
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
