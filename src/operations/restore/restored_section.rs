//! A section that is restored: its source, and the files that this needs.

use arc_backup_core::{Entry, EntryStream, Error as CoreError, Restore, Section, Upload};
use async_trait::async_trait;
use futures::StreamExt;

use crate::Result;
use crate::operations::context::Context;
use crate::operations::problems::Problems;
use crate::operations::verify::completeness::archived_fault;
use crate::pipeline::Writer;
use crate::repository::BackupReader;

/// A section that is restored, by the source that takes it back.
pub(crate) struct RestoredSection {
    pub(crate) section: Section,
    pub(crate) restore: Box<dyn Restore>,
    /// Reads its files from the backup.
    pub(crate) reader: BackupReader,
    /// Files whose bytes are needed, and those bytes.
    pub(crate) needed: (u64, u64),
    /// Whether live files that the backup does not hold stay.
    pub(crate) keeps_extra: bool,
}

impl RestoredSection {
    /// Whether Arc must be restarted to see what it restores: it holds databases and configuration
    /// in memory.
    pub(crate) fn needs_restart(&self) -> bool {
        matches!(self.section, Section::Metadata | Section::Config)
    }

    /// Whether something of the data storage may be written, moved or removed for it.
    pub(crate) fn changes_data(&self) -> bool {
        !self.needs_restart() && (self.needed.0 > 0 || !self.keeps_extra)
    }
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

/// The files that a section needs, without those that an interrupted restore of the same backup has
/// staged.
fn not_staged_yet<'a>(
    context: &'a Context,
    part: &'a RestoredSection,
    at_once: usize,
) -> EntryStream<'a> {
    let restore = &*part.restore;
    let looked_for = restore.needed().map(move |entry| async move {
        let entry = entry?;
        if !restore.take_staged(&entry).await? {
            return Ok(Some(entry));
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
