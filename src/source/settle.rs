//! A view of the data while Arc writes.
//!
//! One walk is no view: a compaction during it hides rows or doubles them. So the data is listed twice, with the states of
//! compaction jobs read before each. A unit (see [`unit_of`]) is settled when no file of the first listing is gone or changed in
//! the second, no compaction output is new in it, and no pending job names it. What is not settled is listed again, alone,
//! until it is; where a job does not end, it is decided by its own state.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_backup_core::{
    Entry, Error, ErrorKind, Key, ListOptions, ListStream, Listed, Meta, OtherKind, Pins, Result,
    Sink,
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::compaction::{Job, Jobs, decide, is_output, is_state, unit_of};
use super::parquet::LONGEST_KEY;
use super::{DATA, Exclusions};
use crate::manifest::{Inventory, Record, Spool};

/// How many files are pinned at once.
const BATCH: usize = 512;
/// How often a unit is listed until it is settled.
const TRIES: u32 = 24;
/// How many of these times a pending job is waited for; then it is decided.
const PATIENT_TRIES: u32 = 3;
/// The longest wait between two of them.
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// How many units are listed at once.
const UNITS_AT_ONCE: usize = 16;
/// How many units are settled at once: their files are in memory, twice.
const UNITS_TOGETHER: usize = 256;
/// How many warnings are told of one view.
const MOST_WARNINGS: usize = 100;

/// The files of one unit.
pub(super) type Files = BTreeMap<Key, Meta>;

/// What looks at the data until it is settled.
#[derive(Clone)]
pub(super) struct Settler {
    pub(super) storage: Arc<dyn Sink>,
    pub(super) exclusions: Exclusions,
    pub(super) cancel: CancellationToken,
    /// The root on local disk as it was when the view began, by device and inode: a volume that goes away leaves an empty
    /// folder, and must not become a view of nothing.
    pub(super) root: Option<(PathBuf, (u64, u64))>,
    /// What the operator should know of the view.
    pub(super) warnings: Arc<Mutex<BTreeSet<String>>>,
}

