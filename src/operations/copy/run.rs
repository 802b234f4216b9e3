//! The steps of a copy.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_backup_core::{Durability, Section};
use jiff::Timestamp;

use crate::manifest::{CopiedFrom, FILE_LIST, Inventory, InventoryRef};
use crate::operations::backup::file_list;
use crate::operations::backup::publish::{put_file, put_inventory, put_manifest};
use crate::operations::backup::write_faults::WriteFaults;
use crate::operations::context::Context;
use crate::operations::copy::base::Base;
use crate::operations::copy::holdings::holdings;
use crate::operations::copy::note::carry as carry_note;
use crate::operations::copy::options::CopyOptions;
use crate::operations::copy::section::{Copying, Damaged, Shared};
use crate::operations::copy::source::Source;
use crate::operations::copy::{arcs_own, leftovers, manifest, same};
use crate::operations::problems::Problems;
use crate::operations::{Phase, Running};
use crate::repository::{StoredLog, file_list_key};
use crate::{Error, Result};

/// How a copy ended.
pub(crate) enum Copied {
    /// The destination holds it now.
    Made,
    /// The destination held it already: nothing was copied.
    Unchanged,
}

impl Copied {
    /// Reports it to the status.
    pub(crate) fn report(self, running: &Running) {
        running.update(|operation| {
            operation.unchanged = matches!(self, Self::Unchanged).then_some(true);
        });
    }
}

/// Copies the operation's backup from where it was found to the context's repository. Files that a
/// failed copy has stored are used by the next.
pub(crate) async fn run(context: &Context, options: &CopyOptions) -> Result<Copied> {
    let began = Timestamp::now();
    context.running.phase(Phase::ReadingInventory);
    let looked = async {
        let found = options.source.as_ref().unwrap_or(&context.repository);
        let found = found.with_activity(context.running.progress.activity());
        let source = Source::read(context, &found).await?;
        let is_there = same::is_there(context, &source.loaded, &source.inventory).await?;
        Ok((source, is_there))
    };
    let (source, is_there) = context.or_cancelled(looked).await?;
    if is_there {
        carry_note(context, &source).await;
        leftovers::end_published(context).await;
        return Ok(Copied::Unchanged);
    }
    let prepared = async {
        let unfinished = leftovers::prepare(context).await?;
        let log = StoredLog::again(&context.repository, &context.id).await?;
        Ok((unfinished, log))
    };
    let prepared = context.or_cancelled(prepared).await;
    let (unfinished, log) = prepared.map_err(|error| context.repository.named(error))?;
    let mut copying = Copying {
        context,
        source: &source,
        began,
        unfinished,
        base: None,
        log,
        faults: WriteFaults::new(&**context.repository.sink()),
        problems: Problems::new(&context.running),
        damaged: Damaged::default(),
        reused: (0, 0),
        shared: Shared::default(),
        stored_in: BTreeMap::new(),
    };
    if let Err(error) = make(&mut copying).await {
        context.running.phase(Phase::CleaningUp);
        let Copying { log, faults, .. } = &mut copying;
        if let Err(fault) = leftovers::clean_up(context, log, faults).await {
            tracing::warn!(error = %fault, "the next copy removes or reuses the files of the failed one");
        }
        return Err(error);
    }
    context.running.publish();
    if let Err(error) = context.or_cancelled(leftovers::tidy(context)).await {
        tracing::warn!(%error, "leftovers of interrupted copies stay for the next operation");
    }
    Ok(Copied::Made)
}

async fn make(copying: &mut Copying<'_>) -> Result<()> {
    let context = copying.context;
    let stored = context.or_cancelled(store(copying)).await?;
    if let Some(lock) = &context.lock {
        lock.check().await?;
    }
    let published = put_manifest(context, stored, &mut copying.faults).await;
    published.map_err(|error| context.repository.named(error))
}

