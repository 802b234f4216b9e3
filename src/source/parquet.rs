//! Arc's data: Parquet files and their companions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_backup_core::{
    Activity, Body, Discard, Discarded, Entry, EntryStream, Error, ErrorKind, GetOptions, Key,
    Meta, Origin, OtherKind, Reconciled, Restore, Result, Section, Sink, Snapshot, SnapshotFolder,
    SnapshotRequest, Source, SourceReport, Staging, Tier,
};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};

use super::cold_snapshot::ColdSnapshot;
use super::compaction::{Jobs, is_job_state, unit_of};
use super::contents::Exclusions;
use super::decide::{Files, is_harmless};
use super::parquet_restore::ParquetRestore;
use super::settle::{SettledListing, Settler, entries_of, entry, locked, root_of};
use super::tiering::Tiering;
use crate::manifest::Inventory;
use crate::sorted::union;

/// How many files that a backup can't hold are named.
const SAMPLE: usize = 20;

/// Everything that belongs to the data in Arc's data storage, which is a [`Sink`] too.
#[derive(Debug, Clone)]
pub struct ParquetSource {
    section: &'static str,
    storage: Arc<dyn Sink>,
    kind: String,
    exclusions: Exclusions,
    tiering: Option<Tiering>,
}

impl ParquetSource {
    /// The data in `storage`, of the kind that the configuration names.
    #[must_use]
    pub fn new(storage: Arc<dyn Sink>, kind: impl Into<String>, exclusions: Exclusions) -> Self {
        Self {
            section: Section::Data.as_str(),
            storage,
            kind: kind.into(),
            exclusions,
            tiering: None,
        }
    }

    /// The same files as those of another section.
    #[must_use]
    pub(super) fn in_section(self, section: &'static str) -> Self {
        Self { section, ..self }
    }

    /// The same with Arc's cold tier.
    #[must_use]
    pub fn with_tiering(mut self, tiering: Tiering) -> Self {
        self.tiering = Some(tiering);
        self
    }
}

#[async_trait]
impl Source for ParquetSource {
    fn section(&self) -> &str {
        self.section
    }

    fn files(&self) -> Option<Arc<dyn Sink>> {
        Some(self.storage.clone())
    }

