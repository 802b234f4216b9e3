//! A consistent listing of the data while Arc writes.
//!
//! One walk is not consistent: a compaction during it hides rows or doubles them. So the data is
//! listed twice, with the states of compaction jobs read before each. A unit (see [`unit_of`]) is
//! settled when no file of the first listing is gone or changed in the second, no compaction output
//! is new in it, and no pending job names it. Units that are not settled are listed again, alone,
//! until they are; a job that does not end is decided by its own state.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_backup_core::{
    Activity, Entry, EntryStream, Error, ErrorKind, Key, KnownFiles, KnownReader, ListOptions,
    ListStream, Listed, Meta, OtherKind, Result, Scope, Section, Sink, SnapshotFolder, Tier,
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::compaction::{Jobs, is_job_state, is_output, unit_of};
use super::contents::{Exclusions, LONGEST_KEY};
use super::decide::{Files, is_harmless};
use super::rewrite::Versions;
use crate::manifest::{Inventory, Record, Spool};
use crate::sorted::{Joined, merge_join};

/// How many files are added to a snapshot at once.
const BATCH: usize = 512;
/// How many places may be unreadable: where there are more, the storage itself is at fault.
const MOST_UNREADABLE: usize = 10_000;
/// How many warnings are recorded of one snapshot.
const MOST_WARNINGS: usize = 100;

/// Lists the data until it is settled.
#[derive(Clone)]
pub(super) struct Settler {
    pub(super) storage: Arc<dyn Sink>,
    pub(super) exclusions: Exclusions,
    /// What is wanted of the data.
    pub(super) scope: Scope,
    /// Files that need not be held, as their bytes are in an earlier backup.
    pub(super) known: Option<Arc<dyn KnownFiles>>,
    pub(super) cancel: CancellationToken,
    pub(super) activity: Activity,
    /// The root on local disk as it was at the beginning, by device and inode: a volume that is
    /// unmounted leaves an empty folder, which must not become an empty backup.
    pub(super) root: Option<(PathBuf, (u64, u64))>,
    /// What the operator should know of the snapshot.
    pub(super) warnings: Arc<Mutex<BTreeSet<String>>>,
    /// Folders that can't be listed and files whose size can't be read, by path, with the reason.
    pub(super) unreadable: Arc<Mutex<BTreeMap<String, String>>>,
}

pub(super) fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the fault is of the place, and not of this process or of the moment.
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

