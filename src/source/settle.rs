//! A view of the data while Arc writes.
//!
//! One walk is no view: a compaction during it hides rows or doubles them. So the data is listed twice, with the states of
//! compaction jobs read before each. A unit (see [`unit_of`]) is settled when no file of the first listing is gone or changed in
//! the second, no compaction output is new in it, and no pending job names it. What is not settled is listed again, alone,
//! until it is; where a job does not end, it is decided by its own state.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_backup_core::{
    Activity, Entry, Error, ErrorKind, Key, ListOptions, ListStream, Listed, Meta, OtherKind,
    Result, Sink, SnapshotFolder,
};
use futures::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use super::compaction::{Jobs, is_output, is_state, unit_of};
use super::decide::{Files, is_harmless};
use super::parquet::LONGEST_KEY;
use super::{DATA, Exclusions};
use crate::manifest::{Inventory, Record, Spool};

/// How many files are added to a snapshot at once.
const BATCH: usize = 512;
/// How many places may be unreadable: where there are more, the storage is.
const MOST_UNREADABLE: usize = 10_000;
/// How many warnings are told of one view.
const MOST_WARNINGS: usize = 100;

/// What looks at the data until it is settled.
#[derive(Clone)]
pub(super) struct Settler {
    pub(super) storage: Arc<dyn Sink>,
    pub(super) exclusions: Exclusions,
    pub(super) cancel: CancellationToken,
    pub(super) activity: Activity,
    /// The root on local disk as it was when the view began, by device and inode: a volume that goes away leaves an empty
    /// folder, and must not become a view of nothing.
    pub(super) root: Option<(PathBuf, (u64, u64))>,
    /// What the operator should know of the view.
    pub(super) warnings: Arc<Mutex<BTreeSet<String>>>,
    /// What could not be looked at, by path, and why: folders, and files of which not even the size can be had.
    pub(super) unreadable: Arc<Mutex<BTreeMap<String, String>>>,
}

pub(super) fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a fault is the place's own, and not this process's or the moment's.
fn is_lasting(error: &Error) -> bool {
    !matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::Throttled | ErrorKind::NoSpace | ErrorKind::Cancelled
    )
}

/// The device and inode of a storage's root, where it is on local disk.
pub(super) fn root_of(storage: &dyn Sink) -> Result<Option<(PathBuf, (u64, u64))>> {
    let Some(root) = storage.properties().local_path else {
        return Ok(None);
    };
    let meta = std::fs::metadata(&root)
        .map_err(|e| Error::from_io("read", root.display().to_string(), e))?;
    Ok(Some((root, (meta.dev(), meta.ino()))))
}

/// What the first listing and the settling of what it left unsettled have given.
pub(super) struct View {
    /// Every file of the first listing.
    pub(super) listed: Inventory,
    /// The files of the units that were listed again, in place of those of the first listing.
    pub(super) settled: BTreeMap<String, Files>,
    /// The files in the folder of job states.
    pub(super) states: Files,
    /// The jobs as they were last seen.
    pub(super) jobs: Jobs,
}

impl Settler {
    /// Takes a snapshot, with its list in the file `path`; each file is added to the folder of links
    /// where there is one. `other` is called for what is not a file.
    pub(super) async fn view(
        &self,
        snapshot: Option<&dyn SnapshotFolder>,
        path: &std::path::Path,
        other: &(dyn Fn(String, OtherKind) + Send + Sync),
    ) -> Result<View> {
        let before = self.read_jobs(&Jobs::default()).await?;
        let mut unsettled = BTreeSet::new();
        let (listed, states) = self.list_all(snapshot, path, other, &mut unsettled).await?;
        let after = self.read_jobs(&before).await?;
        self.compare(&listed, &before, &after, &mut unsettled)
            .await?;
        for job in before.and(&after) {
            unsettled.extend(job.units().map(str::to_owned));
        }
        let mut jobs = after;
        let settled = self.settle(unsettled, snapshot, &mut jobs).await?;
        let seen = jobs.clone();
        let states = self.states(&states, &settled, snapshot, &mut jobs).await?;
        for path in locked(&self.unreadable).keys() {
            if is_state(path) {
                self.warn(format!(
                    "`{path}` can't be read, where the states of compaction jobs are: whether files hold rows twice that these \
                     have taken in can't be told"
                ));
            }
        }
        for (key, reason) in jobs.unreadable() {
            // One that is being written this moment tells of a job that came after the view.
            if seen.0.get(key).map(|(meta, _)| meta) != jobs.0.get(key).map(|(meta, _)| meta) {
                continue;
            }
            self.warn(format!(
                "`{key}` can't be read as the state of a compaction job ({reason}): whether files hold rows twice that this job has \
                 taken in can't be told"
            ));
        }
        Ok(View {
            listed,
            settled,
            states,
            jobs,
        })
    }

