//! A backup over several targets: a leg in each, of one snapshot.
//!
//! All legs are stored and durable before the first manifest is written. That of the default leg is
//! written last, with the index of the run: a backup that dies before has no whole run, and the
//! next one removes or resumes its legs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_backup_core::{Databases, Scope, Secrets, Section, Source};

use crate::manifest::{InventoryRef, Manifest};
use crate::operations::BackupOptions;
use crate::operations::Phase;
use crate::operations::backup::collected::{Collected, OfRun, warn_if_empty};
use crate::operations::backup::flush::{self, Flush};
use crate::operations::backup::known::Known;
use crate::operations::backup::leg_snapshot::LegSnapshot;
use crate::operations::backup::publish::{publish, store_inventory};
use crate::operations::backup::run::{
    BackupOutcome, clean_up, ids, prepare, snapshot_request, tidy,
};
use crate::operations::backup::{base, omitted, secrets, section};
use crate::operations::context::Context;
use crate::operations::labels;
use crate::operations::legs::routing::databases_of;
use crate::operations::sections::named_databases;
use crate::repository::{Repository, RunIndex, Unfinished};
use crate::source::section_of;
use crate::{Error, Result};

/// A leg that is being made.
struct Leg {
    context: Context,
    databases: Databases,
    /// Interrupted backups whose files are used again.
    unfinished: Vec<Unfinished>,
    collected: Collected,
}

impl Leg {
    fn target(&self) -> String {
        self.context.repository.name().to_owned()
    }

    fn has_data(&self) -> bool {
        let data = self.collected.inventories.get(&Section::Data);
        data.is_some_and(|list| list.summary().entries > 0)
    }

    /// The same error, as one of this target.
    fn named(&self, error: Error) -> Error {
        self.context.repository.named(error)
    }
}

/// Makes a backup over the legs of the context's repository, the default one first.
pub(crate) async fn run(context: &Context, options: &BackupOptions) -> Result<BackupOutcome> {
    let (scope, flush) = (&options.scope, Flush::of(options));
    if flush == Flush::Required {
        // Before anything is copied; once more before the files are listed.
        flush::run(context, flush).await?;
    }
    let mut legs = begin(context, options).await?;
    let made = make(context, scope, flush, &mut legs).await;
    if let Err(error) = made {
        context.running.phase(Phase::CleaningUp);
        abandon(legs).await;
        return Err(error);
    }
    // The backup exists, also where leftovers can't be removed.
    context.running.publish();
    for leg in &legs {
        labels::keep(&leg.context, options).await;
    }
    BackupOutcome::Published.report(&context.running)?;
    let covered = match &named_databases(scope)[..] {
        [] => Databases::All,
        some => Databases::Only(some.iter().cloned().collect()),
    };
    // Before anything is removed, and that of the default leg last: with it open, and without its
    // manifest, the others would be dead.
    for leg in legs.iter().rev() {
        let ended = leg.context.repository.end_journal(&context.id);
        if let Err(error) = context.or_cancelled(ended).await {
            tracing::warn!(%error, "the journal of a published backup stays until the next sweep");
        }
    }
    let manifest = match context.or_cancelled(load(context, &legs)).await {
        Ok(manifest) => Some(manifest),
        Err(error) => {
            tracing::warn!(%error, "incomplete copies from before this backup stay");
            None
        }
    };
    for leg in &legs {
        let tidied = tidy(&leg.context, manifest.as_ref(), &covered, &leg.unfinished);
        if let Err(error) = context.or_cancelled(tidied).await {
            tracing::warn!(%error, "leftovers of interrupted backups stay for the next operation");
        }
    }
    Ok(BackupOutcome::Published)
}

/// The manifest of the whole backup.
async fn load(context: &Context, legs: &[Leg]) -> Result<Manifest> {
    let parts: Vec<_> = (legs.iter())
        .map(|leg| leg.context.repository.clone())
        .collect();
    let run = match &parts[..] {
        [only] => only.clone(),
        _ => Repository::of_legs(parts).unwrap_or_else(|| context.repository.clone()),
    };
    Ok(run.load(&context.id).await?.manifest)
}