/// A listing of the data in which every unit is settled or decided.
pub(super) struct SettledListing {
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
    /// Lists the data, with the list in the file `path`; each file is added to the folder of links
    /// where there is one. `report_other` is called for what is not a file.
    pub(super) async fn list_settled(
        &self,
        snapshot: Option<&dyn SnapshotFolder>,
        path: &std::path::Path,
        report_other: &(dyn Fn(String, OtherKind) + Send + Sync),
    ) -> Result<SettledListing> {
        let before = self.read_jobs(&Jobs::default()).await?;
        let mut unsettled = BTreeSet::new();
        let (listed, states) = self
            .list_all(snapshot, path, report_other, &mut unsettled)
            .await?;
        let after = self.read_jobs(&before).await?;
        self.compare(&listed, &before, &after, &mut unsettled)
            .await?;
        for job in before.and(&after) {
            let files = std::iter::once(&job.output).chain(job.inputs());
            let in_scope = files.filter(|key| self.scope.contains_data(key));
            unsettled.extend(in_scope.map(|key| unit_of(key).to_owned()));
        }
        let mut jobs = after;
        let settled = self.settle(unsettled, snapshot, &mut jobs).await?;
        let seen = jobs.clone();
        let states = self.states(&states, &settled, snapshot, &mut jobs).await?;
        for path in locked(&self.unreadable).keys() {
            if is_job_state(path) {
                self.warn(format!(
                    "`{path}` can't be read, where Arc keeps the states of compaction jobs: the backup may contain \
                     duplicate rows"
                ));
            }
        }
        for (key, reason) in jobs.unreadable() {
            // One that is being written at this moment is of a job that began after the snapshot.
            let is_same =
                seen.0.get(key).map(|(meta, _)| meta) == jobs.0.get(key).map(|(meta, _)| meta);
            if !is_same || !self.scope.contains_data(key) {
                continue;
            }
            self.warn(format!(
                "`{key}` can't be read as the state of a compaction job ({reason}): the backup may contain duplicate rows"
            ));
        }
        Ok(SettledListing {
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

    /// Fails when the root is gone, or is another folder than at the beginning.
    pub(super) fn check_root(&self) -> Result<()> {
        let Some((root, was)) = &self.root else {
            return Ok(());
        };
        if root_of(&*self.storage)?.is_none_or(|(_, now)| now != *was) {
            return Err(Error::new(
                ErrorKind::Other,
                "take a snapshot of",
                root.display().to_string(),
                "the storage root is another folder than when the backup began: was its volume unmounted?",
            ));
        }
        Ok(())
    }

    pub(super) fn check_cancelled(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(
                ErrorKind::Cancelled,
                "list",
                "data",
                "cancelled",
            ));
        }
        Ok(())
    }

    /// Lists all that may be in scope, in byte order.
    fn list_scope(&self) -> ListStream {
        let settler = self.clone();
        (stream::iter(self.scope.data_prefixes()))
            .flat_map(move |prefix| settler.list(prefix))
            .boxed()
    }

    pub(super) fn list(&self, prefix: String) -> ListStream {
        self.readable(self.storage.list(ListOptions {
            prefix,
            skip: self.exclusions.keys.clone(),
            ..ListOptions::default()
        }))
    }

    /// The rows of a listing without the places that can't be read, which are recorded.
    fn readable(&self, listing: ListStream) -> ListStream {
        let (settler, unreadable) = (self.clone(), self.unreadable.clone());
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
                            // Files may be excluded by the name of their folder.
                            let inside = match path.ends_with('/') {
                                true => format!("{path}x"),
                                false => path.to_owned(),
                            };
                            let is_wanted = settler.scope.contains_data(path);
                            if is_wanted && !settler.exclusions.exclude(&inside) {
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
        key.len() <= LONGEST_KEY && self.is_wanted(key)
    }

    /// Whether what is at `path` is data and in scope.
    fn is_wanted(&self, path: &str) -> bool {
        self.scope.contains_data(path) && !self.exclusions.exclude(path)
    }

    async fn list_all(
        &self,
        snapshot: Option<&dyn SnapshotFolder>,
        path: &std::path::Path,
        report_other: &(dyn Fn(String, OtherKind) + Send + Sync),
        unsettled: &mut BTreeSet<String>,
    ) -> Result<(Inventory, Files)> {
        let mut spool = Spool::create(path).map_err(to_core)?;
        let mut states = Files::new();
        let mut batch = Vec::new();
        let known = self.known.as_ref().filter(|_| snapshot.is_some());
        let mut known = known.map(|known| known.reader()).transpose()?;
        let mut listing = self.list_scope();
        loop {
            let item = listing.try_next().await?;
            let ended = item.is_none();
            match item {
                Some(Listed::Object(meta)) if !self.is_wanted(&meta.key) => {}
                Some(Listed::Object(meta)) if meta.key.len() > LONGEST_KEY => {
                    report_other(meta.key.to_string(), OtherKind::Unaddressable);
                }
                Some(Listed::Object(meta)) if is_job_state(&meta.key) => {
                    states.insert(meta.key.clone(), meta);
                }
                Some(Listed::Object(meta)) => batch.push(meta),
                Some(Listed::Other { path, kind }) if self.is_wanted(&path) => {
                    report_other(path, kind);
                }
                Some(Listed::Other { .. }) | None => {}
            }
            if batch.len() < BATCH && !ended {
                continue;
            }
            self.check_cancelled()?;
            let found = match snapshot {
                Some(snapshot) => hold(snapshot, batch.drain(..), known.as_deref_mut()).await?,
                None => batch.drain(..).map(Ok).collect(),
            };
            for meta in found {
                match meta {
                    Ok(meta) => {
                        let record = Record::new(&Section::Data, entry(meta)).map_err(to_core)?;
                        spool.push(&record).map_err(to_core)?;
                    }
                    Err(gone) => _ = unsettled.insert(unit_of(&gone).to_owned()),
                }
            }
            if ended {
                self.check_root()?;
                let listed = spool.finish().map_err(to_core)?.without_checksums();
                return Ok((listed, states));
            }
        }
    }

    /// Lists the data once more, and adds the units that differ to `unsettled`.
    async fn compare(
        &self,
        listed: &Inventory,
        before: &Jobs,
        after: &Jobs,
        unsettled: &mut BTreeSet<String>,
    ) -> Result<()> {
        let outputs: BTreeSet<&str> = (before.and(after)).map(|job| &*job.output).collect();
        let listing = self.list_scope().try_filter_map(|item| {
            std::future::ready(Ok(match item {
                Listed::Object(meta) if self.belongs(&meta.key) && !is_job_state(&meta.key) => {
                    Some(meta)
                }
                Listed::Object(_) | Listed::Other { .. } => None,
            }))
        });
        let mut joined = merge_join(entries_of(listed)?, listing);
        let mut count = 0_u64;
        let mut versions = Versions::default();
        while let Some(joined) = joined.try_next().await? {
            count += 1;
            if count.is_multiple_of(4096) {
                self.check_cancelled()?;
            }
            let has_other = versions.has_other(match &joined {
                Joined::Left(was) | Joined::Both(was, _) => &was.key,
                Joined::Right(now) => &now.key,
            });
            let key = match joined {
                Joined::Left(gone) => gone.key,
                Joined::Both(_, now) | Joined::Right(now) if has_other => now.key,
                Joined::Both(was, now) if (was.size, &was.etag) != (now.size, &now.etag) => now.key,
                Joined::Right(new) if is_output(&new.key) || outputs.contains(new.key.as_str()) => {
                    new.key
                }
                Joined::Both(..) | Joined::Right(_) => continue,
            };
            let unit = unit_of(&key);
            if !unsettled.contains(unit) {
                unsettled.insert(unit.to_owned());
            }
        }
        drop(joined);
        self.check_root()
    }

    /// The files in the folder of job states that belong in the backup: states of decided jobs,
    /// where Arc, when it starts with the restored files and ends such a job, changes nothing; and
    /// files that are not states.
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
                        "`{key}` changed while the snapshot was taken, and is not in the backup"
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

/// Adds to the snapshot those of the files that are not known, and returns what each is; the key
/// where no file is there any more.
async fn hold(
    snapshot: &dyn SnapshotFolder,
    metas: impl Iterator<Item = Meta>,
    mut known: Option<&mut (dyn KnownReader + 'static)>,
) -> Result<Vec<Result<Meta, Key>>> {
    let mut found = Vec::new();
    let (mut keys, mut places) = (Vec::new(), Vec::new());
    for meta in metas {
        let entry = entry(meta.clone());
        let is_known = match &mut known {
            Some(known) => known.is_known(&entry)?,
            None => false,
        };
        if !is_known {
            keys.push(meta.key.clone());
            places.push(found.len());
        }
        found.push(Ok(meta));
    }
    if !keys.is_empty() {
        let added = snapshot.add(&keys).await?;
        for ((place, key), meta) in places.into_iter().zip(keys).zip(added) {
            found[place] = meta.ok_or(key);
        }
    }
    Ok(found)
}

pub(super) fn entry(meta: Meta) -> Entry {
    Entry {
        key: meta.key,
        size: meta.size,
        sha256: None,
        modified: meta.modified,
        mode: meta.mode,
        etag: meta.etag,
        tier: Tier::Hot,
        file_id: meta.file_id,
        rows: None,
        damage: None,
    }
}

/// The entries of a list.
pub(super) fn entries_of(list: &Inventory) -> Result<EntryStream<'static>> {
    let entries = (list.records().map_err(to_core)?)
        .map(|record| record.map(|record| record.entry).map_err(to_core));
    Ok(stream::iter(entries).boxed())
}

pub(super) fn to_core(error: crate::Error) -> Error {
    match error {
        crate::Error::Storage(error) => error,
        other => Error::new(ErrorKind::Other, "list", "data", other.to_string()),
    }
}
