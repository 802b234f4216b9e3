//! Copying one section of a backup.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_backup_core::{InOrder, Key, Section};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use crate::Result;
use crate::manifest::{BackupId, Inventory, Record, Spool, StoredTotals};
use crate::operations::Phase;
use crate::operations::backup::base_faults;
use crate::operations::backup::write_faults::WriteFaults;
use crate::operations::context::Context;
use crate::operations::copy::base::Base;
use crate::operations::copy::source::{Source, damaged};
use crate::operations::copy::stored::{Placed, candidates, strong};
use crate::operations::copy::writer::CopyWriter;
use crate::operations::entries::entries_of;
use crate::operations::problems::Problems;
use crate::operations::restore::disk_space::check_copys_target;
use crate::operations::verify::completeness::archived_fault;
use crate::pipeline::{CopyFault, Outcome};
use crate::repository::StoredLog;
use crate::sorted::union;

/// A copy that is being made.
pub(crate) struct Copying<'a> {
    pub(crate) context: &'a Context,
    pub(crate) source: &'a Source,
    /// When it began.
    pub(crate) began: Timestamp,
    /// The interrupted operations whose files are used.
    pub(crate) unfinished: Vec<BackupId>,
    pub(crate) base: Option<Arc<Base>>,
    /// The log of the stored files, for the next copy, should this one not end.
    pub(crate) log: StoredLog,
    pub(crate) faults: WriteFaults,
    /// Files that are damaged in the source.
    pub(crate) problems: Problems,
    /// Files of the base that are damaged.
    pub(crate) damaged: Damaged,
    /// Files that the destination had, and their bytes.
    pub(crate) reused: (u64, u64),
    /// Those of them that another backup has too, so that they take no room of their own.
    pub(crate) shared: Shared,
    /// Those of them whose bytes lie in another backup.
    pub(crate) stored_in: BTreeMap<String, StoredTotals>,
}

/// Files that share their bytes with another backup.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Shared {
    fn add(&mut self, size: u64) {
        self.files += 1;
        self.bytes += size;
    }
}

/// Files of the base that have other bytes than its list says.
#[derive(Default)]
pub(crate) struct Damaged {
    files: u64,
    first: Option<Key>,
    /// The backups that hold them.
    holders: BTreeSet<BackupId>,
}

impl Damaged {
    fn add(&mut self, record: &Record, holder: BackupId) {
        self.files += 1;
        self.first.get_or_insert_with(|| record.path.clone());
        self.holders.insert(holder);
    }
}

