//! Restoring the data.
//!
//! The backup's entries and the live listing are both in byte order: one pass over the two decides
//! what each file needs, and writes the decision to a file, so that a million files need no memory.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_backup_core::{
    AsideMode, ChangeStream, Discard, Discarded, Durability, Entry, EntryStream, Error, ErrorKind,
    ExtraFiles, Key, ListOptions, Listed, Meta, Restore, RestoreSummary, Result, Sink, Staging,
    Tier, Upload, WriteOptions,
};
use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::aside::Aside;
use super::cold_places::places;
use super::cold_tier::ColdRestore;
use super::compaction::is_output;
use super::contents::{Exclusions, LONGEST_KEY};
use super::iceberg_tables::Tables;
use super::listing::list_in;
use super::plan_basis::PlanBasis;
use super::steps::{Action, Step, Steps};
use super::sync::sync;
use super::tier_changes::RowTier;
use super::tiering::Tiering;
use super::without_checksums::WithoutChecksums;
use crate::sorted::{Joined, merge_join};

/// The smallest object that is uploaded in parts: S3's smallest part.
pub(super) const LARGE_BYTES: u64 = 5 << 20;

/// A restore into Arc's data storage.
pub(super) struct ParquetRestore {
    pub(super) section: &'static str,
    pub(super) storage: Arc<dyn Sink>,
    /// The files that interrupted runs have set aside, with their policies.
    pub(super) earlier: Vec<(Aside, ExtraFiles)>,
    pub(super) aside: Aside,
    pub(super) exclusions: Exclusions,
    pub(super) staging: Staging,
    pub(super) steps: Steps,
    pub(super) summary: Mutex<RestoreSummary>,
    /// Bytes that will be set aside, by the plan.
    pub(super) aside_bytes: AtomicU64,
    /// Bytes that an interrupted restore has staged, and this one may use.
    pub(super) staged_bytes: AtomicU64,
    /// Files that were set aside so far.
    pub(super) aside_files: AtomicU64,
    /// Files that were restored so far.
    pub(super) restored_files: AtomicU64,
    /// Which files of the backup have no checksums.
    pub(super) without_checksums: WithoutChecksums,
    /// Whether a file was found with another modification time than it was given: its file system
    /// keeps none, or rounds them.
    pub(super) has_other_times: AtomicBool,
    pub(super) durability: tokio::sync::OnceCell<Box<dyn Durability>>,
    /// Arc's cold tier.
    pub(super) cold: ColdRestore,
    /// Of a warehouse: its tables.
    pub(super) tables: Tables,
}

impl ParquetRestore {
    pub(super) fn new(
        section: &'static str,
        storage: Arc<dyn Sink>,
        exclusions: Exclusions,
        tiering: Option<Tiering>,
        staging: Staging,
    ) -> Self {
        let cold = ColdRestore::new(tiering, &staging);
        let (keep_in, activity) = (&staging.aside, &staging.activity);
        let aside_of = |id| Aside::new(storage.clone(), id, keep_in.clone(), activity);
        let aside = aside_of(&staging.operation_id);
        let earlier = (staging.earlier.iter())
            .map(|(id, policy)| (aside_of(id), *policy))
            .collect();
        Self {
            section,
            earlier,
            aside,
            aside_bytes: AtomicU64::new(0),
            staged_bytes: AtomicU64::new(0),
            aside_files: AtomicU64::new(0),
            restored_files: AtomicU64::new(0),
            storage,
            exclusions,
            steps: Steps::new(staging.scratch.join(format!("{section}.steps"))),
            staging,
            summary: Mutex::default(),
            without_checksums: WithoutChecksums::default(),
            has_other_times: AtomicBool::new(false),
            durability: tokio::sync::OnceCell::new(),
            cold,
            tables: Tables::default(),
        }
    }

    pub(super) fn summary(&self) -> MutexGuard<'_, RestoreSummary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The storage that a step is about.
    pub(super) fn storage_of(&self, step: &Step) -> &Arc<dyn Sink> {
        match step.cold {
            true => self.cold.sink().unwrap_or(&self.storage),
            false => &self.storage,
        }
    }

