//! Making a backup.
//!
//! Order of writes: journal → databases → file listing → files → config → inventory → all of it durable → the lock
//! checked again → `manifest.json`, which is what makes the backup exist.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::{
    Body, Entry, EntryStream, Error as CoreError, Freeze, Frozen, Source, SourceReport, Upload,
    WriteOptions,
};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use jiff::Timestamp;

use super::context::Context;
use super::{marker, restore};
use crate::manifest::{
    self, Consistency, DatabaseIncluded, Inventory, Manifest, Record, SectionTotals, SourceInfo,
    Spool,
};
use crate::pipeline::{Reader, Writer};
use crate::repository::{Repository, inventory_key, manifest_key};
use crate::source::{self, Contents};
use crate::{Error, Result};

/// How long a failed backup cleans up in a store.
const CLEANUP_PATIENCE: Duration = Duration::from_secs(30);

/// Makes a backup; on failure nothing of it stays.
pub(super) async fn run(context: &Context, metadata: bool, config: bool) -> Result<()> {
    let repository = &context.repository;
    context.running.phase("preparing");
    for fault in repository.sweep(true).await?.faults {
        let text = format!("what an interrupted operation left can't be removed: {fault}");
        context
            .running
            .update(|operation| operation.warnings.push(text));
    }
    restore::discard_staged(&context.settings, &context.sources).await?;
    if let Some(marker) = marker::marker(&context.settings) {
        let text = format!(
            "a restore of {} was interrupted while it changed live data, and was not completed: this backup is of what it left",
            marker.backup_id
        );
        context
            .running
            .update(|operation| operation.warnings.push(text));
    }
    if repository.load(&context.id).await.is_ok() {
        return Err(Error::Failed(format!(
            "backup `{}` exists already",
            context.id
        )));
    }
    repository.begin_journal(&context.journal("backup")).await?;
    let made = make(context, metadata, config).await;
    if made.is_err() {
        // At once, so that a full disk has its room back; what can't be removed now is swept later by its journal.
        context.running.phase("cleaning up");
        let cleaned = async {
            repository.remove_backup(&context.id).await?;
            repository.end_journal(&context.id).await
        };
        // Local disk takes as long as it takes; a store that does not answer must not double the wait.
        let patience = match repository.sink().capabilities().local_root {
            Some(_) => Duration::MAX,
            None => CLEANUP_PATIENCE,
        };
        match tokio::time::timeout(patience, cleaned).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "what a failed backup left is removed by the next one");
            }
            Err(_) => tracing::warn!("what a failed backup left is removed by the next one"),
        }
        return made;
    }
    if let Err(error) = repository.end_journal(&context.id).await {
        // The backup is published and whole; the journal goes with the next sweep.
        tracing::warn!(%error, "the journal of a backup that is done stays for now");
    }
    Ok(())
}

async fn make(context: &Context, metadata: bool, config: bool) -> Result<()> {
    let repository = &context.repository;
    let durability = repository.sink().durability().await?;
    let started = Timestamp::now();
    let mut collected = Collected::default();
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
    let mut moment = started;
    for source in sources {
        context.check_cancelled()?;
        context.running.phase("listing");
        if source.section() == source::DATA {
            moment = Timestamp::now();
        }
        let freeze = Freeze {
            operation_id: context.operation_id.clone(),
            scratch: context.scratch()?.to_owned(),
            cancel: context.running.cancel.clone(),
        };
        let frozen = source.freeze(freeze).await?;
        let copied = copy_section(context, source.section(), &*frozen, &mut collected).await;
        let report = frozen.report();
        frozen.release().await?;
        copied?;
        collected.report(context, source.section(), report);
        collected.warn_of_nothing(context, source.section());
    }
    context.failure("not every file could be stored")?;
    context.running.phase("publishing");
    let inventory = join_inventories(context, &collected)?;
    put_file(repository, &inventory_key(&context.id), &inventory).await?;
    durability.sync().await?;
    context.check_cancelled()?;
    if let Some(lock) = &context.lock {
        lock.check().await?;
    }
    let mut manifest = collected.manifest(context, started, moment);
    manifest.inventory = Some(inventory.summary().clone());
    let bytes = manifest::seal(&mut manifest)
        .map_err(|e| Error::Failed(format!("cannot write the manifest: {e}")))?;
    repository.put(&manifest_key(&context.id), bytes).await?;
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
    Ok(())
}

/// What the sections have given so far.
#[derive(Default)]
struct Collected {
    /// By section with a slash behind it, which is the order of their paths.
    inventories: BTreeMap<String, Inventory>,
    contents: Contents,
    reports: BTreeMap<String, SourceReport>,
}

