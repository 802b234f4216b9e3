//! Arc's data: Parquet files and their companions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_backup_core::{
    Activity, Body, Discard, Discarded, Entry, EntryStream, Error, ErrorKind, Freeze, Frozen,
    GetOptions, Key, Meta, Origin, OtherKind, Reconciled, Restore, Result, Sink, SnapshotFolder,
    Source, SourceReport, Staging,
};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};

use super::compaction::{Jobs, is_state, unit_of};
use super::decide::{Files, is_harmless};
use super::parquet_restore::ParquetRestore;
use super::settle::{Settler, View, entry, locked, root_of, to_core};
use super::{DATA, Exclusions, SAMPLE};
use crate::manifest::Inventory;

/// The longest key that still is one in a backup, behind `{backup_id}/data/`, and in the target's
/// `.arc-backup/before-restore/{operation_id}/`.
pub(super) const LONGEST_KEY: usize = Key::MAX_BYTES - 64;

/// Everything that belongs to the data in Arc's data storage, which is a [`Sink`] too.
#[derive(Debug, Clone)]
pub struct ParquetSource {
    storage: Arc<dyn Sink>,
    kind: String,
    exclusions: Exclusions,
}

impl ParquetSource {
    /// The data in `storage`, of the kind that the configuration names.
    #[must_use]
    pub fn new(storage: Arc<dyn Sink>, kind: impl Into<String>, exclusions: Exclusions) -> Self {
        Self {
            storage,
            kind: kind.into(),
            exclusions,
        }
    }
}

#[async_trait]
impl Source for ParquetSource {
    fn section(&self) -> &str {
        DATA
    }

    async fn freeze(&self, freeze: Freeze) -> Result<Box<dyn Frozen>> {
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
        let snapshot = match self.storage.snapshots() {
            Some(snapshots) => match snapshots.create(&freeze.operation_id).await {
                Ok(snapshot) => Some(snapshot),
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    tracing::debug!(%error, "the data is copied from its place");
                    None
                }
                Err(error) => return Err(error),
            },
            None => None,
        };
        let frozen = match (self.view(snapshot.as_deref(), &freeze).await, snapshot) {
            // Found out only with the first file: another file system, files of somebody else.
            (Err(error), Some(snapshot)) if error.kind() == ErrorKind::Unsupported => {
                tracing::debug!(%error, "the data is copied from its place");
                snapshot.release(&freeze.activity).await?;
                (self.view(None, &freeze).await?, None)
            }
            (Err(error), Some(snapshot)) => {
                snapshot.release(&freeze.activity).await?;
                return Err(error);
            }
            (view, snapshot) => (view?, snapshot),
        };
        let ((settler, view, mut report), snapshot) = frozen;
        let method = if snapshot.is_some() {
            "hard-links"
        } else {
            "settled-listing"
        };
        report.method = Some(method.to_owned());
        Ok(Box::new(FrozenData {
            settler,
            snapshot,
            listed: view.listed,
            changing: tokio::sync::Mutex::new(Changing {
                settled: view.settled,
                states: view.states,
                jobs: view.jobs,
            }),
            report,
        }))
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
            self.storage.clone(),
            self.exclusions.clone(),
            staging,
        )))
    }

    async fn discard_unfinished(&self, discard: Discard) -> Result<Discarded> {
        // In a store, unfinished uploads may be Arc's own: only those of an object that is restored anew are removed, then.
        if self.storage.staging().is_none() {
            return Ok(Discarded::default());
        }
        self.storage.discard_unfinished(None, discard).await
    }
}

