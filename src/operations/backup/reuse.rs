//! Reusing the unchanged files of the base.
//!
//! The listing and the base's inventory are walked together, in the order of their keys, a batch
//! after the other: neither is held whole.

use std::sync::atomic::{AtomicU64, Ordering};

use arc_backup_core::{EntryStream, ErrorKind, InOrder, Key, Meta, Section, Snapshot};
use futures::future::join_all;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::manifest::{Inventory, Record, Spool};
use crate::operations::Phase;
use crate::operations::backup::base::{Base, Rehash, Way};
use crate::operations::backup::base_faults::{BaseFault, BaseFaults, FaultKind};
use crate::operations::backup::candidates::{Candidate, OfBase, Unchanged, candidates, looked_at};
use crate::operations::backup::collected::Collected;
use crate::operations::backup::held_objects::{Held, HeldObjects, Published};
use crate::operations::backup::rehash::{self, Compared, Reread};
use crate::operations::backup::stored_time::is_same_time;
use crate::operations::context::Context;
use crate::operations::entries::entries_of;
use crate::repository::{file_key, location_of};
use crate::sorted::merge_join;
use crate::{Error, Result};

/// How many files are linked at once, in one folder after the other.
const LINKS: usize = 512;
/// How many batches of links are made at once.
const BATCHES: usize = 4;
/// How many files are in a batch where each is a request, or is read.
const REQUESTS: usize = 16;
/// How many stored files with other times than in their records are read, and found to be the same,
/// until times count for nothing: the file system does not keep them, or all were set again.
const OTHER_TIMES: u64 = 100;

/// The files of a snapshot, in two lists.
pub(super) struct Split {
    /// Those that are reused, with their digests.
    pub(super) reused: Inventory,
    /// Those that are to be copied.
    rest: Inventory,
}

impl Split {
    /// The entries that are to be copied.
    pub(super) fn rest(&self) -> Result<EntryStream<'static>> {
        entries_of(&self.rest)
    }
}

/// Reuses the files of the base that are unchanged, and counts all files of the snapshot; `None`
/// without a base.
pub(super) async fn reuse(
    context: &Context,
    section: &Section,
    snapshot: &dyn Snapshot,
    collected: &mut Collected,
) -> Result<Option<Split>> {
    let Some(base) = collected.base.clone().filter(|_| has_base(section)) else {
        return Ok(None);
    };
    context.running.phase(Phase::Reusing);
    let scratch = context.scratch()?;
    let mut reused = Spool::create(&scratch.join(format!("{section}.of-base")))?;
    let mut rest = Spool::create(&scratch.join(format!("{section}.rest")))?;
    let token = context.running.cancel.child_token();
    let work = Work {
        context,
        snapshot,
        base: &base,
        stop: &token,
        published: Published::default(),
        other_times: AtomicU64::new(0),
    };
    let listing = snapshot.entries().map_err(Error::from);
    let records = base.inventory.records_of(section)?;
    let of_base = stream::iter(records.map(|record| record.map(OfBase)));
    let tags = context.storage.properties().entity_tag;
    let candidates = candidates(section, merge_join(listing, of_base), &base, tags);
    let candidates = looked_at(candidates, HeldObjects::new(context, &base, section));
    let (size, at_once) = match (base.way, base.rehash) {
        (Way::Link, Rehash::None | Rehash::Share(_)) => (LINKS, BATCHES),
        (Way::Refer, Rehash::None | Rehash::Share(_)) => (LINKS, 1),
        (Way::Copy, _) | (_, Rehash::All) => (REQUESTS, context.plan().concurrency),
    };
    let batches = candidates.try_chunks(size).map(|batch| {
        let work = &work;
        async move { work.take(batch.map_err(|error| error.1)?).await }.boxed()
    });
    let mut taken = InOrder::new(batches, at_once);
    let mut faults = BaseFaults::default();
    let mut ended: Result<()> = Ok(());
    while ended.is_ok()
        && let Some(batch) = taken.next().await
    {
        let handled = async {
            let batch = collected.faults.check(batch)?;
            let (mut files, mut bytes) = (0, 0);
            for file in batch.files {
                let progress = &context.running.progress;
                progress.expect(1, file.record.entry.size);
                if !file.is_reused {
                    rest.push(&file.record)?;
                    continue;
                }
                files += 1;
                bytes += file.record.entry.size;
                if base.way == Way::Copy {
                    let stored = file.stored.as_deref();
                    let noted = collected.log.record(&file.record, stored).await;
                    collected.faults.check(noted)?;
                }
                reused.push(&file.record)?;
            }
            batch.faults.into_iter().for_each(|fault| faults.add(fault));
            collected.rehashed.files += batch.read.0;
            collected.rehashed.bytes += batch.read.1;
            context.running.progress.add_files(files);
            context.running.progress.add_bytes(bytes);
            collected.reused.0 += files;
            collected.reused.1 += bytes;
            collected.report_reused(context);
            Ok(())
        };
        ended = taken.beside(handled).await;
    }
    if ended.is_err() {
        // Links and copies that are under way must end before the cleanup.
        token.cancel();
        while taken.next().await.is_some() {}
    }
    faults.report(context, &base.id).await;
    ended?;
    Ok(Some(Split {
        reused: reused.finish()?,
        rest: rest.finish()?.without_checksums(),
    }))
}

