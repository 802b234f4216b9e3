//! A section that is restored: its source, and the files that this needs.

use arc_backup_core::{
    Entry, EntryStream, Error as CoreError, Restore, RestoreSummary, Section, StagedBefore,
    Staging, Upload,
};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};

use crate::files::create_folder;
use crate::operations::context::Context;
use crate::operations::entries::difference;
use crate::operations::problems::Problems;
use crate::operations::verify::completeness::archived_fault;
use crate::pipeline::Writer;
use crate::repository::BackupReader;
use crate::{Error, Result};

/// A section that is restored, by the source that takes it back.
pub(crate) struct RestoredSection {
    pub(crate) section: Section,
    pub(crate) restore: Box<dyn Restore>,
    /// Reads its files from the backup.
    pub(crate) reader: BackupReader,
    /// What it has to change.
    pub(crate) planned: RestoreSummary,
    /// Whether live files that the backup does not hold stay.
    pub(crate) keeps_extra: bool,
    /// Whether all that is done before the first live change was done.
    pub(crate) is_staged: bool,
    /// Its earlier plans, where compaction made another one necessary.
    pub(crate) earlier: Vec<Box<dyn Restore>>,
}

impl RestoredSection {
    /// Whether Arc must be restarted to see what it restores: it holds databases and configuration
    /// in memory.
    pub(crate) fn needs_restart(&self) -> bool {
        matches!(self.section, Section::Metadata | Section::Config)
    }

    /// Whether something of the data storage may be written, moved or removed for it.
    pub(crate) fn changes_data(&self) -> bool {
        !self.needs_restart() && (self.planned.needed_files > 0 || !self.keeps_extra)
    }

    /// What the source is given for another plan: a scratch folder of its own, as the files of the
    /// last plan are still read.
    pub(crate) fn plan_again(&self, staging: Staging) -> Result<Staging> {
        let folder = format!("plan-{}", self.earlier.len() + 2);
        let scratch = staging.scratch.join(folder);
        create_folder(&scratch).map_err(|error| Error::io("create", &scratch, error))?;
        Ok(Staging {
            scratch,
            staged_before: StagedBefore::ByThisOperation,
            ..staging
        })
    }

    /// Replaces the plan by another one. Where nothing is staged, the progress expects the files
    /// that only the new one needs; else these are expected when they are not found staged.
    /// `all_were_read` where every file was read before the first plan, and those that it needs are
    /// read once more.
    pub(crate) async fn replace_plan(
        &mut self,
        context: &Context,
        restore: Box<dyn Restore>,
        planned: RestoreSummary,
        all_were_read: bool,
    ) -> Result<()> {
        let progress = &context.running.progress;
        if restore.changes_while_staging() {
            let mut added = difference(restore.needed(), self.restore.needed());
            while let Some(entry) = added.try_next().await? {
                progress.expect(1, entry.size);
            }
            drop(added);
            let mut gone = difference(self.restore.needed(), restore.needed());
            while all_were_read && let Some(entry) = gone.try_next().await? {
                progress.forget(1, entry.size, false);
            }
        }
        let before = std::mem::replace(&mut self.restore, restore);
        self.earlier.push(before);
        self.planned = planned;
        self.is_staged = false;
        Ok(())
    }

    /// The files that the last plan needed, and this one does not: they were not read yet, where
    /// nothing is staged. `None` for the first plan.
    pub(crate) fn no_longer_needed(&self) -> Option<EntryStream<'_>> {
        let before = self.earlier.last()?;
        let unread = self.restore.changes_while_staging();
        Some(match unread {
            true => difference(before.needed(), self.restore.needed()),
            false => futures::stream::empty().boxed(),
        })
    }
}

pub(crate) fn names_of<'a>(sections: impl IntoIterator<Item = &'a Section>) -> Vec<String> {
    sections.into_iter().map(Section::to_string).collect()
}

/// Copies the files that a section needs to its source, which stages them, or, where it can't
/// stage, puts each in its place. `failed` is the error of a file that can't be copied.
pub(crate) async fn copy_needed(
    context: &Context,
    problems: &mut Problems,
    part: &RestoredSection,
    failed: &str,
) -> Result<()> {
    let writer = RestoreWriter(&*part.restore);
    let plan = context.plan();
    let entries = not_staged_yet(context, part, plan.concurrency);
    let mut copies = plan.run(entries, &part.reader, &writer);
    let mut ended = Ok(());
    while ended.is_ok()
        && let Some(outcome) = copies.next().await
    {
        let handled = async {
            let outcome = outcome?;
            let Some(fault) = &outcome.fault else {
                return Ok(part.restore.staged(&outcome.entry).await?);
            };
            let path = format!("{}/{}", part.section, outcome.entry.key);
            if let Some(error) = archived_fault(&path, fault) {
                return Err(error);
            }
            problems.add_fault(&path, fault)?;
            problems.failure(failed)
        };
        ended = copies.beside(handled).await;
    }
    copies.stop().await;
    ended?;
    context.check_cancelled()
}

/// The files that a section needs, without those that are staged already: by an interrupted restore
/// of the same backup, or by an earlier plan of this one.
fn not_staged_yet<'a>(
    context: &'a Context,
    part: &'a RestoredSection,
    at_once: usize,
) -> EntryStream<'a> {
    let restore = &*part.restore;
    let looked_for = restore.needed().map(move |entry| async move {
        let entry = entry?;
        let is_first = part.earlier.is_empty();
        if !restore.take_staged(&entry).await? {
            if !is_first && !restore.changes_while_staging() {
                // It was counted: as the same as the live one, or as staged.
                context.running.progress.expect(1, entry.size);
            }
            return Ok(Some(entry));
        }
        if !is_first {
            // It was counted when it was staged.
            return Ok(None);
        }
        context.running.progress.add_files(1);
        context.running.progress.add_bytes(entry.size);
        context.running.update(|operation| {
            *operation.reused_files.get_or_insert(0) += 1;
            *operation.reused_bytes.get_or_insert(0) += entry.size;
        });
        Ok::<_, CoreError>(None)
    });
    let left = looked_for.buffered(at_once);
    left.filter_map(|entry| std::future::ready(entry.transpose()))
        .boxed()
}

struct RestoreWriter<'a>(&'a dyn Restore);

#[async_trait]
impl Writer for RestoreWriter<'_> {
    async fn begin(&self, entry: &Entry) -> Result<Option<Box<dyn Upload>>, CoreError> {
        self.0.begin(entry).await.map(Some)
    }
}
