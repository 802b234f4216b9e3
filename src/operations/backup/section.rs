//! Copying one section of a backup.
//!
//! Counts the files of the snapshot, reuses those that the base has, takes over those that
//! interrupted backups have stored, copies the rest, and lets the source reconcile files that were
//! gone or changed when they were opened.

use std::collections::{BTreeMap, BTreeSet};

use arc_backup_core::{
    Access, Body, Entry, EntryStream, Error as CoreError, ErrorKind, Key, Section, Snapshot, Tier,
    Upload, WriteOptions,
};
use async_trait::async_trait;
use futures::{Stream, StreamExt, TryStreamExt, stream};

use crate::Result;
use crate::manifest::{Inventory, Record, Spool};
use crate::operations::Phase;
use crate::operations::backup::collected::Collected;
use crate::operations::backup::write_faults::WriteFaults;
use crate::operations::backup::{resume, reuse};
use crate::operations::context::Context;
use crate::operations::entries::{difference, entries_of};
use crate::operations::problems::Problems;
use crate::operations::restore::disk_space::check_target;
use crate::pipeline::{CopyFault, Outcome, Plan, Reader, Writer, inspect_nothing};
use crate::repository::{Repository, file_key};
use crate::sorted::{Joined, Sorted, in_order, merge_join, union};
use crate::source::inspect_data_file;

/// Attempts to copy the same version of a file before it counts as unreadable.
const MAX_ATTEMPTS: u32 = 4;
/// The maximum number of rounds of reconciling and copying.
const ROUNDS: u32 = 1000;
/// The credentials are checked once per this number of refused files.
const REFUSALS: u64 = 100;

/// Copies a section, and adds it to `collected`. Files of the source that can't be read are
/// problems; any other fault ends it.
pub(crate) async fn copy(
    context: &Context,
    section: &Section,
    snapshot: &dyn Snapshot,
    collected: &mut Collected,
) -> Result<()> {
    let before = context.running.progress.counts();
    collected.faults.check(collected.log.next_run().await)?;
    let split = reuse::reuse(context, section, snapshot, collected).await?;
    let rest = || match &split {
        Some(split) => split.rest(),
        None => Ok(snapshot.entries()),
    };
    if split.is_none() {
        count(context, section, snapshot).await?;
    }
    collected.faults.check(collected.log.next_run().await)?;
    let reused = resume::reuse(context, section, &rest, collected).await?;
    collected.faults.check(collected.log.next_run().await)?;
    // Of this section: those counted, less those that are there.
    let after = context.running.progress.counts();
    let grown = |at: usize| after[at].saturating_sub(before[at]);
    let left = (
        grown(0).saturating_sub(grown(2)),
        grown(1).saturating_sub(grown(3)),
    );
    if let Err(error) = check_target(context, left.0, left.1) {
        collected.no_room = true;
        return Err(error);
    }
    context.running.phase(Phase::Copying);
    let mut copying = Copying {
        context,
        section,
        snapshot,
        log: &mut collected.log,
        faults: &mut collected.faults,
        problems: &mut collected.problems,
        lost: Vec::new(),
        recopied: BTreeMap::new(),
        refused: 0,
    };
    let mut copied = Spool::create(&context.scratch()?.join(format!("{section}.copied")))?;
    let entries = difference(rest()?, entries_of(&reused)?);
    copying.run(entries, Some(&mut copied)).await?;
    let copied = copied.finish()?;
    let mut gone = BTreeSet::new();
    copying.reconcile(&mut gone).await?;
    if copying.refused > 0 {
        copying.check_credentials().await?;
    }
    let recopied = copying.recopied;
    let mut all = Spool::create(&context.scratch()?.join(format!("{section}.inventory")))?;
    let of_base = match &split {
        Some(split) => stored(&split.reused, true)?.left_stream(),
        None => stream::empty().right_stream(),
    };
    let resumed = stored(&reused, true)?;
    let of_first_copy = union(union(stored(&copied, false)?, resumed), of_base);
    let of_later_copies = stream::iter(recopied.values().cloned().map(Ok));
    let mut joined = merge_join(of_first_copy, of_later_copies);
    let mut reconciled = 0_u64;
    while let Some(joined) = joined.try_next().await? {
        let (dropped, record) = match joined {
            Joined::Left(stored) if gone.contains(&stored.record.entry.key) => (Some(stored), None),
            Joined::Left(stored) => (None, Some(stored.record)),
            Joined::Right(record) => (None, Some(record)),
            Joined::Both(stored, record) => (Some(stored), Some(record)),
        };
        if let Some(Stored { record, is_reused }) = dropped {
            (context.running.progress).forget(1, record.entry.size, true);
            if is_reused {
                collected.reused.0 -= 1;
                collected.reused.1 -= record.entry.size;
            }
            reconciled += 1;
        }
        if let Some(mut record) = record {
            record.drop_weak_tag();
            collected.add_holder(&record);
            if *section == Section::Data {
                collected.contents.add(&record.entry);
                collected.damaged.add(&record);
                if record.entry.tier == Tier::Cold {
                    collected.cold.0 += 1;
                    collected.cold.1 += record.entry.size;
                }
            }
            all.push(&record)?;
        }
    }
    drop(joined);
    if *section == Section::Data {
        collected.damaged.report(context);
    }
    tracing::debug!(%section, reconciled, "copied");
    if reconciled > 0 && collected.reused.0 > 0 {
        collected.report_reused(context);
    }
    remove_gone(context, section, &gone).await?;
    collected.inventories.insert(section.clone(), all.finish()?);
    Ok(())
}