/// Whether files of the section are reused. Databases and configuration are copied each time: their
/// snapshots are new files.
fn has_base(section: &Section) -> bool {
    !matches!(section, Section::Metadata | Section::Config)
}

/// What became of a batch.
#[derive(Default)]
struct Batch {
    files: Vec<Taken>,
    /// Files of the base that could not be reused.
    faults: Vec<BaseFault>,
    /// Files that were read again, and their bytes.
    read: (u64, u64),
}

/// What became of a file.
struct Taken {
    record: Record,
    is_reused: bool,
    /// The entity tag of a copy.
    stored: Option<String>,
}

impl Taken {
    fn copied_later(record: Record) -> Self {
        Self {
            record,
            is_reused: false,
            stored: None,
        }
    }
}

struct Work<'a> {
    context: &'a Context,
    snapshot: &'a dyn Snapshot,
    base: &'a Base,
    stop: &'a CancellationToken,
    published: Published,
    /// How many stored files have the bytes of their record, and another time.
    other_times: AtomicU64,
}

impl Work<'_> {
    async fn take(&self, candidates: Vec<Candidate>) -> Result<Batch> {
        self.context.check_cancelled()?;
        let mut batch = Batch::default();
        let mut unchanged = Vec::new();
        for Candidate { now, base } in candidates {
            let position = batch.files.len();
            let same = match base {
                Some(base) if self.stop.is_cancelled() => Some(base),
                Some(base) if self.base.rehash.draws(&now.path) => {
                    self.read(&now, base, &mut batch).await?
                }
                same => same,
            };
            batch.files.push(Taken::copied_later(now));
            unchanged.extend(same.map(|base| (position, base)));
        }
        let unchanged = self.there(unchanged, &mut batch).await?;
        if self.stop.is_cancelled() {
            return Ok(batch);
        }
        match self.base.way {
            Way::Link => self.link(unchanged, &mut batch).await?,
            Way::Refer => self.refer(unchanged, &mut batch),
            Way::Copy => self.copy(unchanged, &mut batch).await?,
        }
        Ok(batch)
    }

    fn fault(&self, of_base: &Record, kind: FaultKind, detail: String) -> BaseFault {
        BaseFault {
            kind,
            holder: of_base.holder(&self.base.id).clone(),
            path: of_base.path.to_string(),
            detail,
        }
    }

    /// Reads a file and its copy in the base; `None` where it is to be copied.
    async fn read(
        &self,
        now: &Record,
        base: Unchanged,
        batch: &mut Batch,
    ) -> Result<Option<Unchanged>> {
        let reread = rehash::reread(
            self.context,
            self.snapshot,
            self.base,
            now,
            &base.record,
            self.stop,
        );
        let same = match reread.await? {
            Reread::Same => true,
            Reread::NotRead => return Ok(Some(base)),
            Reread::Changed => false,
            Reread::Fault(kind, detail) => {
                batch.faults.push(self.fault(&base.record, kind, detail));
                if kind != FaultKind::Damaged {
                    return Ok(None);
                }
                false
            }
        };
        batch.read.0 += 1;
        batch.read.1 += now.entry.size;
        Ok(same.then_some(Unchanged {
            held: Held::NotAsked,
            ..base
        }))
    }

    /// Those whose objects are there, as they were when their backup was made.
    async fn there(
        &self,
        unchanged: Vec<(usize, Unchanged)>,
        batch: &mut Batch,
    ) -> Result<Vec<(usize, Record)>> {
        if self.base.way == Way::Link {
            let records = unchanged.into_iter();
            return Ok(records.map(|(at, base)| (at, base.record)).collect());
        }
        let looked = unchanged.into_iter().map(|(position, base)| {
            async move {
                let there = self.is_there(&base.record, base.held).await?;
                Ok::<_, Error>((position, base.record, there))
            }
            .boxed()
        });
        let looked: Vec<_> = stream::iter(looked)
            .buffered(self.context.plan().concurrency)
            .try_collect()
            .await?;
        let mut there = Vec::new();
        for (position, record, is_there) in looked {
            match is_there {
                There::Yes => there.push((position, record)),
                There::WrittenAgain => {}
                There::Fault(kind, detail) => {
                    batch.faults.push(self.fault(&record, kind, detail));
                }
            }
        }
        Ok(there)
    }

    async fn is_there(&self, of_base: &Record, held: Held) -> Result<There> {
        let sink = self.context.repository.sink();
        let (holder, key) = location_of(&self.base.id, of_base)?;
        let meta = match held {
            Held::NotAsked => return Ok(There::Yes),
            Held::Listed(meta) => meta,
            Held::Ask => match sink.head(&key).await {
                Ok(Some(meta)) => meta,
                Ok(None) => {
                    return Ok(There::Fault(FaultKind::Damaged, "is missing".to_owned()));
                }
                Err(error) => {
                    let (kind, detail) = rehash::fault_of(error, FaultKind::NotCompared)?;
                    return Ok(There::Fault(kind, detail));
                }
            },
        };
        if meta.size != of_base.entry.size {
            let detail = other_size(&meta, of_base);
            return Ok(There::Fault(FaultKind::Damaged, detail));
        }
        let repository = &self.context.repository;
        if !(self.published.is_before(repository, &holder, &meta).await?) {
            return Ok(There::Yes);
        }
        tracing::debug!(%key, "the object was written after its backup was made");
        Ok(
            match rehash::compare(self.context, &key, of_base, self.stop).await? {
                Compared::Same if self.base.way == Way::Copy => There::Yes,
                // The copy that this backup makes of it is not read by the next one again.
                Compared::Same | Compared::Stopped => There::WrittenAgain,
                Compared::Fault(kind, detail) => There::Fault(kind, detail),
            },
        )
    }

    fn refer(&self, unchanged: Vec<(usize, Record)>, batch: &mut Batch) {
        for (position, of_base) in unchanged {
            let taken = &mut batch.files[position];
            taken.record.entry.set_bytes_of(&of_base.entry);
            taken.record.stored_in = Some(of_base.holder(&self.base.id).clone());
            taken.is_reused = true;
        }
    }

    async fn link(&self, unchanged: Vec<(usize, Record)>, batch: &mut Batch) -> Result<()> {
        let sink = self.context.repository.sink();
        let Some(links) = sink.hard_links() else {
            return Ok(());
        };
        let places = (unchanged.iter())
            .map(|(_, of_base)| self.places(of_base))
            .collect::<Result<Vec<_>>>()?;
        if places.is_empty() {
            return Ok(());
        }
        let made = links.link_all(&places).await;
        for ((position, of_base), made) in unchanged.into_iter().zip(made) {
            self.made(position, &of_base, made, batch).await?;
        }
        Ok(())
    }

    async fn copy(&self, unchanged: Vec<(usize, Record)>, batch: &mut Batch) -> Result<()> {
        let sink = self.context.repository.sink();
        let Some(copies) = sink.server_copy() else {
            return Ok(());
        };
        let made = unchanged.iter().map(async |(_, of_base)| {
            let (from, to) = self.places(of_base)?;
            let made = copies.copy_from(&copies.address(&from), &to).await;
            self.context.running.progress.activity().note();
            Ok::<_, Error>(made)
        });
        let made = join_all(made).await;
        for ((position, of_base), made) in unchanged.into_iter().zip(made) {
            self.made(position, &of_base, made?, batch).await?;
        }
        Ok(())
    }

    /// Where the bytes of a record of the base lie, and where they are to be.
    fn places(&self, of_base: &Record) -> Result<(Key, Key)> {
        let (_, from) = location_of(&self.base.id, of_base)?;
        Ok((from, file_key(&self.context.id, &of_base.path)?))
    }

    /// Records a link, or a copy within the store. A file without one is copied from the data, in
    /// place of what is there.
    async fn made(
        &self,
        position: usize,
        of_base: &Record,
        made: Result<Meta, arc_backup_core::Error>,
        batch: &mut Batch,
    ) -> Result<()> {
        let (kind, detail) = match made {
            Ok(meta) if meta.size != of_base.entry.size => {
                (FaultKind::Damaged, other_size(&meta, of_base))
            }
            Ok(meta) => match self.compare_if_written(&meta, of_base).await? {
                Compared::Fault(kind, detail) => (kind, detail),
                Compared::Stopped => return Ok(()),
                Compared::Same => {
                    let taken = &mut batch.files[position];
                    taken.record.entry.set_bytes_of(&of_base.entry);
                    taken.is_reused = true;
                    taken.stored = meta.etag;
                    return Ok(());
                }
            },
            // Too many links, or another file system: the caller reads and writes.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                tracing::debug!(%error, "the file is copied");
                return Ok(());
            }
            Err(error) => match error.kind() {
                ErrorKind::NotFound
                | ErrorKind::Invalid
                | ErrorKind::Archived
                | ErrorKind::Changed => rehash::fault_of(error, FaultKind::NotCopied)?,
                _ => return Err(error.into()),
            },
        };
        batch.faults.push(self.fault(of_base, kind, detail));
        Ok(())
    }

    /// Compares a linked file with its record where its time shows that it was written since.
    async fn compare_if_written(&self, link: &Meta, of_base: &Record) -> Result<Compared> {
        // Only times of a file system are kept as they were.
        let is_other = self.base.way == Way::Link
            && of_base.entry.file_id.is_some()
            && !is_same_time(link.modified, of_base.entry.modified);
        if !is_other || self.other_times.load(Ordering::Relaxed) >= OTHER_TIMES {
            return Ok(Compared::Same);
        }
        let compared = rehash::compare(self.context, &link.key, of_base, self.stop).await?;
        if compared == Compared::Same
            && self.other_times.fetch_add(1, Ordering::Relaxed) + 1 == OTHER_TIMES
        {
            self.context.warn(format!(
                "the files of backup `{}` have other times than when they were stored: these no longer show which of them \
                 were written since; verify the backup",
                self.base.id
            ));
        }
        Ok(compared)
    }
}

/// Whether the object of a file is there.
enum There {
    Yes,
    /// It was written after its backup was made, with the same bytes.
    WrittenAgain,
    Fault(FaultKind, String),
}

fn other_size(meta: &Meta, of_base: &Record) -> String {
    format!("has {} bytes, not {}", meta.size, of_base.entry.size)
}
