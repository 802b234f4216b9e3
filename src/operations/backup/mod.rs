//! Making a backup.
//!
//! Order of writes: journal → databases → file listing → files → config → inventory → all of it durable → the lock
//! checked again → `manifest.json`, which is what makes the backup exist.

pub(crate) mod durability;
pub(crate) mod flush;
pub(crate) mod incomplete;
pub(crate) mod omitted;
pub(crate) mod resume;
pub(crate) mod section;

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use arc_backup_core::{Activity, Body, ErrorKind, Freeze, Source, SourceReport, WriteOptions};
use futures::StreamExt;
use jiff::Timestamp;

use crate::manifest::{
    self, BackupId, Consistency, DatabaseIncluded, Inventory, InventoryRef, Manifest,
    SectionTotals, SourceInfo, Spool,
};
use crate::operations::backup::durability::Trust;
use crate::operations::backup::flush::Flush;
use crate::operations::context::Context;
use crate::operations::restore::marker;
use crate::operations::restore::staging;
use crate::repository::{BackupState, Repository, StoredLog, inventory_key, manifest_key};
use crate::source::{self, Contents};
use crate::{Error, Result};

/// Makes a backup. What a failed one has stored is continued by the next, but on a full disk, which has its room back at once.
pub(crate) async fn run(
    context: &Context,
    metadata: bool,
    config: bool,
    flush: Flush,
) -> Result<()> {
    if flush == Flush::Required {
        // Before anything is copied; once more before the files are listed.
        flush::run(context, flush).await?;
    }
    let unfinished = context.or_cancelled(prepare(context)).await?;
    let mut collected = Collected::new(context, unfinished.clone());
    let made = make(context, metadata, config, flush, &mut collected).await;
    let manifest = match made {
        Ok(manifest) => manifest,
        Err(error) => {
            context.running.phase("cleaning up");
            // Where it was asked to end, its time for that ends this too.
            if let Err(error) = clean_up(context, collected, &unfinished).await {
                tracing::warn!(%error, "files of a failed backup are removed, or used again, by the next one");
            }
            return Err(error);
        }
    };
    // The backup is there, whatever becomes of the rest.
    context.running.publish();
    let state = Some(BackupState::Unverified);
    (context.running).update(|operation| operation.backup_state = state);
    if let Err(error) = context.or_cancelled(tidy(context, &manifest)).await {
        tracing::warn!(%error, "files of interrupted backups are for the next operation");
    }
    Ok(())
}

/// Removes what interrupted backups left, but for what this one can use again, and begins its journal; answers that.
async fn prepare(context: &Context) -> Result<Vec<BackupId>> {
    let repository = &context.repository;
    context.running.phase("preparing");
    let unfinished = repository.continuable().await?;
    warn_of_faults(
        context,
        repository.sweep_but(true, &unfinished).await?.faults,
    );
    let interrupted = marker::marker(context).await;
    if let Err(error) = staging::discard_old_staged(context, interrupted.is_some()).await {
        warn_of_faults(context, vec![error.to_string()]);
    }
    if let Some(marker) = interrupted {
        context.warn(format!(
            "{}, and it was not completed: this backup is of what it left",
            marker.words()
        ));
    }
    match repository.load(&context.id).await {
        Err(Error::NotFound(_)) => {}
        Ok(_) | Err(Error::Damaged { .. }) => {
            return Err(Error::Failed(format!(
                "backup `{}` exists already",
                context.id
            )));
        }
        // A target that can't say so may hold it.
        Err(error) => return Err(error),
    }
    repository.begin_journal(&context.journal("backup")).await?;
    Ok(unfinished)
}

