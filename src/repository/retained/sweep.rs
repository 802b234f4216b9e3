//! What an interrupted deletion leaves of shared files.

use std::collections::BTreeSet;

use futures::StreamExt;

use super::list::FoundList;
use super::removal::{Count, Removal, ScratchFolder};
use super::walk::{Mode, RemovedNames};
use crate::manifest::BackupId;
use crate::repository::Repository;
use crate::repository::layout::retained_key;
use crate::{Error, Result};

/// Files of a deleted backup that no other needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unneeded {
    /// The deleted backup.
    pub backup_id: String,
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a sweep found in the folders of deleted backups.
#[derive(Debug, Default)]
pub(crate) struct SweptRetained {
    pub(crate) unneeded: Vec<Unneeded>,
    pub(crate) faults: Vec<String>,
}

impl Repository {
    /// Finds files in the folders of deleted backups that no other backup needs, and entries of the
    /// index without such a folder; in the mode [`Mode::Remove`] it removes them, and mends lists
    /// and index. The caller then holds the lock.
    pub(crate) async fn sweep_retained(
        &self,
        mode: Mode,
        scratch: ScratchFolder<'_>,
    ) -> Result<SweptRetained> {
        let mut swept = SweptRetained::default();
        let journalled = self.journalled().await?;
        let mut removal = Removal::open(self, mode, Count::One, scratch).await?;
        let mut found: BTreeSet<BackupId> = removal.retained().clone();
        let unpublished = removal.references().unpublished().to_vec();
        let mut unknown = futures::stream::iter(unpublished)
            .map(async |id| self.is_retained(&id).await.map(|is| is.then_some(id)))
            .buffered(16);
        while let Some(id) = unknown.next().await {
            found.extend(id?);
        }
        drop(unknown);
        if mode == Mode::Remove && !found.is_empty() {
            // Whoever reads a backup may need files of these folders.
            if let Err(error) = self.check_no_readers().await {
                swept.faults.push(error.to_string());
                return Ok(swept);
            }
        }
        for id in found {
            if removal.references().is_published(&id) {
                // Its deletion did not begin.
                if mode == Mode::Remove {
                    self.forget_retained(&id).await?;
                }
                continue;
            }
            if removal.references().is_damaged(&id) {
                continue;
            }
            match removal.settle(&id, true, &mut |_, _| Ok(())).await {
                Ok(settled) => {
                    let freed = settled.freed;
                    if freed.freed_files > 0 || !settled.was_exact || journalled.contains(&id) {
                        swept.unneeded.push(Unneeded {
                            backup_id: id.to_string(),
                            files: freed.freed_files,
                            bytes: freed.freed_bytes,
                        });
                    }
                }
                Err(error) => swept.faults.push(format!("{id}: {error}")),
            }
        }
        Ok(swept)
    }

    /// Finishes the deletion of a backup whose manifest is gone and whose list says what must stay.
    /// Returns `false` where it has no list.
    pub(crate) async fn finish_retained(&self, id: &BackupId) -> Result<bool> {
        let list = match self.retained_list(id).await? {
            FoundList::Absent => return Ok(false),
            FoundList::Whole(list) => list,
            FoundList::Broken(reason) => {
                return Err(Error::Failed(format!(
                    "`{}`: {reason}; `sweep --apply` makes it again",
                    retained_key(id)
                )));
            }
        };
        self.put_retained_entry(id, &list).await?;
        let (lists, mut names) = ([Some(&list), None], RemovedNames::None);
        self.walk(id, lists, Mode::Remove, &mut names, &mut |_, _| Ok(()))
            .await?;
        self.remove_beside(id).await?;
        Ok(true)
    }
}