    /// The live files that belong to the data and are in scope.
    fn live(&self) -> BoxStream<'static, Result<Meta>> {
        let exclusions = self.exclusions.clone();
        let activity = self.staging.activity.clone();
        let untouched = self.staging.untouched.clone();
        let scope = self.staging.scope.clone();
        let options = ListOptions {
            skip: exclusions.keys.clone(),
            ..ListOptions::default()
        };
        list_in(&self.storage, &scope, options)
            .inspect(move |_| activity.note())
            .try_filter_map(move |item| {
                let live = match item {
                    // A file that no backup can hold is left as it is.
                    Listed::Object(meta)
                        if meta.key.len() <= LONGEST_KEY
                            && scope.contains_data(&meta.key)
                            && !exclusions.exclude(&meta.key)
                            && !untouched.contains(&meta.key) =>
                    {
                        Some(meta)
                    }
                    Listed::Object(_) | Listed::Other { .. } => None,
                };
                std::future::ready(Ok(live))
            })
            .boxed()
    }

    /// Sets `key` aside, if it is there.
    async fn set_aside(&self, key: &Key, mode: AsideMode) -> Result<()> {
        match self.aside.keep(key, mode).await {
            Ok(()) => {
                self.aside_files.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn apply_step(&self, step: &Step) -> Result<()> {
        self.staging.activity.note();
        if step.cold {
            return self.apply_cold_step(step).await;
        }
        let key = step.key()?;
        match step.action {
            Action::Same | Action::Need | Action::Found | Action::Archived | Action::Row => {}
            Action::Second => self.set_aside(&key, AsideMode::Move).await?,
            Action::Extra if self.staging.extra_files == ExtraFiles::Keep => {
                self.summary().kept_extra_files += 1;
            }
            Action::Extra => self.set_aside(&key, AsideMode::Move).await?,
            // Whatever is there now, also a file that appeared since the plan was made.
            Action::Staged => {
                if let Some(area) = self.storage.staging() {
                    self.set_aside(&key, AsideMode::Keep).await?;
                    area.promote(&key, &self.staging.stage).await?;
                    self.check_time(&key, step).await?;
                    self.restored_files.fetch_add(1, Ordering::Relaxed);
                }
                // Else it was set aside and replaced when it was committed.
            }
        }
        Ok(())
    }

    /// Discards the staged files of the steps with one of these actions.
    async fn discard_staged(&self, actions: &[Action]) -> Result<()> {
        let Some(area) = self.storage.staging() else {
            return Ok(());
        };
        for step in self.steps.read()? {
            let step = step?;
            if actions.contains(&step.action) {
                area.discard(&step.key()?, &self.staging.stage).await?;
            }
        }
        Ok(())
    }

    /// Compares an entry that goes to the storage with what is live there. `row` is what its row in
    /// `tier_files` is to say.
    pub(super) async fn compare(
        &self,
        entry: Entry,
        live: Option<&Meta>,
        row: Option<RowTier>,
    ) -> Result<()> {
        let entry = Entry {
            tier: Tier::Hot,
            ..entry
        };
        if self.exclusions.exclude(&entry.key) {
            // In this configuration the place belongs to something else, which it would overwrite.
            let text = "its place holds something else in this configuration (backups, a database, arc.toml, the cold tier, a temporary file)";
            if entry.sha256.is_some() && self.exclusions.is_taken(&entry.key) {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    "restore",
                    format!("{}/{}", self.section, entry.key),
                    text,
                ));
            }
            // Arc's own backups hold everything that was under its root.
            let text = format!("`{}/{}` was not restored: {text}", self.section, entry.key);
            self.summary().warnings.push(text);
            return Ok(());
        }
        if entry.sha256.is_none() {
            self.without_checksums.add(&entry.key);
        }
        let same = match live {
            Some(live) => self.is_same(&self.storage, &entry, live).await?,
            None => false,
        };
        if !same {
            self.check_unsplit(&entry.key)?;
        }
        if let Some(live) = live.filter(|_| !same) {
            self.aside_bytes.fetch_add(live.size, Ordering::Relaxed);
        }
        if self.staging.staged_before.any() && !same {
            self.count_staged(&entry).await?;
        }
        let mut summary = self.summary();
        if same {
            summary.unchanged_files += 1;
            summary.unchanged_bytes += entry.size;
        } else {
            summary.needed_files += 1;
            summary.needed_bytes = summary.needed_bytes.saturating_add(entry.size);
            summary.replaced_files += u64::from(live.is_some());
        }
        drop(summary);
        let action = if same { Action::Same } else { Action::Need };
        let etag = live.filter(|_| same).and_then(|live| live.etag.clone());
        self.steps.append(&Step {
            etag,
            row,
            live: live.filter(|_| !same).map(Into::into),
            ..Step::new(&entry, action)
        })
    }
}

