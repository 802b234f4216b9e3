//! Deleting a backup: first its manifest, so that a partly deleted backup is not listed, then its
//! files.

use arc_backup_core::{ErrorKind, ListOptions, Listed};
use futures::StreamExt;

use crate::operations::Phase;
use crate::operations::context::Context;
use crate::repository::{Repository, file_list_key, folder, inventory_keys};
use crate::{Error, Result};

/// The number of files that are deleted between two checks for a cancel.
const BATCH: usize = 1000;

/// Deletes the backup. Of a run, the manifests of all legs go first, that of the default leg last:
/// an interrupted deletion leaves legs that are never taken for the whole.
pub(crate) async fn run(context: &Context) -> Result<()> {
    context.running.phase(Phase::Deleting);
    let mut parts = context.repository.legs().to_vec();
    match parts.is_empty() {
        true => parts.push(context.repository.clone()),
        false => parts.rotate_left(1),
    }
    for part in &parts {
        let begun = context.or_cancelled(begin(context, part)).await;
        begun.map_err(|error| part.named(error))?;
    }
    let mut known = Vec::new();
    for part in &parts {
        let ended = context.or_cancelled(end_backup(context, part)).await;
        known.push(ended.map_err(|error| part.named(error))?);
    }
    for (part, known) in parts.iter().zip(known) {
        let removed = context
            .or_cancelled(remove_rest(context, part, !known))
            .await;
        removed.map_err(|error| match error.is_cancelled() {
            true => error.context(
                "the backup is no longer listed: delete it again, or sweep, to remove its remaining files",
            ),
            false => part.named(error),
        })?;
    }
    Ok(())
}

/// Removes an incomplete copy of the same id, and records that the deletion begins.
async fn begin(context: &Context, repository: &Repository) -> Result<()> {
    let id = &context.id;
    if repository.has_incomplete(id).await? {
        context.check_lock().await?;
        repository.remove_incomplete(id).await?;
    }
    repository.begin_deletion(&context.journal("delete")).await
}

/// Removes the manifest, and returns whether the number of remaining files is known.
async fn end_backup(context: &Context, repository: &Repository) -> Result<bool> {
    let id = &context.id;
    // The totals, if the manifest has them. Otherwise they grow while the files are listed.
    let known = (repository.load(id).await.ok()).and_then(|loaded| loaded.manifest.inventory);
    if let Some(known) = &known {
        context.running.progress.expect(known.entries, known.bytes);
    }
    context.check_cancelled()?;
    context.check_lock().await?;
    repository.remove_manifest(id).await?;
    Ok(known.is_some())
}

/// Removes the remaining files. With `expect`, the totals grow while the files are listed.
async fn remove_rest(context: &Context, repository: &Repository, expect: bool) -> Result<()> {
    let id = &context.id;
    remove_files(context, repository, expect).await?;
    // Folders, special files and incomplete uploads.
    match repository.remove_backup(id).await {
        // All objects are gone. Listing incomplete uploads is a permission of its own on S3.
        Err(Error::Storage(error))
            if error.kind() == ErrorKind::PermissionDenied
                && !repository.has_anything_left_of(id).await? =>
        {
            context.warn(format!("incomplete uploads may remain: {error}"));
        }
        removed => removed?,
    }
    if repository.sink().properties().keeps_deleted {
        context.warn(
            "the store keeps deleted files as earlier versions: their space is freed when a lifecycle rule removes \
             these (docs/storage.md)"
                .to_owned(),
        );
    }
    repository.end_journal(id).await
}

/// Deletes the files batch by batch.
async fn remove_files(context: &Context, repository: &Repository, expect: bool) -> Result<()> {
    let sink = repository.sink();
    let [compressed, plain] = inventory_keys(&context.id);
    let lists = [compressed, plain, file_list_key(&context.id)];
    let mut options = ListOptions::within(&folder(&context.id));
    loop {
        context.check_cancelled()?;
        let (mut keys, mut files, mut bytes) = (Vec::new(), 0, 0);
        // A new listing for each batch: a listing must not overlap with deletions.
        let mut listing = sink.list(options.clone());
        while keys.len() < BATCH
            && let Some(item) = listing.next().await
        {
            match item {
                Ok(Listed::Object(meta)) => {
                    if !lists.contains(&meta.key) {
                        files += 1;
                        bytes += meta.size;
                    }
                    keys.push(meta.key);
                }
                // A link or special file: removed with the folder, and never followed.
                Ok(Listed::Other { .. }) => {}
                Err(error) if error.kind() == ErrorKind::Invalid => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        drop(listing);
        let Some(last) = keys.last() else {
            return Ok(());
        };
        options.start_after = Some(last.to_string());
        if expect {
            context.running.progress.expect(files, bytes);
        }
        sink.delete(&keys).await?;
        context.running.progress.add_bytes(bytes);
        context.running.progress.add_files(files);
    }
}
