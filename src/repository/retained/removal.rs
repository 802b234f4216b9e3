//! Removing backups from a target, step by step, or finding out what that would free.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;

use super::list::{FoundList, RetainedList};
use super::references::References;
use super::walk::{Freed, Mode, RemovedNames, Report};
use crate::manifest::BackupId;
use crate::repository::Repository;
use crate::{Error, Result};

/// Makes the folder for temporary files when it is needed first: a deletion must work on a full
/// disk.
pub(crate) type ScratchFolder<'a> = Box<dyn Fn() -> Result<PathBuf> + Send + Sync + 'a>;

/// What is to be done with the folder of a backup that is deleted.
#[derive(Debug)]
pub(crate) struct Planned {
    /// What must stay; `None`: nothing.
    retained: Option<RetainedList>,
}

impl Planned {
    /// Whether files must stay.
    pub(crate) fn has_retained(&self) -> bool {
        self.retained.is_some()
    }
}

/// What became of the folder of a deleted backup.
pub(super) struct Settled {
    /// What is freed of it.
    pub(super) freed: Freed,
    /// Whether it was as the remaining backups need it.
    pub(super) was_exact: bool,
}

/// Removes backups from one target, one after the other, or finds out what that would free. The
/// caller holds the target's lock if anything is removed.
pub(crate) struct Removal<'a> {
    repository: Repository,
    mode: Mode,
    scratch: ScratchFolder<'a>,
    references: References,
    /// Folders of deleted backups, by the index.
    retained: BTreeSet<BackupId>,
    /// What an estimate has left of folders: `None` is nothing.
    left: BTreeMap<BackupId, Option<RetainedList>>,
    /// The backups that were deleted so far.
    deleted: BTreeSet<BackupId>,
    names: RemovedNames,
}

/// How many backups are deleted by one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// One.
    One,
    /// Several: files that one shares with the next have to be remembered.
    Several,
}