#[async_trait]
impl Restore for ParquetRestore {
    async fn plan(&self, entries: EntryStream<'_>) -> Result<RestoreSummary> {
        let cold = places(self.cold.tiering.as_ref(), &self.staging).await?;
        let mut joined = merge_join(merge_join(entries, self.live()), cold);
        let mut basis = PlanBasis::new(self.section);
        while let Some(joined) = joined.try_next().await? {
            if self.staging.cancel.is_cancelled() {
                return Err(Error::new(
                    ErrorKind::Cancelled,
                    "restore",
                    self.section,
                    "cancelled",
                ));
            }
            let (at_key, cold) = joined.into_sides();
            let (entry, live) = at_key.map_or((None, None), Joined::into_sides);
            self.tables.add(entry.as_ref(), live.as_ref());
            let key = basis.add(entry.as_ref(), live.as_ref(), cold.as_ref());
            let before = self.summary().changes();
            self.decide(entry, live, cold).await?;
            basis.count(key, before, self.summary().changes());
        }
        drop(joined);
        basis.finish(&mut self.summary());
        self.warn_of_tables();
        self.summary().extra_files += self.cold.extra();
        let warnings = self.cold.warnings_of_plan();
        self.summary().warnings.extend(warnings);
        let there = self.staged_bytes.load(Ordering::Relaxed);
        self.summary().staged_bytes = there;
        let needed = self.summary().needed_bytes.saturating_sub(there);
        if let Some(root) = self.storage.properties().local_path {
            self.summary().room.push((root, needed));
        }
        Ok(self.summary().clone())
    }