impl ParquetSource {
    async fn view(
        &self,
        snapshot: Option<&dyn SnapshotFolder>,
        freeze: &Freeze,
    ) -> Result<(Settler, View, SourceReport)> {
        let settler = Settler {
            storage: self.storage.clone(),
            exclusions: self.exclusions.clone(),
            cancel: freeze.cancel.clone(),
            activity: freeze.activity.clone(),
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
        let path = freeze.scratch.join("data.view");
        let view = settler
            .view(snapshot, &path, &|path, kind| {
                note_other(
                    &mut report.lock().unwrap_or_else(PoisonError::into_inner),
                    path,
                    kind,
                );
            })
            .await?;
        let report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((settler, view, report))
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
struct FrozenData {
    settler: Settler,
    snapshot: Option<Box<dyn SnapshotFolder>>,
    /// The first listing.
    listed: Inventory,
    changing: tokio::sync::Mutex<Changing>,
    report: SourceReport,
}

/// What a view is besides its first listing; changed by [`Frozen::reconcile`].
struct Changing {
    settled: BTreeMap<String, Files>,
    states: Files,
    jobs: Jobs,
}

#[async_trait]
impl Frozen for FrozenData {
    fn entries(&self) -> EntryStream<'_> {
        let begun = async move {
            let changing = self.changing.lock().await;
            let again: BTreeMap<Key, Meta> = (changing.settled.values().flatten())
                .chain(&changing.states)
                .map(|(key, meta)| (key.clone(), meta.clone()))
                .collect();
            let units: BTreeSet<String> = changing.settled.keys().cloned().collect();
            let first = (self.listed.records().map_err(to_core)?)
                .map(|record| record.map(|record| record.entry).map_err(to_core))
                .filter(
                    move |entry| !matches!(entry, Ok(entry) if units.contains(unit_of(&entry.key))),
                );
            Ok(stream::iter(merge(first, again.into_values().map(entry))))
        };
        stream::once(begun).try_flatten().boxed()
    }

    async fn open(&self, entry: &Entry) -> Result<Body, Error> {
        let options = GetOptions {
            if_match: entry.etag.clone(),
            ..GetOptions::default()
        };
        if let Some(snapshot) = &self.snapshot {
            return Ok(snapshot.get(&entry.key, options).await?.body);
        }
        Ok(self.settler.storage.get(&entry.key, options).await?.body)
    }

    async fn reconcile(&self, lost: &[Key]) -> Result<Option<Reconciled>> {
        let mut changing = self.changing.lock().await;
        let changing = &mut *changing;
        let mut gone = Vec::new();
        let mut units = BTreeSet::new();
        for key in lost {
            if changing.states.remove(key).is_some() || is_state(key) {
                gone.push(key.clone());
            } else {
                units.insert(unit_of(key).to_owned());
            }
        }
        let mut were = self.files_of(&units, &changing.settled)?;
        let settled =
            (self.settler).settle(units.clone(), self.snapshot.as_deref(), &mut changing.jobs);
        let now = match settled.await {
            // A file of somebody else has come, which can't be linked: what was lost is named.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                tracing::warn!(%error, "the view can't be reconciled");
                return Ok(None);
            }
            settled => settled?,
        };
        let lost: BTreeSet<&Key> = lost.iter().collect();
        let mut entries = Vec::new();
        for (key, meta) in now.values().flatten() {
            let was = were.remove(key);
            if lost.contains(key) || was.is_none_or(|was| was != (meta.size, meta.etag.clone())) {
                entries.push(entry(meta.clone()));
            }
        }
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        gone.extend(were.into_keys());
        changing.settled.extend(now);
        // A state that went with what these units held before may do harm to what they hold now.
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

impl FrozenData {
    /// The files that the view has of these units, with their entity tags.
    fn files_of(
        &self,
        units: &BTreeSet<String>,
        settled: &BTreeMap<String, Files>,
    ) -> Result<BTreeMap<Key, (u64, Option<String>)>> {
        let mut files = BTreeMap::new();
        for record in self.listed.records().map_err(to_core)? {
            let entry = record.map_err(to_core)?.entry;
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

/// Both in one, in byte order; no key is in both.
fn merge(
    first: impl Iterator<Item = Result<Entry>>,
    second: impl Iterator<Item = Entry>,
) -> impl Iterator<Item = Result<Entry>> {
    let (mut first, mut second) = (first.peekable(), second.peekable());
    std::iter::from_fn(move || match (first.peek(), second.peek()) {
        (Some(Ok(a)), Some(b)) if b.key < a.key => second.next().map(Ok),
        (None, _) => second.next().map(Ok),
        _ => first.next(),
    })
}
