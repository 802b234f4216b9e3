//! Which files of a deleted backup the others need.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_backup_core::Error as CoreError;
use futures::TryStreamExt;

use super::list::{ListWriter, LocalFile, RetainedFile, RetainedList, local_rows};
use super::references::References;
use crate::manifest::{BackupId, InventoryFault};
use crate::repository::Repository;
use crate::{Error, Result};

/// How many lists are merged at once: each is an open file.
const LISTS_AT_ONCE: usize = 16;
/// How many lines are read before other tasks have a turn.
const LINES_AT_ONCE: usize = 4096;

impl Repository {
    /// The files of `holder` that other backups need, by their inventories; `None` where they need
    /// none. At any time only some lines are in memory; the lists are in `scratch`.
    ///
    /// # Errors
    /// [`Error::Damaged`] names a backup that needs some and does not say which.
    pub(super) async fn needed(
        &self,
        references: &References,
        holder: &BackupId,
        scratch: &Path,
    ) -> Result<Option<RetainedList>> {
        let needed_by = references.to(holder);
        let mut lists: Vec<Arc<LocalFile>> = Vec::new();
        for id in &needed_by {
            lists.push(match references.is_damaged(id) {
                true => self.needed_by_damaged(id, holder, scratch).await?,
                false => self.needed_by(id, holder, scratch).await?,
            });
            if lists.len() == LISTS_AT_ONCE {
                let merged = merge(&lists, scratch).await?.unsealed()?;
                lists = vec![merged];
            }
        }
        let merged = merge(&lists, scratch).await?;
        let list = merged.finish(holder, &needed_by)?;
        Ok((list.files() > 0).then_some(list))
    }

    /// The files of `holder` that the backup `id` needs.
    async fn needed_by(
        &self,
        id: &BackupId,
        holder: &BackupId,
        scratch: &Path,
    ) -> Result<Arc<LocalFile>> {
        let mut list = ListWriter::create(new_file(scratch)?)?;
        let loaded = self.load_one(id).await?;
        let inventory = match self.inventory_of_one(id, &loaded, scratch).await {
            Ok(inventory) => inventory,
            Err(InventoryFault::Damaged { list: name, detail }) => {
                return Err(Error::Damaged {
                    id: id.to_string(),
                    detail: format!("{name} {detail}"),
                }
                .context(format!(
                    "which files of backup `{holder}` it needs is not known: delete it first, or bring back its inventory"
                )));
            }
            Err(InventoryFault::Other(error)) => return Err(error),
        };
        let _local = LocalFile(inventory.path().to_owned());
        for (number, record) in inventory.records()?.enumerate() {
            let record = record?;
            if record.stored_in.as_ref() == Some(holder) {
                list.push(&RetainedFile {
                    path: record.path.to_string(),
                    size: record.entry.size,
                })?;
            }
            self.rest(number).await;
        }
        list.unsealed()
    }

    /// The same of a damaged backup, by its inventory alone.
    async fn needed_by_damaged(
        &self,
        id: &BackupId,
        holder: &BackupId,
        scratch: &Path,
    ) -> Result<Arc<LocalFile>> {
        let mut list = ListWriter::create(new_file(scratch)?)?;
        let unknown = |error: CoreError| {
            Error::from(error).context(format!(
                "which files of backup `{holder}` the damaged backup `{id}` needs is not known: delete backup `{id}` first, or \
                 bring back its inventory"
            ))
        };
        let mut records = self.readable_references(id).await.map_err(unknown)?;
        while let Some((other, file)) = records.try_next().await.map_err(unknown)? {
            if other == *holder {
                list.push(&file)?;
            }
        }
        list.unsealed()
    }

    async fn rest(&self, number: usize) {
        if number.is_multiple_of(LINES_AT_ONCE) {
            self.activity.note();
            tokio::task::yield_now().await;
        }
    }
}

/// A name in `scratch` that no other list has.
fn new_file(scratch: &Path) -> Result<PathBuf> {
    let name = format!("retained-{}", crate::random::random_hex::<8>()?);
    Ok(scratch.join(name))
}

/// Merges sorted lists: each file once.
async fn merge(lists: &[Arc<LocalFile>], scratch: &Path) -> Result<ListWriter> {
    let mut merged = ListWriter::create(new_file(scratch)?)?;
    let mut rows = Vec::new();
    let mut next = BinaryHeap::new();
    for list in lists {
        let mut list = local_rows(list.clone())?;
        next.extend(head(&mut list, rows.len())?);
        rows.push(list);
    }
    let (mut last, mut number) = (None, 0);
    while let Some(Reverse((path, size, list))) = next.pop() {
        next.extend(head(&mut rows[list], list)?);
        if last.as_ref() == Some(&path) {
            continue;
        }
        let file = RetainedFile { path, size };
        merged.push(&file)?;
        last = Some(file.path);
        number += 1;
        if number % LINES_AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(merged)
}

type Head = Reverse<(String, u64, usize)>;

fn head(
    rows: &mut impl Iterator<Item = Result<RetainedFile>>,
    list: usize,
) -> Result<Option<Head>> {
    let row = rows.next().transpose()?;
    Ok(row.map(|RetainedFile { path, size }| Reverse((path, size, list))))
}