    async fn snapshot(&self, request: SnapshotRequest) -> Result<Box<dyn Snapshot>> {
        if let Some(root) = self.storage.properties().local_path
            && !root.is_dir()
        {
            // A volume that is not mounted must not become a backup of nothing.
            return Err(Error::new(
                ErrorKind::NotFound,
                "read",
                root.display().to_string(),
                "the storage root (`storage.local_path`) is not a folder: is its volume mounted, and the working directory Arc's (-C)?",
            ));
        }
        let before = ColdSnapshot::rows_before(self.tiering.as_ref(), &request).await?;
        let snapshot = match self.storage.snapshots() {
            Some(snapshots) => match snapshots.create(&request.operation_id).await {
                Ok(snapshot) => Some(snapshot),
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    tracing::debug!(%error, "the data is copied from its place");
                    None
                }
                Err(error) => return Err(error),
            },
            None => None,
        };
        let taken = match (
            self.list_settled(snapshot.as_deref(), &request).await,
            snapshot,
        ) {
            // Found only with the first file: another file system, or files of another owner.
            (Err(error), Some(snapshot)) if error.kind() == ErrorKind::Unsupported => {
                tracing::debug!(%error, "the data is copied from its place");
                snapshot.release(&request.activity).await?;
                (self.list_settled(None, &request).await?, None)
            }
            (Err(error), Some(snapshot)) => {
                snapshot.release(&request.activity).await?;
                return Err(error);
            }
            (listing, snapshot) => (listing?, snapshot),
        };
        let ((settler, listing, mut report), snapshot) = taken;
        let method = if snapshot.is_some() {
            "hard-links"
        } else {
            "settled-listing"
        };
        report.method = Some(method.to_owned());
        let mut taken = DataSnapshot {
            settler,
            snapshot,
            listed: listing.listed,
            changing: tokio::sync::Mutex::new(Changing {
                settled: listing.settled,
                states: listing.states,
                jobs: listing.jobs,
            }),
            cold: None,
            report,
        };
        // After the hot files: a file that moves in between is in both listings, and not in none.
        let mut report = std::mem::take(&mut taken.report);
        let tiering = self.tiering.as_ref();
        let hot = taken.hot_entries();
        let cold = ColdSnapshot::take(tiering, &request, hot, before.as_ref(), &mut report).await;
        taken.report = report;
        let added = match cold {
            Ok(None) => Ok(()),
            Ok(Some((cold, units))) => {
                taken.cold = Some(cold);
                taken.list_again(units).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = added {
            Box::new(taken).release().await?;
            return Err(error);
        }
        Ok(Box::new(taken))
    }

    async fn discard_snapshots(&self, discard: Discard, activity: &Activity) -> Result<Discarded> {
        let Some(snapshots) = self.storage.snapshots() else {
            return Ok(Discarded::default());
        };
        let discarded = snapshots.discard_leftovers(discard, activity).await?;
        if discarded.count > 0 && discard == Discard::Remove {
            let count = discarded.count;
            tracing::info!(count, "removed the snapshots of interrupted backups");
        }
        Ok(discarded)
    }

    async fn restore(&self, staging: Staging) -> Result<Box<dyn Restore>> {
        Ok(Box::new(ParquetRestore::new(
            self.section,
            self.storage.clone(),
            self.exclusions.clone(),
            self.tiering.clone(),
            staging,
        )))
    }

    async fn discard_unfinished(&self, discard: Discard) -> Result<Discarded> {
        // In a store, unfinished uploads may be Arc's own: only those of an object that is restored
        // again are removed, then.
        if self.storage.staging().is_none() {
            return Ok(Discarded::default());
        }
        self.storage.discard_unfinished(None, discard).await
    }
}

impl ParquetSource {
    async fn list_settled(
        &self,
        snapshot: Option<&dyn SnapshotFolder>,
        request: &SnapshotRequest,
    ) -> Result<(Settler, SettledListing, SourceReport)> {
        let settler = Settler {
            storage: self.storage.clone(),
            exclusions: self.exclusions.clone(),
            scope: request.scope.clone(),
            known: request.known.clone(),
            cancel: request.cancel.clone(),
            activity: request.activity.clone(),
            root: root_of(&*self.storage)?,
            warnings: Arc::default(),
            unreadable: Arc::default(),
        };
        let mut report = SourceReport::default();
        report.origin = Some(Origin {
            kind: self.kind.clone(),
            location: self.storage.location(),
        });
        report.moment = Some(SystemTime::now());
        let report = Mutex::new(report);
        let path = request.scratch.join(format!("{}.listed", self.section));
        let listing = settler
            .list_settled(snapshot, &path, &|path, kind| {
                note_other(
                    &mut report.lock().unwrap_or_else(PoisonError::into_inner),
                    path,
                    kind,
                );
            })
            .await?;
        let report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((settler, listing, report))
    }
}

fn note_other(report: &mut SourceReport, path: String, kind: OtherKind) {
    let (count, sample) = match kind {
        OtherKind::Unaddressable => (
            &mut report.unaddressable_files,
            &mut report.unaddressable_sample,
        ),
        _ => (&mut report.special_files, &mut report.special_sample),
    };
    *count += 1;
    if sample.len() < SAMPLE {
        sample.push(path);
    }
}

/// A settled snapshot of the data: of hard links, or with each file read only as it was listed.
struct DataSnapshot {
    settler: Settler,
    snapshot: Option<Box<dyn SnapshotFolder>>,
    /// The first listing.
    listed: Inventory,
    changing: tokio::sync::Mutex<Changing>,
    /// The files that are in the cold tier.
    cold: Option<ColdSnapshot>,
    report: SourceReport,
}

/// What a snapshot has besides its first listing; changed by [`Snapshot::reconcile`].
struct Changing {
    settled: BTreeMap<String, Files>,
    states: Files,
    jobs: Jobs,
}

#[async_trait]
impl Snapshot for DataSnapshot {
    fn entries(&self) -> EntryStream<'_> {
        let hot = self.hot_entries();
        match self.cold.as_ref().map(|cold| cold.entries(hot)) {
            None => self.hot_entries(),
            Some(Ok(entries)) => entries,
            Some(Err(error)) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn open(&self, entry: &Entry) -> Result<Body, Error> {
        let options = GetOptions {
            if_match: entry.etag.clone(),
            ..GetOptions::default()
        };
        if let (Tier::Cold, Some(cold)) = (entry.tier, &self.cold) {
            return cold.open(entry, options).await;
        }
        if let Some(snapshot) = &self.snapshot {
            match snapshot.get(&entry.key, options.clone()).await {
                // One that an earlier backup has was not added to the snapshot.
                Err(error)
                    if error.kind() == ErrorKind::NotFound && self.settler.known.is_some() => {}
                object => return Ok(object?.body),
            }
        }
        Ok(self.settler.storage.get(&entry.key, options).await?.body)
    }

    async fn reconcile(&self, lost: &[Key]) -> Result<Option<Reconciled>> {
        let mut changing = self.changing.lock().await;
        let changing = &mut *changing;
        let mut gone = Vec::new();
        let mut units = BTreeSet::new();
        let in_cold = match &self.cold {
            Some(cold) => cold.look_again(lost).await?,
            None => BTreeMap::new(),
        };
        for key in lost {
            if matches!(in_cold.get(key), Some(Some(_))) {
                continue;
            }
            if changing.states.remove(key).is_some() || is_job_state(key) {
                gone.push(key.clone());
            } else {
                units.insert(unit_of(key).to_owned());
            }
        }
        let settled = self.settle_again(changing, units, lost, in_cold).await?;
        Ok(settled.map(|mut reconciled| {
            reconciled.gone.extend(gone);
            reconciled
        }))
    }

    fn report(&self) -> SourceReport {
        let mut report = self.report.clone();
        report
            .warnings
            .extend(locked(&self.settler.warnings).iter().cloned());
        report
            .unreadable
            .clone_from(&locked(&self.settler.unreadable));
        report
    }

    async fn release(self: Box<Self>) -> Result<()> {
        match self.snapshot {
            Some(snapshot) => snapshot.release(&self.settler.activity).await,
            None => Ok(()),
        }
    }
}

impl DataSnapshot {
    /// The entries of the hot files.
    fn hot_entries(&self) -> EntryStream<'_> {
        let begun = async move {
            let changing = self.changing.lock().await;
            let again: BTreeMap<Key, Meta> = (changing.settled.values().flatten())
                .chain(&changing.states)
                .map(|(key, meta)| (key.clone(), meta.clone()))
                .collect();
            let units: BTreeSet<String> = changing.settled.keys().cloned().collect();
            let first = entries_of(&self.listed)?
                .try_filter(move |entry| std::future::ready(!units.contains(unit_of(&entry.key))));
            let again = stream::iter(again.into_values().map(|meta| Ok(entry(meta))));
            Ok(union(first, again))
        };
        stream::once(begun).try_flatten().boxed()
    }