/// The device and inode of a storage's root, where it is on local disk.
pub(super) fn root_of(storage: &dyn Sink) -> Result<Option<(PathBuf, (u64, u64))>> {
    let Some(root) = storage.capabilities().local_root else {
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
    /// Takes a view, with its list in the file `path`, pinning each file where there are pins. `other` is told of what is no file.
    pub(super) async fn view(
        &self,
        pins: Option<&dyn Pins>,
        path: &std::path::Path,
        other: &(dyn Fn(String, OtherKind) + Send + Sync),
    ) -> Result<View> {
        let before = Jobs::read(&*self.storage, &Jobs::default()).await?;
        let mut unsettled = BTreeSet::new();
        let (listed, states) = self.list_all(pins, path, other, &mut unsettled).await?;
        let after = Jobs::read(&*self.storage, &before).await?;
        self.compare(&listed, &before, &after, &mut unsettled)
            .await?;
        for job in before.and(&after) {
            unsettled.extend(job.units().map(str::to_owned));
        }
        let mut jobs = after;
        let settled = self.settle(unsettled, pins, &mut jobs).await?;
        let seen = jobs.clone();
        let states = self.states(&states, &settled, pins, &mut jobs).await?;
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

    fn warn(&self, text: String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.len() < MOST_WARNINGS {
            warnings.insert(text);
        }
    }

    /// Fails when the root is gone, or another one, since the view began.
    fn check_root(&self) -> Result<()> {
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

    fn check_cancelled(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "list", DATA, "cancelled"));
        }
        Ok(())
    }

    fn list(&self, prefix: String) -> ListStream {
        self.storage.list(ListOptions {
            prefix,
            skip: self.exclusions.keys.clone(),
            ..ListOptions::default()
        })
    }

    fn belongs(&self, key: &str) -> bool {
        key.len() <= LONGEST_KEY && !self.exclusions.exclude(key)
    }

    async fn list_all(
        &self,
        pins: Option<&dyn Pins>,
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
            let found = match pins {
                Some(pins) if !keys.is_empty() => pins.pin(&keys).await?,
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

    /// Lists the units again until each is settled, or decided.
    pub(super) async fn settle(
        &self,
        mut units: BTreeSet<String>,
        pins: Option<&dyn Pins>,
        jobs: &mut Jobs,
    ) -> Result<BTreeMap<String, Files>> {
        let mut settled = BTreeMap::new();
        while !units.is_empty() {
            let rest = (units.iter().nth(UNITS_TOGETHER).cloned())
                .map_or_else(BTreeSet::new, |first| units.split_off(&first));
            settled.extend(self.settle_together(units, pins, jobs).await?);
            units = rest;
        }
        Ok(settled)
    }

    async fn settle_together(
        &self,
        mut units: BTreeSet<String>,
        pins: Option<&dyn Pins>,
        jobs: &mut Jobs,
    ) -> Result<BTreeMap<String, Files>> {
        let mut settled = BTreeMap::new();
        let mut wait = Duration::from_millis(25);
        for round in 0..TRIES {
            if units.is_empty() {
                return Ok(settled);
            }
            if round > 0 {
                tokio::select! {
                    () = self.cancel.cancelled() => {}
                    () = tokio::time::sleep(wait) => {}
                }
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            self.check_cancelled()?;
            let before = Jobs::read(&*self.storage, jobs).await?;
            let first = self.list_units(&units, pins).await?;
            let after = Jobs::read(&*self.storage, &before).await?;
            let second = self.list_units(&units, None).await?;
            self.check_root()?;
            let by_unit = before.by_unit(&after);
            for (unit, files) in first {
                let named = by_unit.get(&*unit).map_or(&[][..], Vec::as_slice);
                let patient = round < PATIENT_TRIES;
                if let Some(files) = at_rest(files, &second[&unit], named, patient) {
                    for job in named {
                        self.warn_of_size(job, &files);
                    }
                    units.remove(&unit);
                    settled.insert(unit, files);
                }
            }
            *jobs = after;
        }
        let Some(unit) = units.first() else {
            return Ok(settled);
        };
        let mut text = format!(
            "its files were changed each of the {TRIES} times that they were listed, or a compaction job in it can't be decided \
             ({} such folders): try again when less is compacted, or when Arc has ended the job",
            units.len()
        );
        let states: Vec<&str> = jobs.states_of(unit).map(Key::as_str).take(3).collect();
        if !states.is_empty() {
            text.push_str(
                "; a job that Arc no longer works at is left by its state, to be looked at: ",
            );
            text.push_str(&states.join(", "));
        }
        let subject = format!("{DATA}/{unit}");
        Err(Error::new(
            ErrorKind::Changed,
            "take a view of",
            subject,
            text,
        ))
    }

    /// Arc drops such an output when it starts, wherever its inputs are.
    fn warn_of_size(&self, job: &Job, files: &Files) {
        if let (Some(output), Some(size)) = (files.get(job.output.as_str()), job.output_size)
            && output.size != size
        {
            self.warn(format!(
                "`{}` is the output of a compaction job that did not end, and has {} bytes where the job's state says {size}: it may \
                 be damaged; it is in the backup, and so is what is left of its inputs, as they are not all there: rows may be there twice",
                job.output, output.size
            ));
        }
    }

    async fn list_units(
        &self,
        units: &BTreeSet<String>,
        pins: Option<&dyn Pins>,
    ) -> Result<BTreeMap<String, Files>> {
        stream::iter(units.iter().cloned())
            .map(|unit| async move {
                let files = self.list_unit(&unit, pins).await?;
                Ok((unit, files))
            })
            .buffer_unordered(UNITS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn list_unit(&self, unit: &str, pins: Option<&dyn Pins>) -> Result<Files> {
        let mut files = Files::new();
        let mut listing = self.list(format!("{unit}/"));
        while let Some(item) = listing.try_next().await? {
            if let Listed::Object(meta) = item
                && self.belongs(&meta.key)
                && unit_of(&meta.key) == unit
            {
                files.insert(meta.key.clone(), meta);
            }
        }
        // The unit may be a file.
        if let Ok(key) = Key::parse(unit)
            && unit_of(&key) == unit
            && self.belongs(&key)
        {
            match self.storage.head(&key).await {
                Ok(Some(meta)) => _ = files.insert(key, meta),
                Ok(None) => {}
                // Something else is there.
                Err(error) if error.kind() == ErrorKind::Invalid => {}
                Err(error) => return Err(error),
            }
        }
        let Some(pins) = pins else {
            return Ok(files);
        };
        let keys: Vec<Key> = files.into_keys().collect();
        let pinned = pins.pin(&keys).await?;
        Ok(keys
            .into_iter()
            .zip(pinned)
            .filter_map(|(key, meta)| Some((key, meta?)))
            .collect())
    }

    /// The files in the folder of states that may go with a view: those of jobs that were decided, where Arc's own way to end
    /// such a job, when it starts with the restored files, changes nothing; and what is no state of a job.
    async fn states(
        &self,
        first: &Files,
        settled: &BTreeMap<String, Files>,
        pins: Option<&dyn Pins>,
        jobs: &mut Jobs,
    ) -> Result<Files> {
        *jobs = Jobs::read(&*self.storage, jobs).await?;
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
            let pinned = match pins {
                Some(pins) => pins.pin(std::slice::from_ref(key)).await?.pop().flatten(),
                None => Some(meta.clone()),
            };
            if let Some(meta) = pinned.filter(|pinned| pinned.etag == meta.etag) {
                states.insert(key.clone(), meta);
            }
        }
        Ok(states)
    }
}

/// Whether Arc, starting with these files and the job's state, leaves all of them: an output that is missing is forgotten,
/// one of the right size is kept and its inputs, which are not here, are removed.
pub(super) fn is_harmless(job: &Job, settled: &BTreeMap<String, Files>) -> bool {
    let Some(files) = settled.get(unit_of(&job.output)) else {
        return false;
    };
    match files.get(job.output.as_str()) {
        None => true,
        Some(output) => {
            Some(output.size) == job.output_size
                && !(job.inputs().iter()).any(|input| {
                    (settled.get(unit_of(input)))
                        .is_none_or(|files| files.contains_key(input.as_str()))
                })
        }
    }
}

/// The files of a unit that are to be in the backup, by two listings and the jobs that name it; `None` while it is not at rest.
fn at_rest(mut first: Files, second: &Files, jobs: &[&Job], patient: bool) -> Option<Files> {
    let mut gone = Vec::new();
    for (key, meta) in &first {
        match second.get(key) {
            None => gone.push(key.as_str()),
            Some(now) if (now.size, &now.etag) != (meta.size, &meta.etag) => return None,
            Some(_) => {}
        }
    }
    let of_job = |key: &str| jobs.iter().any(|job| job.output == key);
    let new: Vec<&str> = (second.keys())
        .map(Key::as_str)
        .filter(|key| !first.contains_key(*key) && (is_output(key) || of_job(key)))
        .collect();
    let still = gone.is_empty() && new.is_empty();
    if jobs.is_empty() {
        return still.then_some(first);
    }
    let taken_in = |key: &&str| jobs.iter().any(|job| job.inputs().iter().any(|i| i == key));
    // A job whose inputs went has an output, unless another job has taken that in, unseen.
    let ended_unseen = jobs.iter().any(|job| {
        job.inputs()
            .iter()
            .any(|input| gone.contains(&input.as_str()))
            && !second.contains_key(job.output.as_str())
            && !jobs
                .iter()
                .any(|other| other.inputs().contains(&job.output))
    });
    if patient || ended_unseen || !gone.iter().all(taken_in) || !new.iter().all(|key| of_job(key)) {
        return None;
    }
    for key in decide(jobs, &first, still)? {
        first.remove(&key);
    }
    Some(first)
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