/// Lists a section into a file, then copies what is listed.
async fn copy_section(
    context: &Context,
    section: &str,
    frozen: &dyn Frozen,
    collected: &mut Collected,
) -> Result<()> {
    let running = &context.running;
    let mut listed = Spool::create(&context.scratch()?.join(format!("{section}.listing")))?;
    let mut entries = frozen.entries();
    while let Some(entry) = entries.next().await {
        context.check_cancelled()?;
        let entry = entry?;
        running.progress.expect(1, entry.size);
        if section == source::DATA {
            collected.contents.add(&entry.key, entry.size);
        }
        listed.push(&Record::new(section, entry)?)?;
    }
    drop(entries);
    let listed = listed.finish()?.unsealed();
    running.phase("copying");
    let mut copied = Spool::create(&context.scratch()?.join(format!("{section}.inventory")))?;
    let writer = BackupWriter {
        repository: &context.repository,
        folder: format!("{}/{section}", context.id),
    };
    let reader = FrozenReader(frozen);
    let plan = context.plan();
    let mut outcomes = plan.run(entries_of(&listed)?, &reader, &writer);
    let ended = async {
        while let Some(outcome) = outcomes.next().await {
            let outcome = outcome?;
            match outcome.fault {
                None => copied.push(&Record::new(section, outcome.entry)?)?,
                Some(fault) => {
                    if !context.note(&format!("{section}/{}", outcome.entry.key), &fault)? {
                        return context.failure("not every file could be stored");
                    }
                }
            }
        }
        Ok(())
    };
    let ended = ended.await;
    plan.stop(outcomes).await;
    ended?;
    collected
        .inventories
        .insert(format!("{section}/"), copied.finish()?);
    Ok(())
}

/// The entries of a list of one section.
pub(super) fn entries_of(list: &Inventory) -> Result<EntryStream<'static>> {
    let records = list.records()?;
    Ok(
        stream::iter(records.map(|record| record.map(|record| record.entry).map_err(to_core)))
            .boxed(),
    )
}

pub(super) fn to_core(error: Error) -> CoreError {
    match error {
        Error::Storage(error) => error,
        other => CoreError::new(
            arc_backup_core::ErrorKind::Other,
            "read",
            "list",
            other.to_string(),
        ),
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
    }
    upload.commit().await?;
    Ok(())
}

struct FrozenReader<'a>(&'a dyn Frozen);

#[async_trait]
impl Reader for FrozenReader<'_> {
    async fn open(&self, entry: &Entry) -> Result<Body, CoreError> {
        self.0.open(entry).await
    }
}

struct BackupWriter<'a> {
    repository: &'a Repository,
    folder: String,
}

#[async_trait]
impl Writer for BackupWriter<'_> {
    async fn begin(&self, entry: &Entry) -> Result<Option<Box<dyn Upload>>, CoreError> {
        let key = file_key_of(&self.folder, &entry.key)?;
        let options = WriteOptions {
            size_hint: Some(entry.size),
            modified: entry.modified,
            mode: entry.mode,
            ..WriteOptions::default()
        };
        self.repository.sink().begin(&key, options).await.map(Some)
    }
}

fn file_key_of(folder: &str, key: &str) -> Result<arc_backup_core::Key, CoreError> {
    let path = format!("{folder}/{key}");
    arc_backup_core::Key::parse(&path).map_err(|e| {
        CoreError::new(
            arc_backup_core::ErrorKind::Invalid,
            "write",
            path,
            e.reason(),
        )
    })
}

impl Collected {
    /// A wrong prefix or bucket shows as no data at all: on local disk the folder would be missing.
    fn warn_of_nothing(&self, context: &Context, section: &str) {
        let none = (self.inventories.get(&format!("{section}/")))
            .is_some_and(|list| list.summary().entries == 0);
        if section == source::DATA && none {
            let text = format!(
                "the data storage holds no file ({}): is that the place that Arc uses?",
                context.storage.location()
            );
            context
                .running
                .update(|operation| operation.warnings.push(text));
        }
    }

    fn report(&mut self, context: &Context, section: &str, report: SourceReport) {
        context.running.update(|operation| {
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

    fn manifest(&self, context: &Context, started: Timestamp, moment: Timestamp) -> Manifest {
        let status = context.running.snapshot();
        let ended = Timestamp::now();
        let report = |section: &str| self.reports.get(section).cloned().unwrap_or_default();
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
            source: report(source::DATA).origin.map(|origin| SourceInfo {
                backend: origin.kind,
                location: origin.location,
            }),
            consistency: Some(Consistency {
                method: "listing".to_owned(),
                moment: moment.to_string(),
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