/// Counts the files of a snapshot and their bytes, and checks that each path is valid in a backup.
async fn count(context: &Context, section: &Section, snapshot: &dyn Snapshot) -> Result<()> {
    let mut entries = in_order(snapshot.entries());
    while let Some(entry) = entries.try_next().await? {
        context.check_cancelled()?;
        context.running.progress.expect(1, entry.size);
        Record::new(section, entry)?;
    }
    Ok(())
}

/// The record of a stored file, and whether it was reused from an earlier or interrupted backup.
struct Stored {
    record: Record,
    is_reused: bool,
}

impl Sorted for Stored {
    fn sort_key(&self) -> &str {
        self.record.sort_key()
    }
}

fn stored(
    list: &Inventory,
    is_reused: bool,
) -> Result<impl Stream<Item = Result<Stored>> + Send + use<>> {
    let records = list.records()?;
    Ok(stream::iter(records.map(move |record| {
        record.map(|record| Stored { record, is_reused })
    })))
}

/// One section being copied.
struct Copying<'a> {
    context: &'a Context,
    section: &'a Section,
    snapshot: &'a dyn Snapshot,
    log: &'a mut crate::repository::StoredLog,
    faults: &'a mut WriteFaults,
    problems: &'a mut Problems,
    /// Entries that were missing or changed when they were opened.
    lost: Vec<(Entry, CopyFault)>,
    /// The number of files that the storage refused to read.
    refused: u64,
    /// Files that were copied again after the source had reconciled them.
    recopied: BTreeMap<Key, Record>,
}

