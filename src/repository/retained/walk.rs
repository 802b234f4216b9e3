//! Going over the folder of a backup in step with the list of what must stay.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::ops::AddAssign;

use arc_backup_core::{ErrorKind, FileId, Key, ListOptions, Listed, Meta};
use futures::StreamExt;
use futures::stream::BoxStream;

use super::list::{RetainedFile, RetainedList};
use crate::Result;
use crate::manifest::BackupId;
use crate::repository::Repository;
use crate::repository::layout::{folder, retained_key};

/// The number of files that are deleted at once.
const BATCH: usize = 1000;

/// What a deletion frees, or would free.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freed {
    /// Files whose bytes go: manifest and inventory do not count.
    pub freed_files: u64,
    /// Their bytes.
    pub freed_bytes: u64,
    /// Files of the deleted backups whose bytes stay, as other backups need them. On local disk,
    /// those are files that have another name.
    pub retained_files: u64,
    /// Their bytes.
    pub retained_bytes: u64,
    /// The backups that need them, as far as manifests say: hard links do not name any.
    pub needed_by: BTreeSet<String>,
    /// Of the freed files, those that count as retained of a backup that was deleted before in the
    /// same operation.
    pub(super) released_files: u64,
    pub(super) released_bytes: u64,
}

impl AddAssign for Freed {
    fn add_assign(&mut self, other: Self) {
        self.freed_files += other.freed_files;
        self.freed_bytes += other.freed_bytes;
        // What is released may count in a sum that this one is added to later.
        let retained = self.retained_files + other.retained_files;
        let released = self.released_files + other.released_files;
        let both = retained.min(released);
        (self.retained_files, self.released_files) = (retained - both, released - both);
        let retained = self.retained_bytes + other.retained_bytes;
        let released = self.released_bytes + other.released_bytes;
        let both = retained.min(released);
        (self.retained_bytes, self.released_bytes) = (retained - both, released - both);
        self.needed_by.extend(other.needed_by);
    }
}

/// Whether a deletion is only worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing is changed.
    Estimate,
    /// It is done.
    Remove,
}

/// Called with the files and bytes of each batch; an error ends the walk.
pub(crate) type Report<'a> = &'a mut (dyn FnMut(u64, u64) -> Result<()> + Send);

/// How many names of files that have more of them were removed, or would be, by this operation so
/// far. `None` where it is of one backup, whose files are all different.
pub(super) type RemovedNames = Option<HashMap<FileId, u64>>;

/// Finds paths, asked for in byte order, in a list.
struct Cursor {
    rows: BoxStream<'static, Result<RetainedFile>>,
    head: Option<RetainedFile>,
}

impl Cursor {
    async fn open(repository: &Repository, list: Option<&RetainedList>) -> Result<Option<Self>> {
        let Some(list) = list else { return Ok(None) };
        let rows = list.rows(repository).await?;
        Ok(Some(Self { rows, head: None }))
    }

    async fn holds(&mut self, path: &str) -> Result<bool> {
        loop {
            match &self.head {
                Some(head) if *head.path >= *path => return Ok(head.path == path),
                _ => {}
            }
            self.head = self.rows.next().await.transpose()?;
            if self.head.is_none() {
                return Ok(false);
            }
        }
    }
}

impl Repository {
    /// Goes over the folder of the backup `id`, whose manifest is gone or will be, and removes
    /// every file that is not in `kept`, and the lists of files. With `before`, only files in that
    /// list are taken for present.
    pub(super) async fn walk(
        &self,
        id: &BackupId,
        [kept, before]: [Option<&RetainedList>; 2],
        mode: Mode,
        names: &mut RemovedNames,
        report: Report<'_>,
    ) -> Result<Freed> {
        let mut freed = Freed::default();
        let mut kept = Cursor::open(self, kept).await?;
        let mut before = Cursor::open(self, before).await?;
        let (prefix, own_list) = (format!("{id}/"), retained_key(id));
        let mut options = ListOptions::within(&folder(id));
        loop {
            let (mut batch, mut last, mut is_end) = (Vec::new(), None, true);
            // A new listing for each batch: a listing must not overlap with deletions.
            let mut listing = self.sink.list(options.clone());
            while let Some(item) = listing.next().await {
                self.activity.note();
                let meta = match item {
                    Ok(Listed::Object(meta)) => meta,
                    // A link or special file: removed with the folder, and never followed.
                    Ok(Listed::Other { .. }) => continue,
                    // The folder itself is a link.
                    Err(error) if error.kind() == ErrorKind::Invalid => return Ok(freed),
                    Err(error) => return Err(error.into()),
                };
                last = Some(meta.key.to_string());
                let path = meta.key.strip_prefix(&*prefix).unwrap_or(&meta.key);
                if let Some(kept) = &mut kept {
                    if meta.key == own_list {
                        continue;
                    }
                    if kept.holds(path).await? {
                        freed.retained_files += 1;
                        freed.retained_bytes += meta.size;
                        continue;
                    }
                }
                if let Some(before) = &mut before
                    && !before.holds(path).await?
                {
                    continue;
                }
                batch.push(meta);
                if batch.len() == BATCH {
                    is_end = false;
                    break;
                }
            }
            drop(listing);
            freed += self.batch(&prefix, batch, mode, names, report).await?;
            if is_end {
                return Ok(freed);
            }
            options.start_after = last;
        }
    }

    async fn batch(
        &self,
        prefix: &str,
        batch: Vec<Meta>,
        mode: Mode,
        names: &mut RemovedNames,
        report: Report<'_>,
    ) -> Result<Freed> {
        let mut freed = Freed::default();
        let keys: Vec<Key> = batch.iter().map(|meta| meta.key.clone()).collect();
        let counts = match self.sink.hard_links() {
            Some(links) if !keys.is_empty() => links.count_names(&keys).await?,
            _ => vec![None; keys.len()],
        };
        let (mut files, mut bytes) = (0, 0);
        for (meta, count) in batch.iter().zip(counts) {
            // Manifest and lists: a file of the backup is in a section.
            if !(meta.key.strip_prefix(prefix)).is_some_and(|path| path.contains('/')) {
                continue;
            }
            files += 1;
            bytes += meta.size;
            let count = count.unwrap_or(1);
            let names = names.as_mut().zip(meta.file_id);
            let removed = names
                .as_ref()
                .and_then(|(names, file)| names.get(file).copied());
            let removed = removed.unwrap_or_default();
            let left = match mode {
                Mode::Estimate => count.saturating_sub(removed),
                Mode::Remove => count,
            };
            if left > 1 {
                freed.retained_files += 1;
                freed.retained_bytes += meta.size;
                if let Some((names, file)) = names {
                    *names.entry(file).or_default() += 1;
                }
            } else {
                freed.freed_files += 1;
                freed.freed_bytes += meta.size;
                freed.released_files += removed;
                freed.released_bytes += removed * meta.size;
            }
        }
        if mode == Mode::Remove && !keys.is_empty() {
            self.sink.delete(&keys).await?;
        }
        report(files, bytes)?;
        Ok(freed)
    }
}
