//! Reusing the unchanged files of the base.
//!
//! The listing and the base's inventory are walked together, in the order of their keys, a batch
//! after the other: neither is held whole.

use std::collections::BTreeSet;

use arc_backup_core::{
    EntityTag, Entry, EntryStream, ErrorKind, InOrder, Key, Meta, Section, Snapshot,
};
use futures::future::join_all;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::manifest::{BackupId, Inventory, Record, Spool};
use crate::operations::Phase;
use crate::operations::backup::base::{Base, Rehash, Way};
use crate::operations::backup::collected::Collected;
use crate::operations::backup::damaged_base;
use crate::operations::backup::rehash::{self, Reread};
use crate::operations::backup::same_file;
use crate::operations::context::Context;
use crate::operations::entries::entries_of;
use crate::repository::{file_key, location_of};
use crate::sorted::{Joined, Sorted, merge_join};
use crate::{Error, Result};

/// How many files are linked at once, in one folder after the other.
const LINKS: usize = 512;
/// How many batches of links are made at once.
const BATCHES: usize = 4;
/// How many files are in a batch where each is a request, or is read.
const REQUESTS: usize = 16;

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
    };
    let listing = snapshot.entries().map_err(Error::from);
    let records = base.inventory.records_of(section)?;
    let of_base = stream::iter(records.map(|record| record.map(OfBase)));
    let tags = context.storage.properties().entity_tag;
    let candidates = candidates(section, merge_join(listing, of_base), &base, tags);
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
    let mut damaged = BTreeSet::new();
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
            damaged.extend(batch.damaged);
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
    if !damaged.is_empty() {
        damaged_base::note(context, &damaged).await;
    }
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

/// A record of the base, by the key of its file.
struct OfBase(Record);

impl Sorted for OfBase {
    fn sort_key(&self) -> &str {
        &self.0.entry.key
    }
}

/// A file of the snapshot, with that of the base where both are the same.
struct Candidate {
    now: Record,
    base: Option<Record>,
}

fn candidates<'a>(
    section: &'a Section,
    joined: impl Stream<Item = Result<Joined<Entry, OfBase>>> + Send + 'a,
    base: &'a Base,
    tags: EntityTag,
) -> impl Stream<Item = Result<Candidate>> + Send + 'a {
    joined.try_filter_map(move |joined| {
        let candidate = match joined {
            Joined::Right(_) => Ok(None),
            Joined::Left(entry) => {
                Record::new(section, entry).map(|now| Some(Candidate { now, base: None }))
            }
            Joined::Both(entry, OfBase(of_base)) => {
                let same = same_file::check(&of_base.entry, &entry, tags, &base.moments);
                if let Err(why) = same {
                    tracing::debug!(key = %entry.key, ?why, "the file is read");
                }
                Record::new(section, entry).map(|now| {
                    let base = same.is_ok().then_some(of_base);
                    Some(Candidate { now, base })
                })
            }
        };
        std::future::ready(candidate)
    })
}

/// What became of a batch.
#[derive(Default)]
struct Batch {
    files: Vec<Taken>,
    /// Backups with files that are damaged or missing.
    damaged: Vec<BackupId>,
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
}

impl Work<'_> {
    async fn take(&self, candidates: Vec<Candidate>) -> Result<Batch> {
        self.context.check_cancelled()?;
        let mut batch = Batch::default();
        let mut unchanged = Vec::new();
        for Candidate { now, base } in candidates {
            let position = batch.files.len();
            let same = match base {
                Some(of_base) if self.stop.is_cancelled() => Some(of_base),
                Some(of_base) if self.base.rehash.draws(&now.path) => {
                    self.read(&now, of_base, &mut batch).await?
                }
                same => same,
            };
            batch.files.push(Taken::copied_later(now));
            unchanged.extend(same.map(|of_base| (position, of_base)));
        }
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

    /// Reads a file and its copy in the base; `None` where it is to be copied.
    async fn read(
        &self,
        now: &Record,
        of_base: Record,
        batch: &mut Batch,
    ) -> Result<Option<Record>> {
        let reread = rehash::reread(
            self.context,
            self.snapshot,
            self.base,
            now,
            &of_base,
            self.stop,
        );
        let same = match reread.await? {
            Reread::Same => true,
            Reread::NotRead => return Ok(Some(of_base)),
            Reread::Changed => false,
            Reread::Damaged => {
                batch.damaged.push(self.base.id.clone());
                batch.damaged.push(of_base.holder(&self.base.id).clone());
                false
            }
        };
        batch.read.0 += 1;
        batch.read.1 += now.entry.size;
        Ok(same.then_some(of_base))
    }

    fn refer(&self, unchanged: Vec<(usize, Record)>, batch: &mut Batch) {
        for (position, of_base) in unchanged {
            let taken = &mut batch.files[position];
            taken.record.entry.sha256 = of_base.entry.sha256;
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
            self.made(position, &of_base, made, batch)?;
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
            self.made(position, &of_base, made?, batch)?;
        }
        Ok(())
    }

    /// Where the bytes of a record of the base lie, and where they are to be.
    fn places(&self, of_base: &Record) -> Result<(Key, Key)> {
        let (_, from) = location_of(&self.base.id, of_base)?;
        Ok((from, file_key(&self.context.id, &of_base.path)?))
    }

    /// Takes up a link, or a copy within the store.
    fn made(
        &self,
        position: usize,
        of_base: &Record,
        made: Result<Meta, arc_backup_core::Error>,
        batch: &mut Batch,
    ) -> Result<()> {
        let fault = match made {
            Ok(meta) if meta.size == of_base.entry.size => {
                let taken = &mut batch.files[position];
                taken.record.entry.sha256 = of_base.entry.sha256;
                taken.is_reused = true;
                taken.stored = meta.etag;
                return Ok(());
            }
            // It is replaced by a copy from the source.
            Ok(meta) => format!("has {} bytes, not {}", meta.size, of_base.entry.size),
            Err(error) if error.kind() == ErrorKind::NotFound => "is missing".to_owned(),
            Err(error) if error.kind() == ErrorKind::Invalid => {
                format!("can't be used ({})", error.detail())
            }
            // Too many links, or another file system: the caller reads and writes.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                tracing::debug!(%error, "the file is copied");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.context.warn(format!(
            "backup `{}` is damaged: `{}` {fault}; the file is copied from the data",
            self.base.id, of_base.path
        ));
        batch.damaged.push(self.base.id.clone());
        batch.damaged.push(of_base.holder(&self.base.id).clone());
        Ok(())
    }
}