/// Removes, after a backup was published, what nobody needs any more who has it.
async fn tidy(context: &Context, manifest: &Manifest) -> Result<()> {
    let repository = &context.repository;
    if let Err(error) = repository.end_journal(&context.id).await {
        // The backup is published and whole; the journal goes with the next sweep.
        tracing::warn!(%error, "the journal of a backup that is done stays for now");
    }
    // What others do is theirs, once this lock is not ours.
    context.check_lock().await?;
    match repository.sweep(true).await {
        Ok(swept) => warn_of_faults(context, swept.faults),
        Err(error) => warn_of_faults(context, vec![error.to_string()]),
    }
    // They were for the time without a backup.
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

fn warn_of_faults(context: &Context, faults: Vec<String>) {
    for fault in faults {
        context.warn(format!(
            "what an interrupted operation left can't be removed: {fault}"
        ));
    }
}

/// Leaves of a failed backup what is of use: an incomplete copy where nothing but files of the source was at fault, else what the
/// next backup can go on from; on a full disk, and where nothing was stored, nothing.
async fn clean_up(
    context: &Context,
    mut collected: Collected,
    unfinished: &[BackupId],
) -> Result<()> {
    let repository = &context.repository;
    if let Some(lock) = &context.lock
        && matches!(lock.check().await, Err(error) if error.kind() == ErrorKind::Busy)
    {
        // Somebody else may have swept what this one stored before, and its journal: what came since has none, and is of
        // use to nobody. The id is this backup's alone.
        return repository.sweep_one(&context.id, false).await;
    }
    // A full disk of our own state is no reason: what is stored is as good as before.
    if collected.trust.is_lost() {
        for id in unfinished.iter().chain([&context.id]) {
            repository.sweep_one(id, false).await?;
        }
        return Ok(());
    }
    if collected.no_room {
        // What interrupted backups stored before is still there for the one that has the room.
        return repository.sweep_one(&context.id, false).await;
    }
    if collected.incomplete_inventory.is_some() {
        return incomplete::keep(context, collected).await;
    }
    collected.log.tell().await?;
    // What a store was sent when it was cancelled may arrive later: with its journal it is the next operation's.
    if collected.log.is_empty() && !context.running.cancel.is_cancelled() {
        repository.sweep_one(&context.id, false).await?;
    }
    Ok(())
}

async fn make(
    context: &Context,
    metadata: bool,
    config: bool,
    flush: Flush,
    collected: &mut Collected,
) -> Result<Manifest> {
    let stored = store(context, metadata, config, flush, collected);
    let inventory = context.or_cancelled(stored).await?;
    publish(context, &inventory, collected).await
}

/// Stores everything that the backup is made of, durably, but its manifest.
async fn store(
    context: &Context,
    metadata: bool,
    config: bool,
    flush: Flush,
    collected: &mut Collected,
) -> Result<InventoryRef> {
    let repository = &context.repository;
    let durability = repository.sink().durability().await?;
    omitted::note(context, metadata, config);
    let mut sources: Vec<&Arc<dyn Source>> = (context.sources.iter())
        .filter(|source| match source.section() {
            source::METADATA => metadata,
            source::CONFIG => config,
            _ => true,
        })
        .collect();
    // Databases before the files that they speak of; the configuration last.
    sources.sort_by_key(|source| match source.section() {
        source::METADATA => 0,
        source::DATA => 1,
        source::CONFIG => 3,
        _ => 2,
    });
    for source in sources {
        context.check_cancelled()?;
        context.running.phase("listing");
        if source.section() == source::DATA {
            flush::run(context, flush).await?;
        }
        let freeze = Freeze {
            operation_id: context.operation_id.clone(),
            scratch: context.scratch()?.to_owned(),
            cancel: context.running.cancel.clone(),
            activity: context.running.progress.activity().clone(),
        };
        let frozen = source.freeze(freeze).await?;
        let copied = section::copy(context, source.section(), &*frozen, collected).await;
        let report = frozen.report();
        if let Err(error) = frozen.release().await {
            // It takes room, and no more; the next operation tries again.
            tracing::warn!(%error, "what the backup held on to can't be removed");
        }
        copied?;
        collected.report(context, source.section(), report);
        collected.warn_of_nothing(context, source.section());
    }
    context.running.phase("publishing");
    let inventory = join_inventories(context, collected)?;
    let stored = put_file(
        repository,
        &inventory_key(&context.id),
        &inventory,
        context.running.progress.activity(),
    )
    .await;
    collected.trust.watch(stored)?;
    (collected.trust)
        .watch_durability(source::sync(&*durability, context.running.progress.activity()).await)?;
    if context.running.snapshot().problem_count > 0 {
        // Only files of the source: whatever else fails ends the backup at once.
        collected.incomplete_inventory = Some(inventory.summary().clone());
        context.failure("not every file could be read")?;
    }
    context.check_cancelled()?;
    Ok(inventory.summary().clone())
}

/// Writes the manifest, with which the backup exists, while the lock is held.
async fn publish(
    context: &Context,
    inventory: &InventoryRef,
    collected: &mut Collected,
) -> Result<Manifest> {
    let repository = &context.repository;
    context.check_cancelled()?;
    if let Some(lock) = &context.lock {
        lock.check().await?;
    }
    let mut manifest = collected.manifest(context);
    manifest.inventory = Some(inventory.clone());
    let bytes = manifest::seal(&mut manifest)
        .map_err(|e| Error::Failed(format!("cannot write the manifest: {e}")))?;
    let published = repository.put(&manifest_key(&context.id), bytes).await;
    collected.trust.watch(published)?;
    // A holder that slept through its lock's end, and through somebody else's sweep, has published nothing that lasts.
    if let Some(lock) = &context.lock
        && let Err(error) = lock.check().await
    {
        repository
            .sink()
            .delete(&[manifest_key(&context.id)])
            .await?;
        return Err(error.into());
    }
    Ok(manifest)
}

/// What the sections have given so far.
pub(crate) struct Collected {
    started: Timestamp,
    /// By section with a slash behind it, which is the order of their paths.
    pub(crate) inventories: BTreeMap<String, Inventory>,
    pub(crate) contents: Contents,
    reports: BTreeMap<String, SourceReport>,
    /// Backups that were interrupted, whose files are used again, newest first.
    pub(crate) unfinished: Vec<BackupId>,
    /// Files that were, and their bytes.
    pub(crate) reused: (u64, u64),
    /// What is stored, for the backup after this one, should this one not end.
    pub(crate) log: StoredLog,
    /// Whether what is stored is kept for it.
    pub(crate) trust: Trust,
    /// Whether it was found, before anything was copied, that the target has no room for it.
    pub(crate) no_room: bool,
    /// All is stored that could be read: the list of it.
    pub(crate) incomplete_inventory: Option<InventoryRef>,
}

impl Collected {
    fn new(context: &Context, unfinished: Vec<BackupId>) -> Self {
        Self {
            started: Timestamp::now(),
            inventories: BTreeMap::new(),
            contents: Contents::default(),
            reports: BTreeMap::new(),
            unfinished,
            reused: (0, 0),
            log: StoredLog::new(&context.repository, &context.id),
            trust: Trust::new(&**context.repository.sink()),
            no_room: false,
            incomplete_inventory: None,
        }
    }
}

fn join_inventories(context: &Context, collected: &Collected) -> Result<Inventory> {
    let mut spool = Spool::create(&context.scratch()?.join("inventory.jsonl"))?;
    for inventory in collected.inventories.values() {
        for record in inventory.records()? {
            spool.push(&record?)?;
        }
    }
    spool.finish()
}

async fn put_file(
    repository: &Repository,
    key: &arc_backup_core::Key,
    inventory: &Inventory,
    activity: &Activity,
) -> Result<()> {
    let path = inventory.path();
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let len = file
        .metadata()
        .map_err(|e| Error::io("read", path, e))?
        .len();
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

impl Collected {
    /// A wrong prefix or bucket shows as no data at all: on local disk the folder would be missing.
    fn warn_of_nothing(&self, context: &Context, section: &str) {
        let none = (self.inventories.get(&format!("{section}/")))
            .is_some_and(|list| list.summary().entries == 0);
        if section == source::DATA && none {
            context.warn(format!(
                "the data storage holds no file ({}): is that the place that Arc uses?",
                context.storage.location()
            ));
        }
    }

    /// Tells how much was taken over.
    pub(crate) fn tell_reused(&self, context: &Context) {
        let (files, bytes) = self.reused;
        context.running.update(|operation| {
            operation.reused_files = Some(files);
            operation.reused_bytes = Some(bytes);
        });
    }

    fn report(&mut self, context: &Context, section: &str, report: SourceReport) {
        for (path, detail) in &report.unreadable {
            let running = &context.running;
            running.problem(format!("{section}/{path}"), "unreadable", detail.as_str());
        }
        context.running.update(|operation| {
            for warning in &report.warnings {
                operation.add_warning(warning.clone());
            }
            operation
                .not_included
                .extend(report.not_included.iter().cloned());
            if report.special_files > 0 {
                *operation.special_files.get_or_insert(0) += report.special_files;
                operation
                    .special_sample
                    .extend(report.special_sample.iter().cloned());
            }
            if report.unaddressable_files > 0 {
                *operation.unaddressable_files.get_or_insert(0) += report.unaddressable_files;
                operation
                    .unaddressable_sample
                    .extend(report.unaddressable_sample.iter().cloned());
            }
        });
        self.reports.insert(section.to_owned(), report);
    }

    /// The manifest, but for what it says of the inventory.
    pub(crate) fn manifest(&self, context: &Context) -> Manifest {
        let started = self.started;
        let status = context.running.snapshot();
        let ended = Timestamp::now();
        let report = |section: &str| self.reports.get(section).cloned().unwrap_or_default();
        let data = report(source::DATA);
        let included: Vec<_> = (report(source::METADATA).settings.into_iter())
            .map(|(file, setting)| DatabaseIncluded { file, setting })
            .collect();
        let has = |section: &str| {
            self.inventories
                .get(&format!("{section}/"))
                .is_some_and(|list| list.summary().entries > 0)
        };
        let mut not_included = context.settings.not_included.clone();
        not_included.extend(status.not_included);
        context
            .running
            .update(|operation| operation.not_included.clone_from(&not_included));
        Manifest {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            backup_id: context.id.to_string(),
            created_at: started.to_string(),
            backup_type: "full".to_owned(),
            databases: self.contents.databases(),
            total_files: self.contents.parquet_files,
            total_size_bytes: self.contents.parquet_bytes,
            auxiliary_files: self.contents.auxiliary_files,
            compaction_state_files: self.contents.compaction_state_files,
            unaddressable_files: status.unaddressable_files.unwrap_or(0),
            unaddressable_sample: status.unaddressable_sample,
            special_files: status.special_files.unwrap_or(0),
            special_sample: status.special_sample,
            has_metadata: has(source::METADATA),
            has_iceberg_catalog: included
                .iter()
                .any(|database| database.file == "iceberg-catalog.db"),
            has_config: has(source::CONFIG),
            target: Some(context.repository.name().to_owned()),
            format: Some(manifest::FORMAT),
            tool: Some(concat!("arc-backup ", env!("CARGO_PKG_VERSION")).to_owned()),
            completed_at: Some(ended.to_string()),
            duration_seconds: Some(ended.duration_since(started).as_secs_f64()),
            source: data.origin.map(|origin| SourceInfo {
                backend: origin.kind,
                location: origin.location,
                instance: crate::operations::instance_id::instance_id(
                    context.settings.backup.state_folder(),
                ),
            }),
            reused_files: self.reused.0,
            reused_bytes: self.reused.1,
            consistency: data.method.map(|method| Consistency {
                method,
                moment: (data.moment.and_then(|time| Timestamp::try_from(time).ok()))
                    .unwrap_or(started)
                    .to_string(),
                flushed: status.flushed,
            }),
            sections: (self.inventories.iter())
                .map(|(name, list)| SectionTotals {
                    name: name.trim_end_matches('/').to_owned(),
                    files: list.summary().entries,
                    bytes: list.summary().bytes,
                })
                .collect(),
            databases_included: included,
            not_included,
            ..Manifest::default()
        }
    }
}
