//! The steps of an import.

use arc_backup_core::ErrorKind;

use super::head;
use super::options::ImportOptions;
use super::store;
use crate::manifest::{FILE_LIST, Inventory, Manifest};
use crate::operations::archive::ArchiveReader;
use crate::operations::backup::file_list;
use crate::operations::backup::publish::{put_file, put_inventory, put_manifest};
use crate::operations::backup::write_faults::WriteFaults;
use crate::operations::context::Context;
use crate::operations::copy::{is_there, seal};
use crate::operations::problems::Problems;
use crate::operations::restore::disk_space::check_imports_target;
use crate::operations::verify::completeness::check_counts;
use crate::operations::{Phase, Running};
use crate::repository::{Loaded, file_list_key};
use crate::{Error, Result};

/// The name of the operation in its journal.
const IMPORT: &str = "import";

/// How an import ended.
pub(crate) enum Imported {
    /// The target holds the backup now.
    Made,
    /// The target held it already.
    Unchanged,
}

impl Imported {
    /// Reports it to the status.
    ///
    /// # Errors
    /// None: an import that failed is an error already.
    pub(crate) fn report(self, running: &Running) -> Result<()> {
        running.update(|operation| {
            operation.unchanged = matches!(self, Self::Unchanged).then_some(true);
        });
        Ok(())
    }
}

/// Takes the backup in an archive into the context's repository.
pub(crate) async fn run(context: &Context, options: &ImportOptions) -> Result<Imported> {
    context.running.phase(Phase::ReadingInventory);
    let read = async {
        let mut archive = ArchiveReader::open(&options.file).await?;
        let (id, loaded) = head::manifest(&mut archive).await?;
        if id != context.id {
            return Err(archive.fault("it was replaced while it was read"));
        }
        let path = context.scratch()?.join("imported");
        let activity = context.running.progress.activity();
        let inventory = head::inventory(&mut archive, &id, &loaded, &path, activity).await?;
        let mut problems = Problems::new(&context.running);
        check_counts(&mut problems, &loaded, &inventory)?;
        problems.failure(
            "the manifest in the archive is not that of its files; nothing was imported",
        )?;
        let is_there = is_there(context, &loaded, &inventory).await?;
        Ok((archive, loaded, inventory, is_there))
    };
    let (mut archive, loaded, inventory, is_there) = context.or_cancelled(read).await?;
    if is_there {
        return Ok(Imported::Unchanged);
    }
    let summary = inventory.summary();
    check_imports_target(context, summary.entries, summary.bytes)?;
    context.or_cancelled(prepare(context)).await?;
    let mut faults = WriteFaults::new(&**context.repository.sink());
    let made = make(context, &mut archive, &loaded, &inventory, &mut faults).await;
    if let Err(error) = made {
        context.running.phase(Phase::CleaningUp);
        if let Err(fault) = clean_up(context).await {
            tracing::warn!(error = %fault, "the files of the failed import stay until the next sweep");
        }
        return Err(error);
    }
    context.running.publish();
    if let Err(error) = context.repository.end_journal(&context.id).await {
        tracing::warn!(%error, "the journal of a published import stays until the next sweep");
    }
    Ok(Imported::Made)
}

/// Removes what an interrupted operation left of this id, and begins the journal.
async fn prepare(context: &Context) -> Result<()> {
    let (repository, id) = (&context.repository, &context.id);
    context.running.phase(Phase::Preparing);
    let begun = async {
        if repository.open_journal(id).await?.is_some() {
            repository.sweep_one(id, false).await?;
        }
        repository.forget_stale_entry(id).await?;
        repository.begin_again(&context.journal(IMPORT)).await
    };
    begun.await.map_err(|error| repository.named(error))
}

async fn make(
    context: &Context,
    archive: &mut ArchiveReader,
    loaded: &Loaded,
    inventory: &Inventory,
    faults: &mut WriteFaults,
) -> Result<()> {
    let stored = store(context, archive, loaded, inventory);
    let manifest = context.or_cancelled(stored).await?;
    if let Some(lock) = &context.lock {
        lock.check().await?;
    }
    let published = put_manifest(context, manifest, faults).await;
    published.map_err(|error| context.repository.named(error))
}

/// Stores everything but the manifest, makes it durable, and returns the bytes of the manifest.
async fn store(
    context: &Context,
    archive: &mut ArchiveReader,
    loaded: &Loaded,
    inventory: &Inventory,
) -> Result<Vec<u8>> {
    let (repository, id) = (&context.repository, &context.id);
    let named = |error: Error| repository.named(error);
    let durability = repository.sink().durability().await;
    let durability = durability.map_err(|error| named(error.into()))?;
    let summary = inventory.summary();
    (context.running.progress).expect(summary.entries, summary.bytes);
    context.running.phase(Phase::Copying);
    store::files(context, archive, inventory).await?;
    context.running.phase(Phase::Publishing);
    let activity = context.running.progress.activity();
    let summary = put_inventory(repository, id, inventory, activity);
    let summary = summary.await.map_err(named)?;
    let mut file_list = None;
    if loaded.manifest.file_list.is_some() {
        let path = context.scratch()?.join(FILE_LIST);
        file_list = Some(file_list::write(context, inventory, &path)?);
        let key = file_list_key(id);
        let stored = put_file(repository, &key, &path, activity);
        stored.await.map_err(named)?;
    }
    let durable = crate::source::sync(&*durability, activity).await;
    durable.map_err(|error| named(error.into()))?;
    context.check_cancelled()?;
    seal(Manifest {
        target: Some(repository.name().to_owned()),
        inventory: Some(summary),
        file_list,
        sha256: None,
        ..loaded.manifest.clone()
    })
}

/// Removes what was stored, unless somebody else may be working with it.
async fn clean_up(context: &Context) -> Result<()> {
    if let Some(lock) = &context.lock
        && matches!(lock.check().await, Err(error) if error.kind() == ErrorKind::Busy)
    {
        return Ok(());
    }
    if context.running.cancel.is_cancelled() {
        // Requests that were cancelled may still arrive: the next operation knows them by the
        // journal.
        return context.repository.remove_unpublished(&context.id).await;
    }
    context.repository.sweep_one(&context.id, false).await
}