    pub(super) fn warn(&self, text: String) {
        let mut warnings = locked(&self.warnings);
        if warnings.len() < MOST_WARNINGS {
            warnings.insert(text);
        }
    }

    /// Fails when the root is gone, or another one, since the view began.
    pub(super) fn check_root(&self) -> Result<()> {
        let Some((root, was)) = &self.root else {
            return Ok(());
        };
        if root_of(&*self.storage)?.is_none_or(|(_, now)| now != *was) {
            return Err(Error::new(
                ErrorKind::Other,
                "take a view of",
                root.display().to_string(),
                "the storage root is another folder than when the backup began: was its volume unmounted?",
            ));
        }
        Ok(())
    }

    pub(super) fn check_cancelled(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "list", DATA, "cancelled"));
        }
        Ok(())
    }

    pub(super) fn list(&self, prefix: String) -> ListStream {
        self.readable(self.storage.list(ListOptions {
            prefix,
            skip: self.exclusions.keys.clone(),
            ..ListOptions::default()
        }))
    }

    /// The rows of a listing without the places that can't be looked at, which are noted.
    fn readable(&self, listing: ListStream) -> ListStream {
        let (exclusions, unreadable) = (self.exclusions.clone(), self.unreadable.clone());
        let activity = self.activity.clone();
        listing
            .inspect(move |_| activity.note())
            .filter_map(move |row| {
                let row = match row {
                    Err(error) if error.is_of_one_place() && is_lasting(&error) => {
                        let mut unreadable = locked(&unreadable);
                        let path = error.subject();
                        if unreadable.len() >= MOST_UNREADABLE {
                            Some(Err(error))
                        } else {
                            // A folder may have a name that would be none of a file's.
                            let inside = match path.ends_with('/') {
                                true => format!("{path}x"),
                                false => path.to_owned(),
                            };
                            if !exclusions.exclude(&inside) {
                                unreadable.insert(path.to_owned(), error.detail().to_owned());
                            }
                            None
                        }
                    }
                    row => Some(row),
                };
                std::future::ready(row)
            })
            .boxed()
    }

    pub(super) async fn read_jobs(&self, known: &Jobs) -> Result<Jobs> {
        let listing = self.readable(self.storage.list(Jobs::listing()));
        Jobs::read(&*self.storage, listing, known).await
    }

    pub(super) fn belongs(&self, key: &str) -> bool {
        key.len() <= LONGEST_KEY && !self.exclusions.exclude(key)
    }

    async fn list_all(
        &self,
        snapshot: Option<&dyn SnapshotFolder>,
        path: &std::path::Path,
        other: &(dyn Fn(String, OtherKind) + Send + Sync),
        unsettled: &mut BTreeSet<String>,
    ) -> Result<(Inventory, Files)> {
        let mut spool = Spool::create(path).map_err(to_core)?;
        let mut states = Files::new();
        let mut batch = Vec::new();
        let mut listing = self.list(String::new());
        loop {
            let item = listing.try_next().await?;
            let ended = item.is_none();
            match item {
                Some(Listed::Object(meta)) if self.exclusions.exclude(&meta.key) => {}
                Some(Listed::Object(meta)) if meta.key.len() > LONGEST_KEY => {
                    other(meta.key.to_string(), OtherKind::Unaddressable);
                }
                Some(Listed::Object(meta)) if is_state(&meta.key) => {
                    states.insert(meta.key.clone(), meta);
                }
                Some(Listed::Object(meta)) => batch.push(meta),
                Some(Listed::Other { path, kind }) if !self.exclusions.exclude(&path) => {
                    other(path, kind);
                }
                Some(Listed::Other { .. }) | None => {}
            }
            if batch.len() < BATCH && !ended {
                continue;
            }
            self.check_cancelled()?;
            let keys: Vec<Key> = batch.iter().map(|meta| meta.key.clone()).collect();
            let found = match snapshot {
                Some(snapshot) if !keys.is_empty() => snapshot.add(&keys).await?,
                _ => batch.drain(..).map(Some).collect(),
            };
            batch.clear();
            for (key, meta) in keys.iter().zip(found) {
                match meta {
                    Some(meta) => {
                        let record = Record::new(DATA, entry(meta)).map_err(to_core)?;
                        spool.push(&record).map_err(to_core)?;
                    }
                    None => _ = unsettled.insert(unit_of(key).to_owned()),
                }
            }
            if ended {
                self.check_root()?;
                let listed = spool.finish().map_err(to_core)?.unsealed();
                return Ok((listed, states));
            }
        }
    }

    /// Lists the data once more, and tells the units that differ.
    async fn compare(
        &self,
        listed: &Inventory,
        before: &Jobs,
        after: &Jobs,
        unsettled: &mut BTreeSet<String>,
    ) -> Result<()> {
        let outputs: BTreeSet<&str> = (before.and(after)).map(|job| &*job.output).collect();
        let mut first = listed.records().map_err(to_core)?;
        let mut at = first.next().transpose().map_err(to_core)?;
        let mut listing = self.list(String::new());
        let mut unsettle = |key: &str| {
            let unit = unit_of(key);
            if !unsettled.contains(unit) {
                unsettled.insert(unit.to_owned());
            }
        };
        let mut count = 0_u64;
        while let Some(item) = listing.try_next().await? {
            count += 1;
            if count.is_multiple_of(4096) {
                self.check_cancelled()?;
            }
            let Listed::Object(meta) = item else {
                continue;
            };
            if !self.belongs(&meta.key) || is_state(&meta.key) {
                continue;
            }
            while let Some(record) = at.take_if(|record| record.entry.key < meta.key) {
                unsettle(&record.entry.key);
                at = first.next().transpose().map_err(to_core)?;
            }
            match at.take_if(|record| record.entry.key == meta.key) {
                Some(record) => {
                    if (record.entry.size, &record.entry.etag) != (meta.size, &meta.etag) {
                        unsettle(&meta.key);
                    }
                    at = first.next().transpose().map_err(to_core)?;
                }
                None if is_output(&meta.key) || outputs.contains(meta.key.as_str()) => {
                    unsettle(&meta.key);
                }
                None => {}
            }
        }
        while let Some(record) = at {
            unsettle(&record.entry.key);
            at = first.next().transpose().map_err(to_core)?;
        }
        self.check_root()
    }

    /// The files in the folder of states that may go with a view: those of jobs that were decided, where Arc's own way to end
    /// such a job, when it starts with the restored files, changes nothing; and what is no state of a job.
    async fn states(
        &self,
        first: &Files,
        settled: &BTreeMap<String, Files>,
        snapshot: Option<&dyn SnapshotFolder>,
        jobs: &mut Jobs,
    ) -> Result<Files> {
        *jobs = self.read_jobs(jobs).await?;
        let mut states = Files::new();
        for (key, (meta, job)) in &jobs.0 {
            if !self.belongs(key) {
                continue;
            }
            let goes_along = match job {
                Ok(job) => is_harmless(job, settled),
                Err(_) => first.get(key) == Some(meta),
            };
            if !goes_along {
                if job.is_err() && first.contains_key(key) && !key.ends_with(".json") {
                    self.warn(format!(
                        "`{key}` changed while the view was taken, and is not in the backup"
                    ));
                }
                continue;
            }
            let added = match snapshot {
                Some(snapshot) => snapshot
                    .add(std::slice::from_ref(key))
                    .await?
                    .pop()
                    .flatten(),
                None => Some(meta.clone()),
            };
            if let Some(meta) = added.filter(|added| added.etag == meta.etag) {
                states.insert(key.clone(), meta);
            }
        }
        Ok(states)
    }
}

pub(super) fn entry(meta: Meta) -> Entry {
    Entry {
        key: meta.key,
        size: meta.size,
        sha256: None,
        modified: meta.modified,
        mode: meta.mode,
        etag: meta.etag,
    }
}

pub(super) fn to_core(error: crate::Error) -> Error {
    match error {
        crate::Error::Storage(error) => error,
        other => Error::new(ErrorKind::Other, "list", DATA, other.to_string()),
    }
}
