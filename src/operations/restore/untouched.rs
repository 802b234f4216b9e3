//! Live files that a restore of the data leaves as they are, though the backup lacks them.
//!
//! A file that could not be read when the backup was made may be live and good: to set it aside
//! would lose the only copy. The same holds for the metadata of Iceberg tables under the storage
//! root, where the backup has that of a warehouse outside, and for files of whole days that have no
//! row of the time range.

use std::collections::BTreeSet;

use arc_backup_core::{Key, ListOptions, Listed, Scope, Section, Sink};
use futures::TryStreamExt;

use crate::config::{Settings, Warehouse};
use crate::manifest::{Inventory, Manifest, Skipped};
use crate::operations::entries::records_by_path;
use crate::operations::restore::options::{ExtraFilesPolicy, RestoreOptions};
use crate::source::ICEBERG;
use crate::{Error, Result};

/// What is restored of a backup.
pub(crate) struct ToRestore<'a> {
    pub(crate) inventory: &'a Inventory,
    /// The same, with the keys that the files have in the backup.
    pub(crate) of_backup: &'a Inventory,
    pub(crate) sections: &'a [Section],
    /// The keys of data files that stay.
    pub(crate) untouched: &'a BTreeSet<Key>,
}

/// Whether extra files of the data are moved or removed.
fn moves_extra(options: &RestoreOptions) -> bool {
    options.includes(&Section::Data) && options.extra_files != ExtraFilesPolicy::Keep
}

/// Refuses a restore of the data where the backup lacks more files than it names: their live
/// versions can't be distinguished from extra files.
pub(crate) fn check_named(manifest: &Manifest, options: &RestoreOptions) -> Result<()> {
    let skipped = Skipped::of(manifest);
    let count = (skipped.files)
        .saturating_add(skipped.overlong_keys)
        .saturating_add(skipped.metadata_files);
    let named: BTreeSet<&String> = skipped.sample.iter().collect();
    let is_unnamed =
        count > named.len() as u64 || manifest.missing_files > manifest.missing.len() as u64;
    if !moves_extra(options) || !is_unnamed {
        return Ok(());
    }
    Err(Error::Invalid(
        "the backup lacks files that could not be read when it was made, and names only some of them; live versions of the others \
         would be set aside: add --extra-files keep (extra_files), or restore without data"
            .to_owned(),
    ))
}

/// The keys of these live files, in `storage`. Where extra files stay anyway, those of files of
/// whole days alone: they are not extra.
pub(crate) async fn untouched(
    storage: &dyn Sink,
    settings: &Settings,
    manifest: &Manifest,
    inventory: &Inventory,
    options: &RestoreOptions,
) -> Result<BTreeSet<Key>> {
    let of_other_times = of_other_times(inventory, &options.scope)?;
    if !moves_extra(options) {
        return Ok(of_other_times);
    }
    let mut keys = BTreeSet::new();
    let skipped = Skipped::of(manifest).sample;
    let missing = manifest.missing.iter().map(|missing| missing.path.clone());
    for path in skipped.into_iter().chain(missing) {
        // Arc names them under its storage root, and may name them as they are in a backup.
        let key = path.strip_prefix("data/").unwrap_or(&path);
        match key.strip_suffix('/') {
            Some(_) => keys.extend(live(storage, key.to_owned(), |_| true).await?),
            None => keys.extend(Key::parse(key).ok()),
        }
        keys.extend(Key::parse(&path).ok());
    }
    let iceberg = Section::Other(ICEBERG.to_owned());
    if inventory.totals_of(&iceberg).0 > 0
        && let Warehouse::InStorage { prefix } =
            Warehouse::read(&settings.values, &settings.storage)?
    {
        let is_metadata = |key: &Key| {
            let is_rows = key.ends_with(".parquet");
            !is_rows && (!prefix.is_empty() || key.contains("/metadata/"))
        };
        keys.extend(live(storage, prefix.clone(), is_metadata).await?);
    }
    if !keys.is_empty() {
        // What the backup has is restored.
        for record in inventory.records_of(&Section::Data)? {
            keys.remove(&record?.entry.key);
        }
    }
    keys.extend(of_other_times);
    Ok(keys)
}

/// The files of whole days of which the time range has a part, and whose rows are all of other
/// hours.
fn of_other_times(inventory: &Inventory, scope: &Scope) -> Result<BTreeSet<Key>> {
    let mut keys = BTreeSet::new();
    if scope.time().is_open() {
        return Ok(keys);
    }
    for record in records_by_path(inventory, scope)? {
        let record = record?;
        if !scope.contains_entry(&record.section(), &record.entry) {
            keys.insert(record.entry.key);
        }
    }
    Ok(keys)
}

async fn live(
    storage: &dyn Sink,
    prefix: String,
    is_wanted: impl Fn(&Key) -> bool,
) -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    let mut listing = storage.list(ListOptions {
        prefix,
        ..ListOptions::default()
    });
    while let Some(item) = listing.try_next().await? {
        if let Listed::Object(meta) = item
            && is_wanted(&meta.key)
        {
            keys.push(meta.key);
        }
    }
    Ok(keys)
}
