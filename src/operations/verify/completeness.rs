//! Checking that a backup holds the files of its inventory, with their sizes, and no others.

use arc_backup_core::{Error as CoreError, ErrorKind, Key, ListOptions, Listed, Meta};
use futures::StreamExt;

use crate::manifest::{Inventory, Record};
use crate::operations::ProblemKind;
use crate::operations::context::Context;
use crate::operations::problems::Problems;
use crate::operations::verify::access::Access;
use crate::pipeline::CopyFault;
use crate::repository::{Loaded, file_key, folder, inventory_key, manifest_key};
use crate::{Error, Result};

/// Fails if the object must be read and is in an archive tier.
async fn check_tier(access: Access, context: &Context, path: &str, meta: &Meta) -> Result<()> {
    if access == Access::ListOnly || !meta.archived {
        return Ok(());
    }
    // A listing does not show whether an archived object is temporarily restored.
    match context.repository.sink().head(&meta.key).await? {
        Some(there) if there.archived => Err(archived(path).into()),
        _ => Ok(()),
    }
}

/// Returns the error for a file in an archive tier.
fn archived(path: &str) -> CoreError {
    CoreError::new(
        ErrorKind::Archived,
        "read",
        path,
        "it is in an archive tier of the store: restore (S3) or rehydrate (Azure) the objects of this backup there \
         first, then run this again (docs/storage.md)",
    )
}

/// Returns the error for a file that was in an archive tier when it was read. Its bytes are not
/// damaged.
pub(crate) fn archived_fault(path: &str, fault: &CopyFault) -> Option<Error> {
    match fault {
        CopyFault::Read(error) if error.kind() == ErrorKind::Archived => {
            Some(archived(path).into())
        }
        _ => None,
    }
}

/// Compares the backup's listing with its inventory, both in byte order, and records differences as
/// problems.
///
/// # Errors
/// Returns [`ErrorKind::Archived`] for the first file that must be read and is in an archive tier.
pub(crate) async fn check(
    context: &Context,
    problems: &mut Problems,
    inventory: &Inventory,
    wanted: &(dyn Fn(&str) -> bool + Sync),
    access: Access,
) -> Result<()> {
    let in_wanted = |path: &str| wanted(path.split('/').next().unwrap_or_default());
    let sink = context.repository.sink();
    let mut listing = sink.list(ListOptions::within(&folder(&context.id)));
    let own = [manifest_key(&context.id), inventory_key(&context.id)];
    let prefix = format!("{}/", context.id);
    let mut records = inventory.records()?.filter(|record| match record {
        Ok(record) => wanted(record.section()),
        Err(_) => true,
    });
    let mut record = next_stored_here(context, problems, &mut records, access).await?;
    while let Some(item) = listing.next().await {
        context.check_cancelled()?;
        let item = match item {
            Err(error) if error.is_of_one_place() && error.kind() != ErrorKind::Unavailable => {
                let path = match error.subject().strip_prefix(&prefix) {
                    Some(path) if !path.is_empty() => path.to_owned(),
                    _ => return Err(error.into()),
                };
                if !in_wanted(&path) {
                    continue;
                }
                while let Some(missing) = record.take_if(|record| *record.path < *path) {
                    note_missing(problems, &missing);
                    record = next_stored_here(context, problems, &mut records, access).await?;
                }
                // Recorded as damage: the files there may exist, but cannot be read.
                problems.add_damaged(&path, ProblemKind::Unreadable, error.to_string());
                let is_there = |record: &Record| {
                    *record.path == *path || path.ends_with('/') && record.path.starts_with(&path)
                };
                while record.take_if(|record| is_there(record)).is_some() {
                    record = next_stored_here(context, problems, &mut records, access).await?;
                }
                continue;
            }
            item => item?,
        };
        let meta = match item {
            Listed::Object(meta) if own.contains(&meta.key) => continue,
            Listed::Object(meta) => meta,
            Listed::Other { path, kind } => {
                let path = path.strip_prefix(&prefix).unwrap_or(&path).to_owned();
                if !in_wanted(&path) {
                    continue;
                }
                problems.add(
                    path,
                    ProblemKind::Unexpected,
                    format!("is {}", kind.as_str()),
                );
                continue;
            }
        };
        let path = meta.key.strip_prefix(prefix.as_str()).unwrap_or(&meta.key);
        if !in_wanted(path) {
            continue;
        }
        while let Some(missing) = record.take_if(|record| &*record.path < path) {
            note_missing(problems, &missing);
            record = next_stored_here(context, problems, &mut records, access).await?;
        }
        match record.take_if(|record| &*record.path == path) {
            Some(found) => {
                note_size(problems, &found, &meta);
                check_tier(access, context, &found.path, &meta).await?;
                record = next_stored_here(context, problems, &mut records, access).await?;
            }
            None => problems.add(path, ProblemKind::Unexpected, "it is not in the inventory"),
        }
    }
    while let Some(missing) = record {
        note_missing(problems, &missing);
        record = next_stored_here(context, problems, &mut records, access).await?;
    }
    Ok(())
}

