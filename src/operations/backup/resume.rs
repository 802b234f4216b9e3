//! Resuming an interrupted backup: its stored files are reused.

use arc_backup_core::{
    EntityTag, Entry, EntryStream, Error as CoreError, ErrorKind, GetOptions, InOrder, Key, Meta,
    Section,
};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::manifest::{BackupId, Inventory, Record, Spool};
use crate::operations::Phase;
use crate::operations::backup::collected::Collected;
use crate::operations::backup::rehash;
use crate::operations::context::Context;
use crate::repository::{StoredReader, file_key};

/// Reuses those of the `entries` that interrupted backups have stored, unchanged. The entity tag in
/// the source must be the same. The stored copy is checked by its bytes, or in a store by its
/// entity tag.
pub(crate) async fn reuse<'a>(
    context: &Context,
    section: &Section,
    entries: &(dyn Fn() -> Result<EntryStream<'a>> + Sync),
    collected: &mut Collected,
) -> Result<Inventory> {
    let mut reused = Spool::create(&context.scratch()?.join(format!("{section}.reused")))?;
    // Each copy of a database or of the configuration is a new snapshot.
    if *section == Section::Data && !collected.unfinished.is_empty() {
        context.running.phase(Phase::Continuing);
        let mut readers = Vec::new();
        for id in &collected.unfinished {
            readers.extend(StoredReader::open(&context.repository, id, section).await?);
        }
        let token = context.running.cancel.child_token();
        let stop = &token;
        let candidates =
            stream::try_unfold((entries()?, readers), async |(mut entries, mut readers)| {
                while !stop.is_cancelled()
                    && let Some(entry) = entries.try_next().await?
                {
                    if let Some(stored) = stored_already(&entry, &mut readers).await? {
                        let record = Record::new(section, entry)?;
                        return Ok(Some(((record, stored), (entries, readers))));
                    }
                }
                Ok(None)
            });
        let taken = candidates.map(|candidate: Result<(Record, Stored)>| {
            async move {
                let (record, stored) = candidate?;
                context.check_cancelled()?;
                let taken = reuse_file(context, &record, &stored, stop).await?;
                Ok::<_, crate::Error>(taken.map(|etag| (record, stored, etag)))
            }
            .boxed()
        });
        let mut taken = InOrder::new(taken, context.plan().concurrency);
        let mut ended: Result<()> = Ok(());
        while ended.is_ok()
            && let Some(outcome) = taken.next().await
        {
            let handled = async {
                let Some((mut record, stored, etag)) = outcome? else {
                    return Ok(());
                };
                record.entry.set_bytes_of(&stored.record.entry);
                let noted = collected.log.record(&record, etag.as_deref()).await;
                collected.faults.check(noted)?;
                reused.push(&record)?;
                collected.reused.0 += 1;
                collected.reused.1 += record.entry.size;
                context.running.progress.add_files(1);
                context.running.progress.add_bytes(record.entry.size);
                collected.report_reused(context);
                Ok(())
            };
            ended = taken.beside(handled).await;
        }
        if ended.is_err() {
            // Pending copies must end before the cleanup.
            stop.cancel();
            while taken.next().await.is_some() {}
        }
        ended?;
    }
    reused.finish()
}

/// A file that an interrupted backup has stored.
struct Stored {
    id: BackupId,
    record: Record,
    etag: Option<String>,
}

async fn stored_already(entry: &Entry, readers: &mut [StoredReader]) -> Result<Option<Stored>> {
    let mut found = None;
    for reader in readers {
        let Some((record, etag)) = reader.at(&entry.key).await? else {
            continue;
        };
        let same = entry.etag.is_some()
            && (entry.size, &entry.etag, entry.modified)
                == (record.entry.size, &record.entry.etag, record.entry.modified);
        if same && found.is_none() {
            found = Some(Stored {
                id: reader.id().clone(),
                record,
                etag,
            });
        }
    }
    Ok(found)
}

/// Copies a stored file into this backup if it is intact, and returns the copy's entity tag; `None`
/// if it cannot be reused.
async fn reuse_file(
    context: &Context,
    record: &Record,
    stored: &Stored,
    stop: &CancellationToken,
) -> Result<Option<Option<String>>> {
    let from = file_key(&stored.id, &stored.record.path)?;
    let to = file_key(&context.id, &record.path)?;
    let sink = context.repository.sink();
    let taken = async {
        // A weak tag does not prove the content, so the copy is read. It is also read if it may not
        // have reached the disk before a power loss.
        let is_known = sink.properties().entity_tag == EntityTag::Strong
            && sink.deferred_durability().is_none();
        let whole = if is_known {
            (sink.head(&from).await?).is_some_and(|meta| {
                meta.size == record.entry.size && meta.etag.is_some() && meta.etag == stored.etag
            })
        } else {
            is_whole(context, &from, &stored.record.entry, stop).await?
        };
        if !whole {
            return Ok(None);
        }
        Ok::<_, CoreError>((sink.duplicate(&from, &to).await?).map(|meta| meta.etag))
    };
    match taken.await {
        Ok(taken) => Ok(taken),
        Err(error) if error.kind() == ErrorKind::Unavailable => Err(error.into()),
        Err(error) => {
            // The file is copied again, and a fault of the target shows then.
            tracing::debug!(%error, "file not reused");
            Ok(None)
        }
    }
}

/// Whether the stored file at `at` has the bytes of `entry`.
pub(crate) async fn is_whole(
    context: &Context,
    at: &Key,
    entry: &Entry,
    stop: &CancellationToken,
) -> Result<bool, CoreError> {
    Ok(read_whole(context, at, entry, stop).await?.is_some())
}

/// Reads the stored file at `at`, and returns what is known of it if it has the bytes of `entry`.
pub(crate) async fn read_whole(
    context: &Context,
    at: &Key,
    entry: &Entry,
    stop: &CancellationToken,
) -> Result<Option<Meta>, CoreError> {
    let sink = context.repository.sink();
    let object = sink.get(at, GetOptions::default()).await?;
    let read = rehash::read_digest(context, object.body, at, stop).await?;
    let is_whole =
        read.is_some_and(|(size, digest)| size == entry.size && Some(digest) == entry.sha256);
    Ok(is_whole.then_some(object.meta))
}