    /// Lists units again that were listed too early. Nothing of them has been copied yet.
    async fn list_again(&self, units: BTreeSet<String>) -> Result<()> {
        if units.is_empty() {
            return Ok(());
        }
        let changing = &mut *self.changing.lock().await;
        let settled = self.settle_again(changing, units, &[], BTreeMap::new());
        settled.await.map(drop)
    }

    /// Settles units again, and returns how they differ from what they were. `in_cold` are those of
    /// the `lost` files that were taken from the cold tier, each as it is now.
    async fn settle_again(
        &self,
        changing: &mut Changing,
        units: BTreeSet<String>,
        lost: &[Key],
        in_cold: BTreeMap<Key, Option<Entry>>,
    ) -> Result<Option<Reconciled>> {
        let mut gone = Vec::new();
        let mut were = self.files_of(&units, &changing.settled).await?;
        let settled =
            (self.settler).settle(units.clone(), self.snapshot.as_deref(), &mut changing.jobs);
        let now = match settled.await {
            // A file of another owner has appeared, which can't be linked: the lost files are
            // named.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                tracing::warn!(%error, "the snapshot can't be reconciled");
                return Ok(None);
            }
            settled => settled?,
        };
        let lost: BTreeSet<&Key> = lost.iter().collect();
        let mut entries = Vec::new();
        for (key, meta) in now.values().flatten() {
            if self.cold.as_ref().is_some_and(|cold| cold.replaces(key)) {
                were.remove(key);
                continue;
            }
            let was = were.remove(key);
            if lost.contains(key) || was.is_none_or(|was| was != (meta.size, meta.etag.clone())) {
                entries.push(entry(meta.clone()));
            }
        }
        let is_in_cold = |key: &Key| in_cold.get(key).is_some_and(Option::is_some);
        for key in were.into_keys() {
            let moved = match &self.cold {
                Some(cold) if cold.replaces(&key) || is_in_cold(&key) => continue,
                Some(cold) => cold.moved(&key).await?,
                None => None,
            };
            match moved {
                Some(entry) => entries.push(entry),
                None => gone.push(key),
            }
        }
        for (key, now) in in_cold {
            match now {
                Some(entry) => entries.push(entry),
                // Its hot file may be there again.
                None if !entries.iter().any(|entry| entry.key == key) => gone.push(key),
                None => {}
            }
        }
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        changing.settled.extend(now);
        // A job state that was harmless with the files before may not be with those of now.
        changing.states.retain(|key, _| {
            let stays = match changing.jobs.0.get(key) {
                Some((_, Ok(job))) if job.units().any(|unit| units.contains(unit)) => {
                    is_harmless(job, &changing.settled)
                }
                Some(_) => true,
                None => false,
            };
            if !stays {
                gone.push(key.clone());
            }
            stays
        });
        Ok(Some(Reconciled { gone, entries }))
    }

    /// The files that the snapshot has of these units, with their sizes and entity tags.
    async fn files_of(
        &self,
        units: &BTreeSet<String>,
        settled: &BTreeMap<String, Files>,
    ) -> Result<BTreeMap<Key, (u64, Option<String>)>> {
        let mut files = BTreeMap::new();
        let mut listed = entries_of(&self.listed)?;
        while let Some(entry) = listed.try_next().await? {
            let unit = unit_of(&entry.key);
            if units.contains(unit) && !settled.contains_key(unit) {
                files.insert(entry.key, (entry.size, entry.etag));
            }
        }
        for (_, of_unit) in settled.iter().filter(|(unit, _)| units.contains(*unit)) {
            files.extend(
                of_unit
                    .iter()
                    .map(|(key, meta)| (key.clone(), (meta.size, meta.etag.clone()))),
            );
        }
        Ok(files)
    }
}
