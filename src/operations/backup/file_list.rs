//! `manifest-files.json` of a backup: Arc 27.01 restores by it.
//!
//! It names what Arc's own list names, the Parquet files of the data. Job states, schema anchors
//! and Iceberg metadata are not data files: a cluster would register whatever is listed.

use std::path::Path;

use arc_backup_core::Section;
use jiff::Timestamp;

use crate::Result;
use crate::manifest::{FileListWriter, Inventory, InventoryRef, ListedFile, Record, is_data_file};
use crate::operations::context::Context;
use crate::source::{measurement_of, partition_of};

/// Writes the list of the data files in `inventory` to the local file `path`.
pub(crate) fn write(context: &Context, inventory: &Inventory, path: &Path) -> Result<InventoryRef> {
    let mut list = FileListWriter::create(path)?;
    for record in inventory.records_of(&Section::Data)? {
        let record = record?;
        context.check_cancelled()?;
        context.running.progress.activity().note();
        push(&mut list, &record)?;
    }
    list.finish()
}

fn push(list: &mut FileListWriter, record: &Record) -> Result<()> {
    let entry = &record.entry;
    let Some(sha256) = entry.sha256.filter(|_| is_data_file(&entry.key)) else {
        return Ok(());
    };
    let (database, measurement) = measurement_of(&entry.key).unwrap_or_default();
    list.push(&ListedFile {
        path: &entry.key,
        sha256,
        size_bytes: entry.size,
        database: &database,
        measurement,
        partition_time: partition_of(&entry.key),
        created_at: (entry.modified).and_then(|time| Timestamp::try_from(time).ok()),
        tier: entry.tier,
    })
}