fn note_missing(problems: &mut Problems, record: &Record) {
    problems.add_damaged(
        &record.path,
        ProblemKind::Missing,
        "the backup does not hold it",
    );
}

fn note_size(problems: &mut Problems, record: &Record, meta: &Meta) {
    if meta.size != record.entry.size {
        let text = format!(
            "has {} bytes; {} were expected",
            meta.size, record.entry.size
        );
        problems.add_damaged(&record.path, ProblemKind::Size, text);
    }
}

/// Returns the next record whose bytes are in this backup. Skipped records are looked up in the
/// backup that holds their bytes.
async fn next_stored_here(
    context: &Context,
    problems: &mut Problems,
    records: &mut (impl Iterator<Item = Result<Record>> + Send),
    access: Access,
) -> Result<Option<Record>> {
    while let Some(record) = records.next().transpose()? {
        let Some(other) = &record.stored_in else {
            return Ok(Some(record));
        };
        let key: Key = file_key(other, &record.path)?;
        match context.repository.sink().head(&key).await? {
            Some(meta) => {
                note_size(problems, &record, &meta);
                check_tier(access, context, &record.path, &meta).await?;
            }
            None => note_missing(problems, &record),
        }
    }
    Ok(None)
}

/// Compares the manifest's counts with the inventory: Arc's tools use the manifest's counts.
pub(crate) fn check_counts(
    problems: &mut Problems,
    loaded: &Loaded,
    inventory: &Inventory,
) -> Result<()> {
    let mut contents = crate::source::Contents::default();
    for record in inventory.records()? {
        let record = record?;
        if record.section() == crate::source::DATA {
            contents.add(&record.entry.key, record.entry.size);
        }
    }
    let manifest = &loaded.manifest;
    let says = (manifest.total_files, manifest.total_size_bytes);
    let lists = (contents.parquet_files, contents.parquet_bytes);
    if says != lists {
        let text = format!(
            "it says {} Parquet files of {} bytes; the inventory lists {} of {}",
            says.0, says.1, lists.0, lists.1
        );
        problems.add("manifest.json", ProblemKind::Manifest, text);
    }
    Ok(())
}

/// Checks the counts of a backup that Arc made: it has no inventory.
pub(crate) fn check_arcs_counts(
    problems: &mut Problems,
    loaded: &Loaded,
    inventory: &Inventory,
) -> Result<()> {
    let (mut files, mut bytes) = (0_u64, 0_u64);
    let (mut metadata, mut config) = (false, false);
    for record in inventory.records()? {
        let record = record?;
        match record.section() {
            crate::source::DATA
                if record.path.ends_with(".parquet") && !record.entry.key.starts_with('_') =>
            {
                files += 1;
                bytes = bytes.saturating_add(record.entry.size);
            }
            crate::source::METADATA => metadata = true,
            crate::source::CONFIG => config = true,
            _ => {}
        }
    }
    let manifest = &loaded.manifest;
    if (files, bytes) != (manifest.total_files, manifest.total_size_bytes) {
        let text = format!(
            "it holds {files} Parquet files of {bytes} bytes; its manifest says {} of {}",
            manifest.total_files, manifest.total_size_bytes
        );
        problems.add("data", ProblemKind::Missing, text);
    }
    if manifest.has_metadata && !metadata {
        problems.add(
            "metadata",
            ProblemKind::Missing,
            "its manifest says that it holds databases",
        );
    }
    if manifest.has_config && !config {
        problems.add(
            "config",
            ProblemKind::Missing,
            "its manifest says that it holds arc.toml",
        );
    }
    Ok(())
}
