//! Comparing live and staged files with those of the backup.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_backup_core::{EntityTag, Entry, Key, Meta, Result, Sink, StagedBefore, Staging};

use super::live;
use super::parquet_restore::ParquetRestore;
use super::steps::{Action, Step};
use crate::times::system_time;

impl ParquetRestore {
    pub(super) async fn is_same(
        &self,
        storage: &Arc<dyn Sink>,
        entry: &Entry,
        there: &Meta,
    ) -> Result<bool> {
        let Some(digest) = entry.sha256 else {
            return Ok(false);
        };
        if there.size != entry.size {
            return Ok(false);
        }
        // The tag of the object that was backed up: it is still that object, and need not be read.
        let is_strong = storage.properties().entity_tag == EntityTag::Strong;
        if is_strong && entry.etag.is_some() && entry.etag == there.etag {
            return Ok(true);
        }
        let Staging {
            cancel, activity, ..
        } = &self.staging;
        let live = live::digest(&**storage, &there.key, cancel, activity).await?;
        Ok(live == Some(digest))
    }

    /// How a live file differs from the restored one, as far as a listing shows it.
    pub(super) fn changed(&self, step: &Step, live: &Meta) -> Option<String> {
        if step.action == Action::Extra {
            return None;
        }
        if live.size != step.size {
            return Some(format!(
                "changed while restoring: it has {} bytes, not {}",
                live.size, step.size
            ));
        }
        let rewritten = match step.action {
            Action::Same => step.etag.is_some() && step.etag != live.etag,
            // A live file that was found to be the same only then keeps its own time.
            _ if self.without_checksums.has(&step.key) => false,
            _ if self.has_other_times.load(Ordering::Relaxed) => false,
            _ => {
                self.storage_of(step).properties().keeps_attributes
                    && step.modified.is_some()
                    && step.modified.map(system_time) != live.modified
            }
        };
        rewritten.then(|| "changed while restoring: it was rewritten".to_owned())
    }

    /// Finds out whether the storage keeps modification times: where it does not, they show nothing
    /// afterwards.
    pub(super) async fn check_time(&self, key: &Key, step: &Step) -> Result<()> {
        let wanted = step.modified.map(system_time);
        if wanted.is_some()
            && !self.has_other_times.load(Ordering::Relaxed)
            && let Some(live) = self.storage.head(key).await?
            && live.modified != wanted
        {
            self.has_other_times.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Counts the bytes of a needed file that is staged already: they need no room again.
    pub(super) async fn count_staged(&self, entry: &Entry) -> Result<()> {
        let Some(area) = self.storage.staging() else {
            return Ok(());
        };
        if let Some(staged) = area.open(&entry.key, &self.staging.stage).await? {
            let size = staged.meta.size.min(entry.size);
            self.staged_bytes.fetch_add(size, Ordering::Relaxed);
        }
        Ok(())
    }

    /// How many files are staged, where the restore ends before its first change.
    pub(super) async fn count_left(&self) -> Result<u64> {
        let mut left = 0;
        // An earlier plan of this operation may have staged what this one has not come to.
        let area = (self.storage.staging())
            .filter(|_| self.staging.staged_before == StagedBefore::ByThisOperation);
        for step in self.steps.read()? {
            let step = step?;
            left += u64::from(match (area, step.action) {
                (Some(area), Action::Need) => {
                    let staged = area.open(&step.key()?, &self.staging.stage).await?;
                    staged.is_some()
                }
                (None, Action::Staged) => true,
                _ => false,
            });
        }
        Ok(left)
    }

    /// Whether these very bytes are staged already.
    pub(super) async fn is_staged_already(&self, entry: &Entry) -> Result<bool> {
        let (Some(area), true, Some(digest)) = (
            self.storage.staging(),
            self.staging.staged_before.any(),
            entry.sha256,
        ) else {
            return Ok(false);
        };
        let staged = area.open(&entry.key, &self.staging.stage).await?;
        // Size, time and mode are set last: without them it was not committed.
        let Some(object) = staged.filter(|object| {
            object.meta.size == entry.size
                && (entry.modified.is_none() || object.meta.modified == entry.modified)
                && (entry.mode.is_none() || object.meta.mode == entry.mode)
        }) else {
            return Ok(false);
        };
        // It may not be on the disk yet.
        self.durability
            .get_or_try_init(|| self.storage.durability())
            .await?;
        let Staging {
            cancel,
            activity,
            staged_before,
            ..
        } = &self.staging;
        if *staged_before == StagedBefore::ByThisOperation {
            return Ok(true);
        }
        let found = live::digest_of(object.body, &entry.key, cancel, activity).await?;
        Ok(found == Some(digest))
    }
}
