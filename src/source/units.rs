//! Listing units again until each is settled, or a job in it is decided.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arc_backup_core::{Error, ErrorKind, Key, Listed, Result, Section, SnapshotFolder};
use futures::{StreamExt, TryStreamExt, stream};

use super::compaction::{Job, Jobs, unit_of};
use super::decide::{Files, at_rest, has_any_input};
use super::rewrite::newer_versions;
use super::settle::Settler;

/// How often a unit is listed until it is settled.
const MAX_ATTEMPTS: u32 = 24;
/// In how many of these attempts a pending job is waited for; then it is decided.
const WAITING_ATTEMPTS: u32 = 3;
/// The longest time between two attempts.
const MAX_BACKOFF: Duration = Duration::from_millis(500);
/// How many units are listed at once.
const UNITS_AT_ONCE: usize = 16;
/// How many units are settled at once: their files are in memory, twice.
const UNITS_TOGETHER: usize = 256;

impl Settler {
    /// Lists the units again until each is settled, or decided.
    pub(super) async fn settle(
        &self,
        mut units: BTreeSet<String>,
        snapshot: Option<&dyn SnapshotFolder>,
        jobs: &mut Jobs,
    ) -> Result<BTreeMap<String, Files>> {
        let mut settled = BTreeMap::new();
        while !units.is_empty() {
            let rest = (units.iter().nth(UNITS_TOGETHER).cloned())
                .map_or_else(BTreeSet::new, |first| units.split_off(&first));
            settled.extend(self.settle_together(units, snapshot, jobs).await?);
            units = rest;
        }
        Ok(settled)
    }

    async fn settle_together(
        &self,
        mut units: BTreeSet<String>,
        snapshot: Option<&dyn SnapshotFolder>,
        jobs: &mut Jobs,
    ) -> Result<BTreeMap<String, Files>> {
        let mut settled = BTreeMap::new();
        let mut backoff = Duration::from_millis(25);
        for round in 0..MAX_ATTEMPTS {
            if units.is_empty() {
                return Ok(settled);
            }
            if round > 0 {
                tokio::select! {
                    () = self.cancel.cancelled() => {}
                    () = tokio::time::sleep(backoff) => {}
                }
                backoff = (backoff * 2).min(MAX_BACKOFF);
            }
            self.check_cancelled()?;
            let before = self.read_jobs(jobs).await?;
            let first = self.list_units(&units, snapshot).await?;
            let after = self.read_jobs(&before).await?;
            let second = self.list_units(&units, None).await?;
            self.check_root()?;
            let by_unit = before.by_unit(&after);
            for (unit, files) in first {
                let named = by_unit.get(&*unit).map_or(&[][..], Vec::as_slice);
                let waits = round < WAITING_ATTEMPTS;
                let newer = newer_versions(&files);
                if waits && !newer.is_empty() {
                    continue;
                }
                if let Some(mut files) = at_rest(files, &second[&unit], named, waits) {
                    self.drop_newer(newer, &mut files);
                    for job in named {
                        self.warn_of_size(job, named, &files);
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
            "its files changed during each of {MAX_ATTEMPTS} listings, or a compaction job in it can't be decided ({} such \
             folders): try again when less is compacted, or when Arc has ended the job",
            units.len()
        );
        let states: Vec<&str> = jobs.states_of(unit).map(Key::as_str).take(3).collect();
        if !states.is_empty() {
            text.push_str(
                "; the state of a job that Arc no longer runs stays there, to be checked by hand: ",
            );
            text.push_str(&states.join(", "));
        }
        let subject = format!("{}/{unit}", Section::Data);
        Err(Error::new(
            ErrorKind::Changed,
            "take a snapshot of",
            subject,
            text,
        ))
    }

    /// Drops the newer version of each file whose older one is in the unit.
    fn drop_newer(&self, newer: Vec<Key>, files: &mut Files) {
        // A compaction job may have taken in the older one: then there are no longer two.
        let still = newer_versions(files);
        for key in newer.into_iter().filter(|key| still.contains(key)) {
            files.remove(&key);
            self.warn(format!(
                "`{key}` is not in the backup: the file that it replaces is still there, as a deletion of rows is under way or \
                 was interrupted; the backup has that file, and so the deleted rows"
            ));
        }
    }

    /// Warns of an output that Arc drops when it starts, wherever its inputs are.
    fn warn_of_size(&self, job: &Job, jobs: &[&Job], files: &Files) {
        if let (Some(output), Some(size)) = (files.get(job.output.as_str()), job.output_size)
            && output.size != size
        {
            let inputs = match has_any_input(job, jobs, files) {
                true => {
                    ", with the rest of its inputs, which are not all there: rows may be duplicated"
                }
                false => ", as its inputs are no longer there",
            };
            self.warn(format!(
                "`{}` is the output of a compaction job that did not end; it has {} bytes, and the job's state says {size}: it \
                 may be damaged; it is in the backup{inputs}",
                job.output, output.size
            ));
        }
    }

    async fn list_units(
        &self,
        units: &BTreeSet<String>,
        snapshot: Option<&dyn SnapshotFolder>,
    ) -> Result<BTreeMap<String, Files>> {
        stream::iter(units.iter().cloned())
            .map(|unit| async move {
                let files = self.list_unit(&unit, snapshot).await?;
                Ok((unit, files))
            })
            .buffer_unordered(UNITS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn list_unit(&self, unit: &str, snapshot: Option<&dyn SnapshotFolder>) -> Result<Files> {
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
        let Some(snapshot) = snapshot else {
            return Ok(files);
        };
        let keys: Vec<Key> = files.into_keys().collect();
        let added = snapshot.add(&keys).await?;
        Ok(keys
            .into_iter()
            .zip(added)
            .filter_map(|(key, meta)| Some((key, meta?)))
            .collect())
    }
}
