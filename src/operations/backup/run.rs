//! The steps of a backup.

use arc_backup_core::Scope;
use std::sync::Arc;

use arc_backup_core::{
    Databases, ErrorKind, KnownFiles, Secrets, Section, SnapshotRequest, Source,
};

use crate::manifest::{BackupId, InventoryRef, Manifest};
use crate::operations::Phase;
use crate::operations::backup::collected::{Collected, warn_if_empty};
use crate::operations::backup::flush::{self, Flush};
use crate::operations::backup::known::Known;
use crate::operations::backup::publish::{publish, store_inventory};
use crate::operations::backup::{base, incomplete, omitted, secrets, section};
use crate::operations::context::Context;
use crate::operations::labels;
use crate::operations::legs::dead;
use crate::operations::restore::marker;
use crate::operations::restore::staging;
use crate::operations::sections::named_databases;
use crate::operations::{BackupOptions, Running};
use crate::repository::{BackupState, Unfinished};
use crate::source::section_of;
use crate::{Error, Result};

/// How a backup ended that stored everything it could read.
pub(crate) enum BackupOutcome {
    /// It is published.
    Published,
    /// Files of the source could not be read: an incomplete copy of the others is kept.
    Incomplete {
        /// Where the copy is, in words.
        copy: String,
        /// Why this is not a backup.
        error: Error,
    },
}

impl BackupOutcome {
    /// Reports it to the status.
    ///
    /// # Errors
    /// Where there is no backup.
    pub(crate) fn report(self, running: &Running) -> Result<()> {
        let (state, copy, result) = match self {
            Self::Published => (BackupState::Unverified, None, Ok(())),
            Self::Incomplete { copy, error } => (BackupState::Incomplete, Some(copy), Err(error)),
        };
        running.update(|operation| {
            operation.backup_state = Some(state);
            operation.incomplete_copy = copy;
        });
        result
    }
}

/// Makes a backup. Files stored by a failed one are used again by the next; where the disk is full
/// they are removed at once.
pub(crate) async fn run(context: &Context, options: &BackupOptions) -> Result<BackupOutcome> {
    let (scope, flush) = (&options.scope, Flush::of(options));
    if flush == Flush::Required {
        // Before anything is copied; once more before the files are listed.
        flush::run(context, flush).await?;
    }
    let unfinished = context.or_cancelled(prepare(context, scope)).await?;
    let mut collected = Collected::new(context, scope, ids(&unfinished));
    let made = make(context, options, &mut collected).await;
    let manifest = match made {
        Ok(manifest) => manifest,
        Err(error) => {
            context.running.phase(Phase::CleaningUp);
            // Where the operation was asked to end, its time for that ends this too.
            return match clean_up(context, collected, &unfinished).await {
                Ok(Some(copy)) => Ok(BackupOutcome::Incomplete { copy, error }),
                Ok(None) => Err(error),
                Err(fault) => {
                    tracing::warn!(error = %fault, "the next backup removes or reuses the files of the failed one");
                    Err(error)
                }
            };
        }
    };
    // The backup exists, also where leftovers can't be removed.
    context.running.publish();
    labels::keep(context, options).await;
    BackupOutcome::Published.report(&context.running)?;
    let covered = manifest.covered_databases();
    if let Err(error) = context
        .or_cancelled(tidy(context, Some(&manifest), &covered, &unfinished))
        .await
    {
        tracing::warn!(%error, "leftovers of interrupted backups stay for the next operation");
    }
    Ok(BackupOutcome::Published)
}

/// Removes leftovers of interrupted backups, except files that this one can use again, and begins
/// its journal; returns the backups that have such files.
pub(crate) async fn prepare(context: &Context, scope: &Scope) -> Result<Vec<Unfinished>> {
    let repository = &context.repository;
    context.running.phase(Phase::Preparing);
    let dead = dead::find(&context.repositories, repository, true).await?;
    warn_of_faults(context, dead.faults);
    let unfinished = repository.resumable().await?;
    let kept = [ids(&unfinished), dead.kept].concat();
    warn_of_faults(context, repository.sweep_except(true, &kept).await?.faults);
    let interrupted = marker::marker(context).await;
    if let Err(error) = staging::discard_old_staged(context, interrupted.as_ref()).await {
        warn_of_faults(context, vec![error.to_string()]);
    }
    if let Some(marker) = interrupted.filter(|marker| marker.concerns(scope)) {
        context.warn(format!(
            "{marker}; it was not completed, and this backup contains the partially restored data"
        ));
    }
    if context.settings.cluster.is_some() {
        context.warn(
            "this is a node of a cluster (`cluster.enabled`): the backup holds the storage of this node, and not the state of \
             the cluster"
                .to_owned(),
        );
    }
    match repository.load(&context.id).await {
        Err(Error::NotFound(_)) => {}
        Ok(_) | Err(Error::Damaged { .. }) => {
            return Err(Error::Failed(format!(
                "backup `{}` exists already",
                context.id
            )));
        }
        // A target that does not answer may hold it.
        Err(error) => return Err(error),
    }
    repository.begin_journal(&context.journal("backup")).await?;
    Ok(unfinished)
}