/// Prepares all targets, and begins the journals there.
async fn begin(context: &Context, options: &BackupOptions) -> Result<Vec<Leg>> {
    let scope = &options.scope;
    let mut legs: Vec<Leg> = Vec::new();
    for (number, repository) in context.repository.legs().iter().enumerate() {
        let leg = context.for_leg(repository, number)?;
        let prepared = context.or_cancelled(prepare(&leg, scope)).await;
        match prepared.map_err(|error| repository.named(error)) {
            Ok(unfinished) => {
                let mut collected = Collected::new(&leg, scope, ids(&unfinished));
                if let Some(first) = legs.first() {
                    collected.started = first.collected.started;
                }
                legs.push(Leg {
                    unfinished,
                    databases: databases_of(&context.settings, repository.name()),
                    context: leg,
                    collected,
                });
            }
            Err(error) => {
                abandon(legs).await;
                return Err(error);
            }
        }
    }
    for number in 0..legs.len() {
        let leg = &legs[number].context;
        match context.or_cancelled(base::find(leg, options)).await {
            Ok(base) => legs[number].collected.base = base,
            Err(error) => {
                let error = leg.repository.named(error);
                abandon(legs).await;
                return Err(error);
            }
        }
    }
    Ok(legs)
}

/// Keeps of the legs what the next backup can use, and removes the rest. There are no incomplete
/// copies of legs: one would pass for a copy of the whole.
async fn abandon(legs: Vec<Leg>) {
    let mut left = BTreeSet::new();
    for (number, leg) in legs.iter().enumerate() {
        let repository = &leg.context.repository;
        if let Err(fault) = repository.remove_manifest(&leg.context.id).await {
            tracing::warn!(error = %fault, "the next backup removes the manifest of the failed one");
            // A write that failed may have been stored all the same: then the run is whole, and the
            // next operation finds that out by this manifest.
            if number == 0 {
                return;
            }
            left.insert(number);
        }
    }
    for (number, mut leg) in legs.into_iter().enumerate() {
        // The journal of the default leg proves to the next backup that the others are dead.
        let is_proof = number == 0 && !left.is_empty();
        if is_proof || left.contains(&number) {
            continue;
        }
        leg.collected.incomplete_inventory = None;
        if let Err(fault) = clean_up(&leg.context, leg.collected, &leg.unfinished).await {
            tracing::warn!(error = %fault, "the next backup removes or reuses the files of the failed one");
        }
    }
}

async fn make(context: &Context, scope: &Scope, flush: Flush, legs: &mut Vec<Leg>) -> Result<()> {
    let stored = context.or_cancelled(store(context, scope, flush, legs));
    let inventories = stored.await?;
    context.check_cancelled()?;
    name_run(legs, &inventories);
    if legs.len() > 1 {
        store_index(&legs[0]).await?;
    }
    // The default leg, which makes the run whole, is the last.
    for (leg, inventory) in legs.iter_mut().zip(&inventories).rev() {
        let published = publish(&leg.context, inventory, &mut leg.collected).await;
        published.map_err(|error| leg.named(error))?;
    }
    Ok(())
}

/// Names all legs in each of them.
fn name_run(legs: &mut [Leg], inventories: &[InventoryRef]) {
    if legs.len() < 2 {
        return;
    }
    let targets: BTreeSet<_> = legs.iter().map(Leg::target).collect();
    let digests = inventories.iter().map(|inventory| inventory.sha256.clone());
    let of_run = OfRun {
        targets: targets.into_iter().collect(),
        inventories: legs.iter().map(Leg::target).zip(digests).collect(),
        is_default: false,
    };
    for (number, leg) in legs.iter_mut().enumerate() {
        leg.collected.run = Some(OfRun {
            is_default: number == 0,
            ..of_run.clone()
        });
    }
}

/// Stores the index that Arc has beside the manifest of the default leg.
async fn store_index(leg: &Leg) -> Result<()> {
    let context = &leg.context;
    let of_run = leg.collected.run.clone().unwrap_or_default();
    let mut database_targets = BTreeMap::new();
    for name in &of_run.targets {
        if let Databases::Only(names) = databases_of(&context.settings, name) {
            database_targets.extend(names.into_iter().map(|database| (database, name.clone())));
        }
    }
    let index = RunIndex {
        targets: of_run.targets,
        default_target: leg.target(),
        database_targets,
        status: RunIndex::COMPLETED.to_owned(),
    };
    let stored = context.repository.keep_run_index(&context.id, &index).await;
    stored.map_err(|error| leg.named(error))
}