impl Copying<'_> {
    /// Copies a section, and returns its list of files.
    ///
    /// # Errors
    /// Where a file cannot be written, or either target does not answer. A file that is damaged in
    /// the source is a problem, and the others are copied.
    pub(crate) async fn section(&mut self, section: &Section) -> Result<Inventory> {
        let context = self.context;
        let scratch = context.scratch()?;
        context.running.phase(Phase::Continuing);
        let begun = self.log.next_run().await;
        self.written(begun)?;
        let mut placed = Spool::create(&scratch.join(format!("{section}.placed")))?;
        let mut missing = Spool::create(&scratch.join(format!("{section}.missing")))?;
        let reused = self.reuse(section, &mut placed, &mut missing).await;
        self.report_damage().await;
        reused?;
        let (placed, missing) = (placed.finish()?, missing.finish()?);
        let left = missing.summary();
        check_copys_target(context, left.entries, left.bytes)?;
        let begun = self.log.next_run().await;
        self.written(begun)?;
        context.running.phase(Phase::Copying);
        // Of Arc's own backups, not every file has a checksum.
        let missing = match self.source.loaded.sealed {
            true => missing,
            false => missing.without_checksums(),
        };
        let mut copied = Spool::create(&scratch.join(format!("{section}.copied")))?;
        self.copy(section, &missing, &mut copied).await?;
        let copied = copied.finish()?;
        let mut all = Spool::create(&scratch.join(format!("{section}.inventory")))?;
        let mut records = union(
            stream::iter(placed.records()?),
            stream::iter(copied.records()?),
        );
        while let Some(record) = records.try_next().await? {
            all.push(&record)?;
        }
        all.finish()
    }

    /// Goes through the files of the section: those that the destination has are `placed`, the
    /// others `missing`.
    async fn reuse(
        &mut self,
        section: &Section,
        placed: &mut Spool,
        missing: &mut Spool,
    ) -> Result<()> {
        let context = self.context;
        let token = context.running.cancel.child_token();
        let (stop, base) = (&token, self.base.clone());
        let base = base.as_ref();
        let candidates = candidates(context, self.source, section, &self.unfinished, base).await?;
        let places = candidates.map(|candidate| {
            async move {
                let base = base.map(AsRef::as_ref);
                candidate?.place(context, base, stop).await
            }
            .boxed()
        });
        let mut outcomes = InOrder::new(places, context.plan().concurrency);
        let mut ended = Ok(());
        while ended.is_ok()
            && let Some(outcome) = outcomes.next().await
        {
            let handled = self.add(outcome, placed, missing);
            ended = outcomes.beside(handled).await;
        }
        if ended.is_err() {
            // Requests that have begun must end before the cleanup.
            stop.cancel();
            while outcomes.next().await.is_some() {}
        }
        ended.map_err(|error| context.repository.named(error))
    }

    async fn add(
        &mut self,
        outcome: Result<Placed>,
        placed: &mut Spool,
        missing: &mut Spool,
    ) -> Result<()> {
        let record = match outcome? {
            Placed::Missing(record) => return missing.push(&record),
            Placed::Damaged(record, holder) => {
                self.damaged.add(&record, holder);
                return missing.push(&record);
            }
            Placed::Here {
                record,
                etag,
                is_logged,
                is_shared,
            } => {
                if is_shared {
                    self.shared.add(record.entry.size);
                }
                if !is_logged {
                    let recorded = self.log.record(&record, etag.as_deref()).await;
                    self.written(recorded)?;
                }
                Record {
                    stored: strong(self.context, etag),
                    ..record
                }
            }
            Placed::Elsewhere(record) => {
                let holder = record.holder(&self.context.id).to_string();
                let totals = self.stored_in.entry(holder).or_default();
                totals.files += 1;
                totals.bytes += record.entry.size;
                self.shared.add(record.entry.size);
                record
            }
        };
        self.reused.0 += 1;
        self.reused.1 += record.entry.size;
        let (files, bytes) = self.reused;
        let running = &self.context.running;
        running.progress.add_files(1);
        running.progress.add_bytes(record.entry.size);
        running.update(|operation| {
            operation.reused_files = Some(files);
            operation.reused_bytes = Some(bytes);
        });
        placed.push(&record)
    }

    /// Says which files of the base are damaged, and notes it at the destination, so that nobody
    /// takes that backup for a good one.
    async fn report_damage(&mut self) {
        let mut damaged = std::mem::take(&mut self.damaged);
        let (Some(base), Some(first)) = (&self.base, &damaged.first) else {
            return;
        };
        let (context, id) = (self.context, &base.id);
        let repository = &context.repository;
        context.warn(format!(
            "backup `{id}` in {} is damaged in {} of its files, such as `{first}`: they are copied from {} instead; run \
             `arc-backup verify {id} --target {}`",
            repository.label(),
            damaged.files,
            self.source.repository.label(),
            repository.name()
        ));
        damaged.holders.insert(id.clone());
        base_faults::note(context, &damaged.holders).await;
    }

    /// Copies files from the source: each is hashed on the way, and compared with the inventory.
    async fn copy(
        &mut self,
        section: &Section,
        missing: &Inventory,
        copied: &mut Spool,
    ) -> Result<()> {
        let (context, source) = (self.context, self.source);
        let reader = source.repository.reader(&context.id, &source.inventory)?;
        let reader = reader.section(section);
        let writer = CopyWriter {
            repository: &context.repository,
            folder: format!("{}/{section}", context.id),
            section,
        };
        let plan = context.plan();
        let mut copies = plan.run(entries_of(missing)?, &reader, &writer);
        let mut ended = Ok(());
        while ended.is_ok()
            && let Some(outcome) = copies.next().await
        {
            let handled = async { self.handle(section, outcome?, copied).await };
            ended = copies.beside(handled).await;
        }
        copies.stop().await;
        ended?;
        context.check_cancelled()
    }

    async fn handle(
        &mut self,
        section: &Section,
        outcome: Outcome,
        copied: &mut Spool,
    ) -> Result<()> {
        let Some(fault) = outcome.fault else {
            let record = Record::new(section, outcome.entry)?;
            let recorded = self.log.record(&record, outcome.stored.as_deref()).await;
            self.written(recorded)?;
            let record = Record {
                stored: strong(self.context, outcome.stored),
                ..record
            };
            return copied.push(&record);
        };
        let path = format!("{section}/{}", outcome.entry.key);
        if let CopyFault::Write(error) = &fault {
            self.faults.record(error);
        }
        if let Some(error) = archived_fault(&path, &fault) {
            return Err(self.source.repository.named(error));
        }
        // Of two targets, one has to be named.
        let place = match &fault {
            CopyFault::Write(_) => self.context.repository.label(),
            _ => self.source.repository.label(),
        };
        let added = self.problems.add_fault(&path, &fault);
        match added.map_err(|error| match error.is_cancelled() {
            true => error,
            false => error.context(format!("this was met in {place}")),
        })? {
            true => Ok(()),
            false => (self.problems).failure(&format!("not every file could be stored in {place}")),
        }
    }

    /// The result of writing to the destination; a fault names it.
    pub(crate) fn written<T>(&mut self, result: Result<T>) -> Result<T> {
        let checked = self.faults.check(result);
        checked.map_err(|error| self.context.repository.named(error))
    }

    /// Fails where files are damaged in the source.
    pub(crate) fn check_source(&self) -> Result<()> {
        let text = damaged(self.context, &self.source.repository);
        self.problems.failure(&text)
    }
}
