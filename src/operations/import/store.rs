//! Storing the files of an archive, each compared with the inventory before it is visible.

use arc_backup_core::{Hasher, Section, Upload};
use bytes::Bytes;
use tokio::task::JoinSet;

use super::head::shown;
use crate::manifest::{BackupId, FILE_LIST, Inventory, Record};
use crate::operations::archive::ArchiveReader;
use crate::operations::context::Context;
use crate::operations::copy::CopyWriter;
use crate::pipeline::Writer;
use crate::repository::Repository;
use crate::{Error, Result};

/// Files of at most this size are stored several at once: for each, a store takes a while to
/// answer.
const SMALL: u64 = 1 << 20;

/// Stores every file of the inventory, in whose order the archive has them, and nothing else.
///
/// # Errors
/// At the first file that is missing, another one or damaged, or that can't be stored. Nothing is
/// being stored any more then.
pub(super) async fn files(
    context: &Context,
    archive: &mut ArchiveReader,
    inventory: &Inventory,
) -> Result<()> {
    let mut stores = JoinSet::new();
    let stored = all(context, archive, inventory, &mut stores).await;
    if stored.is_err() {
        while stores.join_next().await.is_some() {}
    }
    stored
}

async fn all(
    context: &Context,
    archive: &mut ArchiveReader,
    inventory: &Inventory,
    stores: &mut JoinSet<Result<u64>>,
) -> Result<()> {
    let id = &context.id;
    let at_once = context.plan().concurrency;
    let lists = format!("{id}/{FILE_LIST}");
    let mut records = inventory.records()?;
    let mut next = archive.next_file().await?;
    if next.as_ref().is_some_and(|(path, _)| *path == lists) {
        // It is written again, from the inventory.
        while archive.bytes().await?.is_some() {}
        next = archive.next_file().await?;
    }
    loop {
        context.check_cancelled()?;
        let (record, (path, size)) = match (records.next().transpose()?, next) {
            (None, None) => break,
            (Some(record), Some(file)) => (record, file),
            (Some(record), None) => {
                return Err(archive.fault(&format!("it lacks `{}`", record.path)));
            }
            (None, Some((path, _))) => {
                let path = shown(&path);
                return Err(
                    archive.fault(&format!("it has {path:?}, which is not in its inventory"))
                );
            }
        };
        if path != format!("{id}/{}", record.path) {
            return Err(archive.fault(&format!(
                "it has {:?} where `{}` should be",
                shown(&path),
                record.path
            )));
        }
        if size != record.entry.size {
            return Err(archive.fault(&format!(
                "`{}` has {size} bytes, and its inventory says {}",
                record.path, record.entry.size
            )));
        }
        if size > SMALL {
            large(context, archive, &record).await?;
        } else {
            let (pieces, digest) = archive.collect().await?;
            check(archive, &record, digest)?;
            while stores.len() >= at_once {
                ended(context, stores.join_next().await)?;
            }
            stores.spawn(small(
                context.repository.clone(),
                id.clone(),
                record,
                pieces,
            ));
        }
        next = archive.next_file().await?;
    }
    while let Some(stored) = stores.join_next().await {
        ended(context, Some(stored))?;
    }
    Ok(())
}

fn check(archive: &ArchiveReader, record: &Record, found: arc_backup_core::Digest) -> Result<()> {
    match record.entry.sha256 {
        Some(expected) if expected == found => Ok(()),
        _ => Err(archive.fault(&format!(
            "`{}` does not have the SHA-256 that its inventory says",
            record.path
        ))),
    }
}

type Ended = Option<Result<Result<u64>, tokio::task::JoinError>>;

fn ended(context: &Context, stored: Ended) -> Result<()> {
    if let Some(stored) = stored {
        let bytes = stored?.map_err(|error| context.repository.named(error))?;
        context.running.progress.add_bytes(bytes);
        context.running.progress.add_files(1);
    }
    Ok(())
}

/// Stores a file whose bytes have been checked.
async fn small(
    repository: Repository,
    id: BackupId,
    record: Record,
    pieces: Vec<Bytes>,
) -> Result<u64> {
    let mut upload = begin(&repository, &id, &record).await?;
    for piece in pieces {
        upload.write(piece).await?;
    }
    upload.commit().await?;
    Ok(record.entry.size)
}

/// Stores a file while it is read. It is visible only if its bytes are right.
async fn large(context: &Context, archive: &mut ArchiveReader, record: &Record) -> Result<()> {
    let repository = &context.repository;
    let named = |error: Error| repository.named(error);
    let mut upload = begin(repository, &context.id, record)
        .await
        .map_err(named)?;
    let filled = fill(context, archive, record, upload.as_mut()).await;
    if let Err(error) = filled {
        // What was met first is what is reported.
        let _ = upload.abort().await;
        return Err(error);
    }
    let committed = upload.commit().await;
    committed.map_err(|error| named(error.into()))?;
    context.running.progress.add_files(1);
    Ok(())
}

async fn fill(
    context: &Context,
    archive: &mut ArchiveReader,
    record: &Record,
    upload: &mut dyn Upload,
) -> Result<()> {
    let mut hasher = Hasher::new();
    while let Some(piece) = archive.bytes().await? {
        context.check_cancelled()?;
        hasher.update(&piece);
        let length = piece.len() as u64;
        let written = upload.write(piece).await;
        written.map_err(|error| context.repository.named(error.into()))?;
        context.running.progress.add_bytes(length);
    }
    check(archive, record, hasher.finish())
}

async fn begin(repository: &Repository, id: &BackupId, record: &Record) -> Result<Box<dyn Upload>> {
    let section: &Section = &record.section();
    let writer = CopyWriter {
        repository,
        folder: format!("{id}/{section}"),
        section,
    };
    match writer.begin(&record.entry).await? {
        Some(upload) => Ok(upload),
        None => Err(Error::Failed(format!("`{}` cannot be stored", record.path))),
    }
}