/// Stores everything that the legs are made of, except their manifests, and makes it durable.
/// Removes legs that have nothing from `legs`.
async fn store(
    context: &Context,
    scope: &Scope,
    flush: Flush,
    legs: &mut Vec<Leg>,
) -> Result<Vec<InventoryRef>> {
    let mut durabilities = BTreeMap::new();
    for leg in legs.iter() {
        let durability = leg.context.repository.sink().durability().await?;
        durabilities.insert(leg.target(), durability);
    }
    let omitted = omitted::on_request(&context.settings, scope);
    legs[0].collected.add_not_included(context, omitted);
    let mut sources: Vec<(Section, &Arc<dyn Source>)> = (context.sources.iter())
        .map(|source| (section_of(&**source), source))
        .filter(|(section, _)| scope.includes(section))
        .collect();
    sources.sort_by_key(|(section, _)| section.backup_order());
    let secrets = secrets::of(context, scope);
    for (section, source) in sources {
        let part = (&section, &**source);
        store_section(context, part, scope, secrets, flush, legs).await?;
    }
    for leg in drop_empty(legs) {
        let repository = &leg.context.repository;
        repository.sweep_one(&leg.context.id, false).await?;
    }
    let targets = match legs.len() {
        1 => Vec::new(),
        _ => (legs.iter().map(Leg::target).collect::<BTreeSet<_>>())
            .into_iter()
            .collect(),
    };
    context
        .running
        .update(|operation| operation.targets = targets);
    report_reused(context, legs);
    let lists: Vec<_> = (legs.iter())
        .filter_map(|leg| leg.collected.inventories.get(&Section::Data))
        .collect();
    warn_if_empty(context, &named_databases(scope), &lists)?;
    let mut inventories = Vec::new();
    for leg in legs.iter_mut() {
        if let Some(durability) = durabilities.get(&leg.target()) {
            let stored = store_inventory(&leg.context, &mut leg.collected, &**durability).await;
            inventories.push(stored.map_err(|error| leg.context.repository.named(error))?);
        }
    }
    Ok(inventories)
}

/// Copies a section: data to the legs of its databases, all else to the default one.
async fn store_section(
    context: &Context,
    (section, source): (&Section, &dyn Source),
    scope: &Scope,
    secrets: Secrets,
    flush: Flush,
    legs: &mut [Leg],
) -> Result<()> {
    context.check_cancelled()?;
    context.running.phase(Phase::Listing);
    if *section == Section::Data {
        let flushed = flush::run(context, flush).await?;
        for leg in legs.iter_mut() {
            leg.collected.flushed = flushed;
        }
    }
    let bases = legs.iter().enumerate().filter_map(|(number, leg)| {
        let databases = match *section {
            Section::Data => leg.databases.clone(),
            _ if number == 0 => Databases::All,
            _ => return None,
        };
        Some((databases, leg.collected.base.as_ref()?))
    });
    let known = Known::in_bases(section, context.storage.properties().entity_tag, bases);
    let snapshot = source.snapshot(snapshot_request(context, scope, secrets, known)?);
    let snapshot = snapshot.await?;
    let mut copied = Ok(());
    // The default leg is the last, as its report is that of the whole.
    for (number, leg) in legs.iter_mut().enumerate().rev() {
        if copied.is_err() || (number > 0 && *section != Section::Data) {
            continue;
        }
        let Leg {
            context: own,
            collected,
            databases,
            ..
        } = leg;
        let part = LegSnapshot {
            snapshot: &*snapshot,
            databases,
        };
        let result = match *section {
            Section::Data => section::copy(own, section, &part, collected).await,
            _ => section::copy(own, section, &*snapshot, collected).await,
        };
        copied = result.map_err(|error| own.repository.named(error));
        let report = match number {
            0 => snapshot.report(),
            _ => arc_backup_core::Snapshot::report(&part),
        };
        if copied.is_ok() {
            collected.add_report(own, section, report);
        }
    }
    if let Err(error) = snapshot.release().await {
        // It takes room, and no more; the next operation tries again.
        tracing::warn!(%error, "cannot remove the snapshot");
    }
    copied
}

/// Removes and returns the legs without files, but not the default one: a database that has no
/// files yet makes no leg.
fn drop_empty(legs: &mut Vec<Leg>) -> Vec<Leg> {
    let all = std::mem::take(legs);
    let (kept, empty) = (all.into_iter().enumerate())
        .partition::<Vec<_>, _>(|(number, leg)| *number == 0 || leg.has_data());
    legs.extend(kept.into_iter().map(|(_, leg)| leg));
    empty.into_iter().map(|(_, leg)| leg).collect()
}

/// Reports how much all legs together reused.
fn report_reused(context: &Context, legs: &[Leg]) {
    let reused = legs.iter().map(|leg| leg.collected.reused);
    let (files, bytes) = reused.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    if files > 0 {
        context.running.update(|operation| {
            operation.reused_files = Some(files);
            operation.reused_bytes = Some(bytes);
        });
    }
}