/// Stores everything that the copy is made of, except its manifest, and makes it durable. Returns
/// the bytes of the manifest.
async fn store(copying: &mut Copying<'_>) -> Result<Vec<u8>> {
    let (context, source) = (copying.context, copying.source);
    let repository = &context.repository;
    let named = |error: Error| repository.named(error);
    let durability = repository.sink().durability().await;
    let durability = durability.map_err(|error| named(error.into()))?;
    let summary = source.inventory.summary();
    (context.running.progress).expect(summary.entries, summary.bytes);
    match source.loaded.sealed {
        true => {
            let base = Base::find(context, &source.loaded.manifest).await;
            copying.base = base.map_err(named)?.map(Arc::new);
        }
        false => arcs_own::warn(context, source),
    }
    let mut lists = Vec::new();
    let sections: Vec<Section> = source.inventory.sections().cloned().collect();
    for section in &sections {
        lists.push(copying.section(section).await?);
    }
    copying.check_source()?;
    context.running.phase(Phase::Publishing);
    let path = context.scratch()?.join("inventory.jsonl");
    let inventory = Inventory::join(&path, &lists)?;
    settle(context, &inventory).await.map_err(named)?;
    let stored = store_lists(copying, &inventory, &*durability).await;
    let manifest = stored.map_err(named)?;
    context.check_cancelled()?;
    Ok(manifest)
}

/// Stores the lists and the note, makes everything durable, and returns the manifest.
async fn store_lists(
    copying: &mut Copying<'_>,
    inventory: &Inventory,
    durability: &dyn Durability,
) -> Result<Vec<u8>> {
    let (context, source) = (copying.context, copying.source);
    let activity = context.running.progress.activity();
    let manifest = match source.loaded.sealed {
        true => {
            let (summary, file_list) = put_lists(copying, inventory).await?;
            manifest::sealed(
                source,
                manifest::Changed {
                    target: Some(context.repository.name().to_owned()),
                    copied_from: CopiedFrom {
                        target: source.repository.name().to_owned(),
                        at: copying.began.to_string(),
                    },
                    stored_in: copying.stored_in.clone(),
                    reused: (copying.shared.files, copying.shared.bytes),
                    inventory: summary,
                    file_list,
                },
            )?
        }
        false => {
            arcs_own::copy_lists(context, source).await?;
            arcs_own::manifest(context, source).await?
        }
    };
    carry_note(context, source).await;
    let durable = crate::source::sync(durability, activity).await;
    copying.faults.check_durability(durable)?;
    Ok(manifest)
}

/// Stores the inventory, and, where the source has one, Arc's list of the data files.
async fn put_lists(
    copying: &mut Copying<'_>,
    inventory: &Inventory,
) -> Result<(InventoryRef, Option<InventoryRef>)> {
    let context = copying.context;
    let activity = context.running.progress.activity();
    let stored = put_inventory(&context.repository, &context.id, inventory, activity).await;
    let summary = copying.written(stored)?;
    if copying.source.loaded.manifest.file_list.is_none() {
        return Ok((summary, None));
    }
    let path = context.scratch()?.join(FILE_LIST);
    let file_list = file_list::write(context, inventory, &path)?;
    let key = file_list_key(&context.id);
    let stored = put_file(&context.repository, &key, &path, activity).await;
    copying.written(stored)?;
    Ok((summary, Some(file_list)))
}

/// Checks by a listing that the copy's folder has what the inventory says, and nothing else: an
/// interrupted copy may have stored a file that another backup has given since.
async fn settle(context: &Context, inventory: &Inventory) -> Result<()> {
    let repository = &context.repository;
    let held = holdings(context, repository, &context.id, inventory).await?;
    if let Some((path, fault)) = held.absent.first_key_value() {
        return Err(Error::Failed(format!(
            "{} does not hold every file that was stored there ({path}: {fault}): copy the backup again",
            repository.label()
        )));
    }
    for batch in held.leftovers.chunks(1000) {
        context.check_lock().await?;
        repository.sink().delete(batch).await?;
    }
    Ok(())
}
