//! Restoring files of two tiers: which of the two each goes to, and what Arc's rows say then.
//!
//! A key must be in one tier only: Arc reads both, and its rows would be served twice. A file that
//! has moved to the cold tier since the backup stays there, where it is the same. A file that was
//! in the cold tier goes back to it.

use std::sync::atomic::Ordering;

use arc_backup_core::{
    AsideMode, Discard, Discarded, Entry, Error, ErrorKind, ExtraFiles, Hasher, Key, Meta, Result,
    Section, StagingArea, Tier, Upload, WriteOptions,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::cold_places::ColdPlace;
use super::parquet_restore::{LARGE_BYTES, ParquetRestore};
use super::settle::locked;
use super::steps::{Action, Step};
use super::tier_changes::{RowChange, RowTier, change_rows};
use crate::sorted::{Joined, merge_join};

impl ParquetRestore {
    /// Decides what becomes of a key.
    pub(super) async fn decide(
        &self,
        entry: Option<Entry>,
        live: Option<Meta>,
        cold: Option<ColdPlace>,
    ) -> Result<()> {
        let row = cold.as_ref().is_some_and(|cold| cold.row);
        let object = cold.as_ref().and_then(|cold| cold.object.clone());
        let Some(entry) = entry else {
            if let Some(live) = live {
                self.extra(&live)?;
            }
            return match (cold, object) {
                (_, Some(object)) => self.cold_extra(&object),
                (Some(cold), None) => self.steps.append(&Step::of_cold(
                    &cold.key,
                    0,
                    Action::Row,
                    Some(RowTier::Gone),
                )),
                (None, None) => Ok(()),
            };
        };
        let was_cold = entry.tier == Tier::Cold;
        if was_cold {
            self.cold.is_held.store(true, Ordering::Relaxed);
        }
        let goes_to_cold = self.cold.sink().is_some()
            && (was_cold || (object.is_some() && (row || live.is_none())));
        if goes_to_cold {
            if let Some(live) = live {
                self.aside_bytes.fetch_add(live.size, Ordering::Relaxed);
                self.steps.append(&Step::of_second(&live, Tier::Hot))?;
            }
            return self.compare_cold(entry, object, row).await;
        }
        if let Some(object) = object {
            movable(&object)?;
            (self.cold.aside_bytes).fetch_add(object.size, Ordering::Relaxed);
            self.steps.append(&Step::of_second(&object, Tier::Cold))?;
        }
        if live.is_none() {
            if row && !was_cold && self.cold.sink().is_none() {
                return Err(no_cold_tier(&entry.key));
            }
            locked(&self.cold.twice).restored(&entry.key);
        }
        let to_row = match row || was_cold {
            true => Some(RowTier::Hot),
            // The row of the restored database may say that it is cold.
            false
                if self.cold.sink().is_some()
                    && self.staging.scope.includes(&Section::Metadata) =>
            {
                Some(RowTier::NotCold)
            }
            false => None,
        };
        self.compare(entry, live.as_ref(), to_row).await
    }

    fn cold_extra(&self, object: &Meta) -> Result<()> {
        if !self.staging.scope.takes_extra(&object.key) {
            return Ok(());
        }
        if self.staging.extra_files != ExtraFiles::Keep {
            self.check_unsplit(&object.key)?;
        }
        locked(&self.cold.twice).extra(&object.key);
        self.cold.extra_files.fetch_add(1, Ordering::Relaxed);
        if object.archived && self.staging.extra_files != ExtraFiles::Keep {
            let archived = Step::of_cold(&object.key, object.size, Action::Archived, None);
            return self.steps.append(&archived);
        }
        (self.cold.extra_bytes).fetch_add(object.size, Ordering::Relaxed);
        self.steps.append(&Step::of_cold(
            &object.key,
            object.size,
            Action::Extra,
            Some(RowTier::Gone),
        ))
    }

    /// Compares an entry that goes to the cold tier with the object there.
    async fn compare_cold(&self, entry: Entry, object: Option<Meta>, row: bool) -> Result<()> {
        let was_hot = entry.tier == Tier::Hot;
        let entry = Entry {
            tier: Tier::Cold,
            ..entry
        };
        let same = match &object {
            Some(object) => self.is_same_in_cold(&entry, object).await?,
            None => false,
        };
        if !same {
            self.check_unsplit(&entry.key)?;
        }
        if let Some(object) = object.as_ref().filter(|_| !same) {
            movable(object)?;
            (self.cold.aside_bytes).fetch_add(object.size, Ordering::Relaxed);
        }
        if self.staging.staged_before.any() && !same {
            self.count_staged(&entry).await?;
        }
        let mut summary = self.summary();
        if same {
            summary.unchanged_files += 1;
            summary.unchanged_bytes += entry.size;
            summary.cold_files_skipped_already_cold += u64::from(was_hot);
        } else {
            summary.needed_files += 1;
            summary.needed_bytes = summary.needed_bytes.saturating_add(entry.size);
            summary.replaced_files += u64::from(object.is_some());
        }
        drop(summary);
        let action = if same { Action::Same } else { Action::Need };
        // Restored databases have other rows than those that were read.
        let is_right = row && !self.staging.scope.includes(&Section::Metadata);
        self.steps.append(&Step {
            etag: object.filter(|_| same).and_then(|object| object.etag),
            row: (!is_right).then_some(RowTier::Cold),
            ..Step::new(&entry, action)
        })
    }

    /// Whether the object in the cold tier has the bytes of the entry. Without a checksum, and in
    /// an archive tier, the size decides, as it does in Arc.
    async fn is_same_in_cold(&self, entry: &Entry, object: &Meta) -> Result<bool> {
        if object.size != entry.size {
            return Ok(false);
        }
        if object.archived {
            self.cold.archived.fetch_add(1, Ordering::Relaxed);
            return Ok(true);
        }
        match (entry.sha256, self.cold.sink()) {
            (Some(_), Some(cold)) => self.is_same(cold, entry, object).await,
            _ => Ok(true),
        }
    }

    /// Begins to write an entry right into the cold tier.
    pub(super) async fn begin_cold(
        &self,
        entry: &Entry,
        options: WriteOptions,
    ) -> Result<Box<dyn Upload>> {
        let Some(cold) = self.cold.sink() else {
            return Err(gone(&entry.key));
        };
        if entry.size >= LARGE_BYTES {
            let left = cold.discard_unfinished(Some(&entry.key), Discard::Remove);
            if let Err(error) = left.await.and_then(Discarded::whole) {
                tracing::warn!(%error, "unfinished uploads may be left");
            }
        }
        self.cold.set_aside(&entry.key, AsideMode::Keep).await?;
        cold.begin(&entry.key, options).await
    }

    /// Does what a step of the cold tier says.
    pub(super) async fn apply_cold_step(&self, step: &Step) -> Result<()> {
        let key = step.key()?;
        let held = self.cold.has_extra();
        match step.action {
            Action::Extra if held && self.staging.extra_files == ExtraFiles::Keep => {
                self.summary().kept_extra_files += 1;
            }
            Action::Extra if held => self.cold.set_aside(&key, AsideMode::Move).await?,
            Action::Second => self.cold.set_aside(&key, AsideMode::Move).await?,
            Action::Staged => {
                if let Some(area) = self.storage.staging() {
                    self.write_staged(area, &key, step).await?;
                }
            }
            Action::Archived if held => {
                locked(&self.cold.kept_archived).add(&key);
                self.summary().kept_extra_files += 1;
            }
            Action::Extra
            | Action::Archived
            | Action::Same
            | Action::Need
            | Action::Found
            | Action::Row => {}
        }
        Ok(())
    }

    /// Writes what was staged beside the hot storage to the cold tier.
    async fn write_staged(&self, area: &dyn StagingArea, key: &Key, step: &Step) -> Result<()> {
        let entry = step.entry()?;
        let staged = area.open(key, &self.staging.stage).await?;
        let staged = staged.ok_or_else(|| gone(key))?;
        let options = WriteOptions {
            size_hint: Some(entry.size),
            modified: entry.modified,
            mode: entry.mode,
            ..WriteOptions::default()
        };
        let mut upload = self.begin_cold(&entry, options).await?;
        let mut hasher = Hasher::new();
        let mut pieces = crate::pipeline::pieces(staged.body, key);
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            self.staging.activity.note();
            hasher.update(&piece);
            upload.write(piece).await?;
        }
        if entry.sha256.is_some_and(|digest| digest != hasher.finish()) {
            upload.abort().await?;
            let text = "the staged file was changed before it was written to the cold tier";
            return Err(Error::new(
                ErrorKind::Corrupt,
                "restore",
                key.as_str(),
                text,
            ));
        }
        upload.commit().await?;
        area.discard(key, &self.staging.stage).await
    }

    /// The files of one tier that must be live at the end, in byte order.
    pub(super) fn expected(
        &self,
        cold: bool,
        keep_extra: bool,
    ) -> Result<impl Iterator<Item = Result<Step>> + Send + use<>> {
        Ok(self.steps.read()?.filter(move |step| match step {
            Ok(step) if step.cold != cold => false,
            Ok(step) => match step.action {
                Action::Same | Action::Need => true,
                Action::Extra => keep_extra,
                Action::Staged
                | Action::Found
                | Action::Archived
                | Action::Second
                | Action::Row => false,
            },
            Err(_) => true,
        }))
    }

    /// Compares the cold tier with what it is to hold.
    pub(super) async fn check_cold(&self) -> Result<()> {
        let mut expected = self.expected(true, false)?.peekable();
        if expected.peek().is_none() {
            return Ok(());
        }
        let live = self.cold.live(&self.staging);
        let mut joined = merge_join(stream::iter(expected), live);
        while let Some(joined) = joined.try_next().await? {
            let problem = match joined {
                Joined::Both(step, live) => self.changed(&step, &live).map(|text| (step.key, text)),
                Joined::Left(step) => {
                    let text = "deleted from the cold tier by another process during the restore";
                    Some((step.key, text.to_owned()))
                }
                // Of another backup, or moved there by Arc.
                Joined::Right(_) => None,
            };
            if let Some((key, text)) = problem {
                (self.summary().problems).push((format!("data/{key}"), text));
            }
        }
        Ok(())
    }

    /// Makes Arc's rows say where each file is now, after the objects are there and the databases
    /// are restored.
    pub(super) async fn correct_rows(&self) -> Result<()> {
        let Some(tiering) = &self.cold.tiering else {
            return Ok(());
        };
        let is_needed = |step: Result<Step>| {
            step.is_ok_and(|step| step.row.is_some_and(|row| row != RowTier::NotCold))
        };
        let is_needed = self.steps.read()?.any(is_needed);
        let held = self.cold.has_extra();
        let keeps = self.staging.extra_files == ExtraFiles::Keep;
        let changes = self.steps.read()?.filter_map(move |step| {
            let step = match step {
                Ok(step) => step,
                Err(error) => return Some(Err(error)),
            };
            let tier = step.row?;
            let is_kept = tier == RowTier::Gone && (keeps || !held);
            let change = || {
                let entry = step.entry()?;
                Ok(RowChange {
                    key: entry.key,
                    tier,
                    size: entry.size,
                    modified: entry.modified,
                })
            };
            (!is_kept).then(change)
        });
        match change_rows(&tiering.database, changes).await? {
            Ok(count) => tracing::debug!(count, "changed rows of tier_files"),
            Err(fault) if !is_needed => tracing::debug!(%fault, "no row says cold"),
            // Its files are in force.
            Err(fault) => self.summary().warnings.push(format!(
                "the rows of `tier_files` in {} were not changed ({fault}): Arc may look for files in the wrong tier until \
                 they are",
                tiering.database.display()
            )),
        }
        Ok(())
    }
}

/// A file has moved to a cold tier that is not in this configuration.
fn no_cold_tier(key: &Key) -> Error {
    let text = "it has moved to the cold tier since the backup (`tier_files`), and this configuration has none \
                (`tiered_storage.cold`): restored hot beside it, its rows would be served twice. Configure the cold tier as \
                Arc has it. Only where it is gone for good, restore the databases first (--no-data, restore_data = false)";
    Error::new(ErrorKind::Invalid, "restore", key.as_str(), text)
}

/// Fails for an object that can't be moved away, before anything changes.
fn movable(object: &Meta) -> Result<()> {
    if !object.archived {
        return Ok(());
    }
    let text = "it is in the cold tier, in an archive tier of the store, and differs from the backup or belongs to the hot \
                tier: this restore would set it aside, and can't read it. Bring it back from the archive first (S3: \
                restore-object, then copy it), or remove it";
    Err(Error::new(
        ErrorKind::Unsupported,
        "restore",
        object.key.as_str(),
        text,
    ))
}

fn gone(key: &Key) -> Error {
    let text = "nothing is staged for it any more: run the same restore again";
    Error::new(ErrorKind::NotFound, "restore", key.as_str(), text)
}
