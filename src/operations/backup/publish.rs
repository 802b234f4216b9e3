//! The publish protocol: a backup exists once its manifest does.
//!
//! Inventory and Arc's list of files stored → everything durable → lock checked → manifest
//! sealed and stored → lock checked again. If the lock was lost in between, the manifest is
//! removed: another process may have swept the files.

use std::fs::File;
use std::path::Path;

use arc_backup_core::{Activity, Body, Durability, Key, WriteOptions};
use futures::StreamExt;

use crate::backup_type::BackupType;
use crate::manifest::{self, BackupId, Compressor, FILE_LIST, Inventory, InventoryRef, Manifest};
use crate::operations::Phase;
use crate::operations::backup::collected::Collected;
use crate::operations::backup::write_faults::WriteFaults;
use crate::operations::backup::{file_list, own_copies};
use crate::operations::context::Context;
use crate::repository::{Repository, file_list_key, inventory_key, manifest_key};
use crate::{Error, Result};

/// Stores the inventory and Arc's list of files, and makes durable all that the backup is made of.
///
/// # Errors
/// Where a file of the source could not be read: then `collected` has the list of those that could.
pub(crate) async fn store_inventory(
    context: &Context,
    collected: &mut Collected,
    durability: &dyn Durability,
) -> Result<InventoryRef> {
    context.running.phase(Phase::Publishing);
    let activity = context.running.progress.activity();
    if !collected.problems.is_empty() {
        // An incomplete copy needs no other backup.
        own_copies::make(context, collected).await?;
    }
    let inventory = join_inventories(context, collected)?;
    let stored = put_inventory(&context.repository, &context.id, &inventory, activity).await;
    let summary = collected.faults.check(stored)?;
    // It repeats a digest of 64 letters for each file, as often as a backup is made. Arc restores a
    // backup of a standalone instance without it.
    if collected.backup_type() == BackupType::Full || context.settings.cluster.is_some() {
        let path = context.scratch()?.join(FILE_LIST);
        let file_list = file_list::write(context, &inventory, &path)?;
        let key = file_list_key(&context.id);
        let stored = put_file(&context.repository, &key, &path, activity).await;
        collected.faults.check(stored)?;
        collected.file_list = Some(file_list);
    }
    let durable = crate::source::sync(durability, activity).await;
    collected.faults.check_durability(durable)?;
    if !collected.problems.is_empty() {
        // Only files of the source: whatever else fails ends the backup at once.
        collected.incomplete_inventory = Some(summary.clone());
        collected.problems.failure("not every file could be read")?;
    }
    context.check_cancelled()?;
    Ok(summary)
}

/// Writes the manifest, with which the backup exists, while the lock is held.
pub(crate) async fn publish(
    context: &Context,
    inventory: &InventoryRef,
    collected: &mut Collected,
) -> Result<Manifest> {
    context.check_cancelled()?;
    if let Some(lock) = &context.lock {
        lock.check().await?;
    }
    let mut manifest = collected.manifest(context);
    check_holders(&context.repository, &manifest).await?;
    manifest.inventory = Some(inventory.clone());
    let bytes = manifest::seal(&mut manifest)
        .map_err(|e| Error::Failed(format!("cannot write the manifest: {e}")))?;
    put_manifest(context, bytes, &mut collected.faults).await?;
    Ok(manifest)
}

/// Stores the bytes of the manifest, the last of a backup, and checks the lock once more.
pub(crate) async fn put_manifest(
    context: &Context,
    bytes: Vec<u8>,
    faults: &mut WriteFaults,
) -> Result<()> {
    let repository = &context.repository;
    let published = repository.put(&manifest_key(&context.id), bytes).await;
    faults.check(published)?;
    // A holder that slept past the end of its lock, and through a sweep by somebody else, has
    // published nothing that lasts.
    if let Some(lock) = &context.lock
        && let Err(error) = lock.check().await
    {
        repository
            .sink()
            .delete(&[manifest_key(&context.id)])
            .await?;
        return Err(error.into());
    }
    Ok(())
}

/// Fails where a backup that holds files of this one is gone.
async fn check_holders(repository: &Repository, manifest: &Manifest) -> Result<()> {
    for (holder, totals) in &manifest.stored_in {
        let id = BackupId::parse(holder)?;
        if !repository.holds_files(&id).await? {
            return Err(Error::Failed(format!(
                "backup `{id}`, which holds {} files of this one, is gone from {}: run the backup again",
                totals.files,
                repository.label()
            )));
        }
    }
    Ok(())
}

fn join_inventories(context: &Context, collected: &Collected) -> Result<Inventory> {
    let path = context.scratch()?.join("inventory.jsonl");
    Inventory::join(&path, collected.inventories.values())
}

/// Stores a local file.
pub(crate) async fn put_file(
    repository: &Repository,
    key: &Key,
    path: &Path,
    activity: &Activity,
) -> Result<()> {
    let (file, len) = open(path)?;
    let options = WriteOptions {
        size_hint: Some(len),
        ..WriteOptions::default()
    };
    let mut upload = repository.sink().begin(key, options).await?;
    let mut pieces = crate::pipeline::pieces(Body::File { file, len }, key);
    while let Some(piece) = pieces.next().await {
        upload.write(piece?).await?;
        activity.note();
    }
    upload.commit().await?;
    Ok(())
}

/// Stores the inventory of the backup `id`, compressed, and returns what its manifest says of it.
pub(crate) async fn put_inventory(
    repository: &Repository,
    id: &BackupId,
    inventory: &Inventory,
    activity: &Activity,
) -> Result<InventoryRef> {
    let path = inventory.path();
    let fault = |e| Error::io("compress", path, e);
    let summary = InventoryRef {
        compression: Some(manifest::ZSTD.to_owned()),
        ..inventory.summary().clone()
    };
    let key = inventory_key(id, &summary);
    let (file, len) = open(path)?;
    let mut compressor = Compressor::new().map_err(fault)?;
    let mut upload = repository
        .sink()
        .begin(&key, WriteOptions::default())
        .await?;
    let mut pieces = crate::pipeline::pieces(Body::File { file, len }, &key);
    while let Some(piece) = pieces.next().await {
        let compressed = compressor.push(&piece?).map_err(fault)?;
        if !compressed.is_empty() {
            upload.write(compressed.into()).await?;
        }
        activity.note();
    }
    let rest = compressor.finish().map_err(fault)?;
    upload.write(rest.into()).await?;
    upload.commit().await?;
    Ok(summary)
}

fn open(path: &Path) -> Result<(File, u64)> {
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let meta = file.metadata().map_err(|e| Error::io("read", path, e))?;
    Ok((file, meta.len()))
}