impl Copying<'_> {
    /// Copies the entries, and adds them to the list `copied`, or to `recopied` without one.
    async fn run(
        &mut self,
        entries: EntryStream<'_>,
        mut copied: Option<&mut Spool>,
    ) -> Result<()> {
        let context = self.context;
        let writer = BackupWriter {
            repository: &context.repository,
            folder: format!("{}/{}", context.id, self.section),
            section: self.section,
        };
        let reader = SnapshotReader(self.snapshot);
        let plan = Plan {
            inspect: match *self.section {
                Section::Data => inspect_data_file,
                _ => inspect_nothing,
            },
            ..context.plan()
        };
        let mut copies = plan.run(entries, &reader, &writer);
        let mut ended = Ok(());
        while ended.is_ok()
            && let Some(outcome) = copies.next().await
        {
            let handled = self.handle(outcome, copied.as_deref_mut());
            ended = copies.beside(handled).await;
        }
        copies.stop().await;
        ended?;
        context.check_cancelled()
    }

    /// Records a copy that has ended.
    async fn handle(
        &mut self,
        outcome: Result<Outcome, CoreError>,
        copied: Option<&mut Spool>,
    ) -> Result<()> {
        let outcome = outcome?;
        let Some(fault) = outcome.fault else {
            let record = Record::new(self.section, outcome.entry)?;
            match copied {
                Some(copied) => {
                    let recorded = self.log.record(&record, outcome.stored.as_deref()).await;
                    self.faults.check(recorded)?;
                    copied.push(&record)?;
                }
                None => _ = self.recopied.insert(record.entry.key.clone(), record),
            }
            return Ok(());
        };
        if is_lost(&fault) {
            self.lost.push((outcome.entry, fault));
            return Ok(());
        }
        if let CopyFault::Write(error) = &fault {
            self.faults.record(error);
        }
        self.note(&outcome.entry, &fault).await
    }

    /// Records that a file could not be copied. Fails if the source is not the cause.
    async fn note(&mut self, entry: &Entry, fault: &CopyFault) -> Result<()> {
        if let CopyFault::Read(error) = fault
            && error.kind() == ErrorKind::PermissionDenied
            && *self.section == Section::Data
            && self.context.storage.properties().access == Access::Network
        {
            // A store refuses a single object, or all of them once the credentials have expired.
            if self.refused.is_multiple_of(REFUSALS) {
                self.check_credentials().await?;
            }
            self.refused += 1;
        }
        let path = format!("{}/{}", self.section, entry.key);
        if !self.problems.add_fault(&path, fault)? {
            return self.problems.failure("not every file could be stored");
        }
        Ok(())
    }

    /// Fails if the storage no longer accepts the credentials.
    async fn check_credentials(&self) -> Result<()> {
        Ok(self.context.storage.list_children(None).await.map(drop)?)
    }

    /// Removes a key from the files that were copied again.
    fn forget(&mut self, key: &Key) {
        if let Some(record) = self.recopied.remove(key) {
            let progress = &self.context.running.progress;
            progress.forget(1, record.entry.size, true);
        }
    }

    /// Lets the source reconcile lost entries and copies the result, until none is lost. Adds keys
    /// that are no longer part of the snapshot to `gone`.
    async fn reconcile(&mut self, gone: &mut BTreeSet<Key>) -> Result<()> {
        let mut attempts = BTreeMap::new();
        for round in 0.. {
            // A file that stays in the listing but cannot be opened is unreadable.
            let mut lost = Vec::new();
            for (entry, fault) in std::mem::take(&mut self.lost) {
                let count = attempts
                    .entry((entry.key.clone(), entry.etag.clone()))
                    .or_insert(0);
                *count += 1;
                if *count >= MAX_ATTEMPTS {
                    self.note(&entry, &fault).await?;
                    gone.insert(entry.key);
                } else {
                    lost.push((entry, fault));
                }
            }
            if lost.is_empty() {
                return Ok(());
            }
            self.context.check_cancelled()?;
            let keys: Vec<Key> = lost.iter().map(|(entry, _)| entry.key.clone()).collect();
            let reconciled = match round {
                0..ROUNDS => self.snapshot.reconcile(&keys).await?,
                _ => None,
            };
            let Some(reconciled) = reconciled else {
                for (entry, fault) in &lost {
                    self.note(entry, fault).await?;
                }
                return Ok(());
            };
            let progress = self.context.running.progress.clone();
            for (entry, _) in &lost {
                progress.forget(1, entry.size, false);
            }
            for key in reconciled.gone {
                self.forget(&key);
                gone.insert(key);
            }
            for entry in &reconciled.entries {
                self.forget(&entry.key);
                // Removed again once the entry is copied.
                gone.insert(entry.key.clone());
                progress.expect(1, entry.size);
            }
            tracing::debug!(
                lost = keys.len(),
                again = reconciled.entries.len(),
                "Arc changed files while they were copied"
            );
            // The earlier copy at the key of a lost entry is stale.
            gone.extend(
                keys.into_iter()
                    .filter(|key| !self.recopied.contains_key(key)),
            );
            let entries = stream::iter(reconciled.entries.into_iter().map(Ok)).boxed();
            self.run(entries, None).await?;
            for key in self.recopied.keys() {
                gone.remove(key);
            }
        }
        Ok(())
    }
}

/// Whether the source no longer has the entry as it was listed.
fn is_lost(fault: &CopyFault) -> bool {
    match fault {
        CopyFault::Read(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Changed),
        CopyFault::Size { .. } => true,
        _ => false,
    }
}

/// Removes from the backup the copied files that are no longer part of it.
async fn remove_gone(context: &Context, section: &Section, gone: &BTreeSet<Key>) -> Result<()> {
    let mut keys = Vec::with_capacity(gone.len());
    for key in gone {
        keys.push(file_key(&context.id, &format!("{section}/{key}"))?);
    }
    for batch in keys.chunks(1000) {
        context.repository.sink().delete(batch).await?;
    }
    Ok(())
}

struct SnapshotReader<'a>(&'a dyn Snapshot);

#[async_trait]
impl Reader for SnapshotReader<'_> {
    async fn open(&self, entry: &Entry) -> Result<Body, CoreError> {
        self.0.open(entry).await
    }
}

struct BackupWriter<'a> {
    repository: &'a Repository,
    folder: String,
    section: &'a Section,
}

#[async_trait]
impl Writer for BackupWriter<'_> {
    async fn begin(&self, entry: &Entry) -> Result<Option<Box<dyn Upload>>, CoreError> {
        let key = file_key_of(&self.folder, &entry.key)?;
        let options = WriteOptions {
            size_hint: Some(entry.size),
            modified: entry.modified,
            // Databases and arc.toml hold secrets: their copies stay private. The inventory records
            // their modes.
            mode: entry.mode.filter(|_| *self.section == Section::Data),
            ..WriteOptions::default()
        };
        self.repository.sink().begin(&key, options).await.map(Some)
    }
}

fn file_key_of(folder: &str, key: &str) -> Result<Key, CoreError> {
    let path = format!("{folder}/{key}");
    Key::parse(&path).map_err(|e| CoreError::new(ErrorKind::Invalid, "write", path, e.reason()))
}