impl fmt::Debug for Removal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Removal")
            .field("repository", &self.repository)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl<'a> Removal<'a> {
    /// Reads what the manifests in the target say of each other.
    pub(crate) async fn open(
        repository: &Repository,
        mode: Mode,
        count: Count,
        scratch: ScratchFolder<'a>,
    ) -> Result<Self> {
        let retained = repository.retained_folders().await?;
        let references = repository.references(&retained).await?;
        Ok(Self {
            repository: repository.clone(),
            mode,
            scratch,
            references,
            retained,
            left: BTreeMap::new(),
            deleted: BTreeSet::new(),
            names: (count == Count::Several).then(HashMap::new),
        })
    }

    pub(super) fn references(&self) -> &References {
        &self.references
    }

    pub(super) fn retained(&self) -> &BTreeSet<BackupId> {
        &self.retained
    }

    /// The first step: works out what must stay of a backup. Changes nothing.
    ///
    /// # Errors
    /// Where that is not known, the backup must not be deleted.
    pub(crate) async fn plan(&self, id: &BackupId) -> Result<Planned> {
        (self.repository.check_known(&self.references, id)).await?;
        Ok(Planned {
            retained: self.needed(id).await?,
        })
    }

    async fn needed(&self, id: &BackupId) -> Result<Option<RetainedList>> {
        if self.references.to(id).is_empty() {
            return Ok(None);
        }
        let scratch = (self.scratch)()?;
        self.repository.needed(&self.references, id, &scratch).await
    }

    /// The second step, before the manifest goes: records in the target what must stay.
    pub(crate) async fn record(&self, id: &BackupId, planned: &Planned) -> Result<()> {
        match &planned.retained {
            _ if self.mode == Mode::Estimate => Ok(()),
            Some(list) => self.repository.put_retained(id, list).await,
            // Of an earlier deletion that was interrupted.
            None if self.retained.contains(id) => self.repository.forget_retained(id).await,
            None => Ok(()),
        }
    }

    /// The third step, when the manifest is gone: forgets the backup, and returns the backups that
    /// held files of it; `None` where that is not known.
    pub(crate) fn forget(&mut self, id: &BackupId) -> Option<BTreeSet<BackupId>> {
        self.references.remove(id)
    }

    /// The fourth step: removes the files of the backup that need not stay. What else there is of
    /// it is the caller's to remove.
    pub(crate) async fn clear(
        &mut self,
        id: &BackupId,
        planned: Planned,
        report: Report<'_>,
    ) -> Result<Freed> {
        let kept = planned.retained;
        let mut freed = self.walk(id, kept.as_ref(), report).await?;
        if let Some(list) = &kept {
            freed.needed_by.clone_from(list.needed_by());
            self.retained.insert(id.clone());
        }
        self.left.insert(id.clone(), kept);
        self.deleted.insert(id.clone());
        Ok(freed)
    }

    async fn walk(
        &mut self,
        id: &BackupId,
        kept: Option<&RetainedList>,
        report: Report<'_>,
    ) -> Result<Freed> {
        let before = match (self.mode, self.left.get(id)) {
            (Mode::Remove, _) | (_, None) => None,
            (Mode::Estimate, Some(Some(list))) => Some(list),
            (Mode::Estimate, Some(None)) => return Ok(Freed::default()),
        };
        let (lists, names) = ([kept, before], &mut self.names);
        (self.repository)
            .walk(id, lists, self.mode, names, report)
            .await
    }

    /// The last step: removes what was retained of other backups and is not needed any more.
    /// `holders` are those of which the deleted backup needed files; `None`: it may be of any.
    ///
    /// Returns what could not be removed, too: it stays for a sweep.
    pub(crate) async fn release(
        &mut self,
        holders: Option<BTreeSet<BackupId>>,
        report: Report<'_>,
    ) -> Result<(Freed, Vec<String>)> {
        let (mut freed, mut faults) = (Freed::default(), Vec::new());
        for holder in holders.unwrap_or_else(|| self.retained.clone()) {
            let is_deleted =
                self.retained.contains(&holder) || self.references.unpublished().contains(&holder);
            if self.references.is_published(&holder) || !is_deleted {
                continue;
            }
            match self.settle(&holder, false, report).await {
                Ok(settled) => freed += settled.freed,
                // Which files are needed is not known: they all stay.
                Err(error)
                    if matches!(
                        error.root(),
                        Error::Damaged { .. } | Error::Unreadable { .. } | Error::Failed(_)
                    ) =>
                {
                    faults.push(format!("files of backup `{holder}` stay: {error}"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((freed, faults))
    }

    /// Brings the folder of a deleted backup to what the remaining backups need. Where its list is
    /// of exactly these, the folder is looked at only if it is `whole_walk`.
    pub(super) async fn settle(
        &mut self,
        id: &BackupId,
        whole_walk: bool,
        report: Report<'_>,
    ) -> Result<Settled> {
        let found = match self.left.get(id) {
            Some(Some(list)) => FoundList::Whole(list.clone()),
            Some(None) => FoundList::Absent,
            None => self.repository.retained_list(id).await?,
        };
        let needed_by = self.references.to(id);
        let exact = match found {
            FoundList::Whole(list) if list.is_for(&needed_by) => Some(list),
            FoundList::Whole(_) | FoundList::Absent => None,
            FoundList::Broken(reason) => {
                tracing::warn!(backup = %id, reason, "the list of its retained files is made again");
                None
            }
        };
        if exact.is_some() && !whole_walk {
            return Ok(Settled {
                freed: Freed::default(),
                was_exact: true,
            });
        }
        let was_exact = exact.is_some();
        let kept = match exact {
            // What can't be read now could be read when the list was made, or needs no more than
            // its base.
            Some(list) => Some(list),
            None => {
                (self.repository.check_known(&self.references, id)).await?;
                self.needed(id).await?
            }
        };
        if let Some(list) = &kept
            && self.mode == Mode::Remove
        {
            match was_exact {
                true if self.retained.contains(id) => {}
                true => self.repository.put_retained_entry(id, list).await?,
                false => self.repository.put_retained(id, list).await?,
            }
        }
        let mut freed = self.walk(id, kept.as_ref(), report).await?;
        // Its files count as retained when it is deleted.
        (freed.retained_files, freed.retained_bytes) = (0, 0);
        if self.deleted.contains(id) {
            freed.released_files = freed.freed_files;
            freed.released_bytes = freed.freed_bytes;
        }
        match kept.is_some() {
            true => drop(self.retained.insert(id.clone())),
            false => {
                if self.mode == Mode::Remove {
                    self.repository.remove_backup(id).await?;
                }
                self.retained.remove(id);
            }
        }
        self.left.insert(id.clone(), kept);
        Ok(Settled { freed, was_exact })
    }
}