    fn needed(&self) -> EntryStream<'_> {
        match self.steps.read() {
            Ok(steps) => stream::iter(steps.filter_map(|step| match step {
                Ok(step) if step.action == Action::Need => Some(step.entry()),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            }))
            .boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn begin(&self, entry: &Entry) -> Result<Box<dyn Upload>> {
        self.durability
            .get_or_try_init(|| self.storage.durability())
            .await?;
        let options = WriteOptions {
            size_hint: Some(entry.size),
            modified: entry.modified,
            mode: entry.mode,
            ..WriteOptions::default()
        };
        if let Some(area) = self.storage.staging() {
            return area.begin(&entry.key, &self.staging.stage, options).await;
        }
        if entry.tier == Tier::Cold {
            return self.begin_cold(entry, options).await;
        }
        // Unfinished uploads of the same object, of a restore that was killed. Arc never writes a
        // name twice at a time.
        if entry.size >= LARGE_BYTES {
            let left = (self.storage).discard_unfinished(Some(&entry.key), Discard::Remove);
            if let Err(error) = left.await.and_then(Discarded::whole) {
                tracing::warn!(%error, "unfinished uploads may be left");
            }
        }
        // What is there goes when this is committed.
        self.set_aside(&entry.key, AsideMode::Keep).await?;
        self.storage.begin(&entry.key, options).await
    }

    async fn staged(&self, entry: &Entry) -> Result<()> {
        // Of a file that Arc backed up without a checksum, only now is it known whether the live
        // one is the same.
        if let Some(area) = self.storage.staging()
            && entry.tier == Tier::Hot
            && self.without_checksums.has(&entry.key)
            && let Some(live) = self.storage.head(&entry.key).await?
            && self.is_same(&self.storage, entry, &live).await?
        {
            area.discard(&entry.key, &self.staging.stage).await?;
            let mut summary = self.summary();
            summary.unchanged_files += 1;
            drop(summary);
            return self.steps.append(&Step::new(entry, Action::Found));
        }
        if self.storage.staging().is_none() {
            self.restored_files.fetch_add(1, Ordering::Relaxed);
        }
        self.steps.append(&Step::new(entry, Action::Staged))
    }

    async fn take_staged(&self, entry: &Entry) -> Result<bool> {
        if !self.is_staged_already(entry).await? {
            return Ok(false);
        }
        self.staged(entry).await?;
        Ok(true)
    }

    async fn ready(&self) -> Result<()> {
        let bytes = self.aside_bytes.load(Ordering::Relaxed);
        // On local disk, files that appear until then are set aside too.
        if bytes > 0 || (self.storage.staging().is_some() && self.summary().needed_files > 0) {
            self.aside.prepare(bytes).await?;
        }
        self.cold.prepare().await?;
        if self.staging.staged_before.any() {
            self.discard_staged(&[Action::Same]).await?;
        }
        match self.durability.get() {
            Some(durability) => sync(&**durability, &self.staging.activity).await,
            None => Ok(()),
        }
    }

    async fn apply(&self) -> Result<()> {
        let durability = self.storage.durability().await?;
        // A store over a network answers many at once; on local disk one after the other is as
        // fast.
        let at_once = self.storage.properties().concurrency.unwrap_or(1);
        let outcome = stream::iter(self.steps.read()?)
            .try_for_each_concurrent(at_once, async |step| self.apply_step(&step).await)
            .await;
        self.record_applied(self.aside_files.load(Ordering::Relaxed));
        outcome?;
        sync(&*durability, &self.staging.activity).await
    }

    async fn finish(&self) -> Result<RestoreSummary> {
        self.summary().warnings.extend(self.cold.warnings());
        self.correct_rows().await?;
        self.check_cold().await?;
        let keep_extra = self.staging.extra_files == ExtraFiles::Keep;
        let expected = self.expected(false, keep_extra)?;
        let mut joined = merge_join(stream::iter(expected), self.live());
        while let Some(joined) = joined.try_next().await? {
            let problem = match joined {
                Joined::Both(step, live) => self.changed(&step, &live).map(|text| (step.key, text)),
                Joined::Left(step) if step.action == Action::Extra => None,
                Joined::Left(step) => {
                    let text = "deleted by another process during the restore";
                    Some((step.key, text.to_owned()))
                }
                Joined::Right(live) if !self.staging.scope.takes_extra(&live.key) => None,
                Joined::Right(live) => {
                    self.summary().appeared_files += 1;
                    let text = "changed while restoring: Arc compacted";
                    is_output(&live.key).then(|| (live.key.to_string(), text.to_owned()))
                }
            };
            if let Some((key, text)) = problem {
                (self.summary().problems).push((format!("{}/{key}", self.section), text));
            }
        }
        drop(joined);
        let summary = self.summary().clone();
        let remove = self.staging.extra_files == ExtraFiles::Remove && summary.problems.is_empty();
        if remove || summary.set_aside_files == 0 {
            self.aside.remove().await?;
            self.summary().set_aside_location = None;
        }
        let kept = self.cold.keep_or_remove(remove).await?;
        self.summary().kept.extend(kept);
        self.name_beside_data();
        let mut left = self.cold.remove_earlier(remove).await?;
        for (aside, policy) in &self.earlier {
            if remove && *policy == ExtraFiles::Remove {
                aside.remove().await?;
            } else if !aside.is_absent() {
                left.extend(aside.location());
            }
        }
        (self.summary().warnings).extend(left.into_iter().map(|location| {
            format!(
                "files that an interrupted run of this restore may have set aside are in {location}"
            )
        }));
        Ok(self.summary().clone())
    }

    async fn abort(&self) -> Result<()> {
        let of_an_earlier_run = (self.staging.staged_before.any()).then_some(Action::Same);
        let actions: Vec<_> = [Action::Need]
            .into_iter()
            .chain(of_an_earlier_run)
            .collect();
        self.discard_staged(&actions).await?;
        // Nothing was set aside yet: this removes what was made to try it.
        self.cold.abort().await?;
        self.aside.remove().await
    }

    async fn leave_staged(&self) -> Result<u64> {
        let left = self.count_left().await?;
        // No marker names files that were staged and not recorded; those of an earlier run have its
        // marker.
        if self.storage.staging().is_none() || (left == 0 && !self.staging.staged_before.any()) {
            self.abort().await?;
            return Ok(0);
        }
        self.cold.abort().await?;
        self.aside.remove().await?;
        Ok(left)
    }

    fn changes(&self) -> Option<ChangeStream<'_>> {
        Some(self.planned_changes())
    }

    fn restored_so_far(&self) -> Option<u64> {
        Some(self.restored_files.load(Ordering::Relaxed))
    }

    fn set_aside_so_far(&self) -> Option<(u64, String)> {
        let files = self.aside_files.load(Ordering::Relaxed);
        (files > 0).then(|| Some((files, self.aside.location()?)))?
    }

    fn changes_while_staging(&self) -> bool {
        self.storage.staging().is_none()
    }
}