/// Removes what is superseded by a backup of these databases that was just published. Without its
/// manifest, incomplete copies stay.
pub(crate) async fn tidy(
    context: &Context,
    manifest: Option<&Manifest>,
    covered: &Databases,
    unfinished: &[Unfinished],
) -> Result<()> {
    let repository = &context.repository;
    if let Err(error) = repository.end_journal(&context.id).await {
        tracing::warn!(%error, "the journal of a published backup stays until the next sweep");
    }
    // Without the lock, another process may be writing here.
    context.check_lock().await?;
    let dead = dead::find(&context.repositories, repository, true).await?;
    warn_of_faults(context, dead.faults);
    // The next backup of more databases resumes those that this one does not replace.
    let others = unfinished
        .iter()
        .filter(|one| !covered.cover(&one.databases));
    let kept = [ids(others), dead.kept].concat();
    match repository.sweep_except(true, &kept).await {
        Ok(swept) => warn_of_faults(context, swept.faults),
        Err(error) => warn_of_faults(context, vec![error.to_string()]),
    }
    let Some(manifest) = manifest else {
        return Ok(());
    };
    // Incomplete copies are for the time without a backup.
    match repository.remove_incomplete_before(manifest).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(
            count,
            "incomplete copies from before this backup are removed"
        ),
        Err(error) => warn_of_faults(context, vec![error.to_string()]),
    }
    Ok(())
}

pub(crate) fn ids<'a>(unfinished: impl IntoIterator<Item = &'a Unfinished>) -> Vec<BackupId> {
    unfinished.into_iter().map(|one| one.id.clone()).collect()
}

fn warn_of_faults(context: &Context, faults: Vec<String>) {
    for fault in faults {
        context.warn(format!(
            "cannot remove leftovers of an interrupted operation: {fault}"
        ));
    }
}

/// Keeps of a failed backup what is of use: an incomplete copy, where only files of the source were
/// at fault, and returns where it is; else the files that the next backup can reuse. Nothing is
/// kept on a full disk, or where nothing was stored.
pub(crate) async fn clean_up(
    context: &Context,
    mut collected: Collected,
    unfinished: &[Unfinished],
) -> Result<Option<String>> {
    let repository = &context.repository;
    if let Some(lock) = &context.lock
        && matches!(lock.check().await, Err(error) if error.kind() == ErrorKind::Busy)
    {
        // Another process may have swept the files stored so far, and their journal. Files that
        // came later have no journal and are of use to nobody; they are under this backup's own id.
        repository.sweep_one(&context.id, false).await?;
    } else if collected.faults.lost_stored_files() {
        for id in ids(unfinished).iter().chain([&context.id]) {
            repository.sweep_one(id, false).await?;
        }
    } else if collected.no_room {
        // Files of interrupted backups stay for a backup that has the room.
        repository.sweep_one(&context.id, false).await?;
    } else if collected.incomplete_inventory.is_some() {
        return Ok(Some(incomplete::keep(context, collected).await?));
    } else {
        collected.log.flush().await?;
        // Requests that were cancelled may still arrive: with the journal they belong to the next
        // operation.
        if collected.log.is_empty() && !context.running.cancel.is_cancelled() {
            repository.sweep_one(&context.id, false).await?;
        }
    }
    Ok(None)
}

async fn make(
    context: &Context,
    options: &BackupOptions,
    collected: &mut Collected,
) -> Result<Manifest> {
    let stored = store(context, options, collected);
    let inventory = context.or_cancelled(stored).await?;
    publish(context, &inventory, collected).await
}

/// Stores everything that the backup is made of, except its manifest, and makes it durable.
async fn store(
    context: &Context,
    options: &BackupOptions,
    collected: &mut Collected,
) -> Result<InventoryRef> {
    let (scope, flush) = (&options.scope, Flush::of(options));
    collected.base = base::find(context, options).await?;
    let durability = context.repository.sink().durability().await?;
    let omitted = omitted::on_request(&context.settings, scope);
    collected.add_not_included(context, omitted);
    let secrets = secrets::of(context, scope);
    let mut sources: Vec<(Section, &Arc<dyn Source>)> = (context.sources.iter())
        .map(|source| (section_of(&**source), source))
        .filter(|(section, _)| scope.includes(section))
        .collect();
    sources.sort_by_key(|(section, _)| section.backup_order());
    for (section, source) in sources {
        context.check_cancelled()?;
        context.running.phase(Phase::Listing);
        if section == Section::Data {
            collected.flushed = flush::run(context, flush).await?;
        }
        let bases = (collected.base.iter()).map(|base| (Databases::All, base));
        let known = Known::in_bases(&section, context.storage.properties().entity_tag, bases);
        let snapshot = source.snapshot(snapshot_request(context, scope, secrets, known)?);
        let snapshot = snapshot.await?;
        let copied = section::copy(context, &section, &*snapshot, collected).await;
        let report = snapshot.report();
        if let Err(error) = snapshot.release().await {
            // It takes room, and no more; the next operation tries again.
            tracing::warn!(%error, "cannot remove the snapshot");
        }
        copied?;
        collected.add_report(context, &section, report);
        if section == Section::Data
            && let Some(list) = collected.inventories.get(&section)
        {
            warn_if_empty(context, &named_databases(scope), &[list])?;
        }
    }
    store_inventory(context, collected, &*durability).await
}

/// What a source is asked for, to take a snapshot for this backup.
pub(crate) fn snapshot_request(
    context: &Context,
    scope: &Scope,
    secrets: Secrets,
    known: Option<Arc<dyn KnownFiles>>,
) -> Result<SnapshotRequest> {
    Ok(SnapshotRequest {
        operation_id: context.operation_id.clone(),
        scratch: context.scratch()?.to_owned(),
        cancel: context.running.cancel.clone(),
        activity: context.running.progress.activity().clone(),
        scope: scope.clone(),
        secrets,
        known,
    })
}
