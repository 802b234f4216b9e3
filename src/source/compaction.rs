//! How Arc's compaction changes files, as far as a backup has to know.
//!
//! A job writes its state to `_compaction_state/`, then its output, then deletes its inputs, then
//! its state. Its files lie within one day folder (`{database}/{measurement}/YYYY/MM/DD`), hourly
//! and daily jobs alike.

use std::collections::{BTreeMap, BTreeSet};

use arc_backup_core::{
    Access, ErrorKind, GetOptions, Key, ListOptions, ListStream, Listed, Meta, Result, Sink,
};
use futures::TryStreamExt;
use serde::Deserialize;

/// The folder of job states.
pub(crate) const JOB_STATES: &str = "_compaction_state";
/// The ending of a state that Arc could not read, and no longer looks at.
const SET_ASIDE: &str = ".quarantined";
/// The longest state that is read: some ten thousand inputs.
pub(crate) const STATE_LIMIT: u64 = 16 << 20;

/// Whether the file `key` lies in the folder of job states.
pub(crate) fn is_job_state(key: &str) -> bool {
    key.strip_prefix(JOB_STATES)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Whether the file `key` has the name of a job's output.
pub(crate) fn is_output(key: &str) -> bool {
    key.ends_with("_compacted.parquet") || key.ends_with("_daily.parquet")
}

/// The unit of a file: what compaction changes together, and a backup settles together. It is the
/// day folder of the file, where it has one; else its folder, else the file alone. (Where there is
/// no date, no job works below the folder of its files.)
pub(crate) fn unit_of(key: &str) -> &str {
    let digits =
        |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    // The ends of the segments that are folders, and whether the last three are a date.
    let mut ends = key.match_indices('/').map(|(at, _)| at);
    let (mut start, mut count) = (0, 0);
    let mut date = [false; 3];
    for end in &mut ends {
        let segment = &key[start..end];
        date = [
            digits(segment, 4),
            date[0] && digits(segment, 2),
            date[1] && digits(segment, 2),
        ];
        count += 1;
        if date[2] && count >= 5 {
            return &key[..end];
        }
        start = end + 1;
    }
    key.rsplit_once('/').map_or(key, |(folder, _)| folder)
}

/// The state of a job, as Arc writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Job {
    #[serde(rename = "output_path")]
    pub(super) output: String,
    #[serde(default)]
    pub(super) output_size: Option<u64>,
    #[serde(rename = "input_files", default)]
    pub(super) inputs: Option<Vec<String>>,
}

impl Job {
    /// The files that the job compacts.
    pub(super) fn inputs(&self) -> &[String] {
        self.inputs.as_deref().unwrap_or_default()
    }

    /// The units that the job works in.
    pub(super) fn units(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.output)
            .chain(self.inputs())
            .map(|key| unit_of(key))
    }
}

/// The files of a job, by their keys under the storage root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobFiles {
    pub(crate) output: String,
    /// The size of the whole output; `None` where Arc had not written one.
    pub(crate) output_size: Option<u64>,
    pub(crate) inputs: Vec<String>,
}

impl JobFiles {
    /// Those of a state, or why that is not one.
    pub(crate) fn parse(state: &[u8]) -> std::result::Result<Self, String> {
        let job: Job = serde_json::from_slice(state).map_err(|error| error.to_string())?;
        Ok(Self {
            output_size: job.output_size,
            inputs: job.inputs.unwrap_or_default(),
            output: job.output,
        })
    }
}

/// The jobs, by the keys of their states; or why a file in that folder can't be read as a state.
#[derive(Debug, Clone, Default)]
pub(super) struct Jobs(pub(super) BTreeMap<Key, (Meta, Result<Job, String>)>);

impl Jobs {
    /// How their states are listed.
    pub(super) fn listing() -> ListOptions {
        ListOptions {
            prefix: format!("{JOB_STATES}/"),
            ..ListOptions::default()
        }
    }

    /// Reads the states that are listed; those that are unchanged since `known` are not read again.
    pub(super) async fn read(
        storage: &dyn Sink,
        mut listing: ListStream,
        known: &Self,
    ) -> Result<Self> {
        let mut jobs = BTreeMap::new();
        while let Some(item) = listing.try_next().await? {
            let Listed::Object(meta) = item else {
                continue;
            };
            if let Some(state) = known.0.get(&meta.key)
                && state.0 == meta
                && meta.etag.is_some()
            {
                jobs.insert(meta.key.clone(), state.clone());
                continue;
            }
            if let Some(job) = read_state(storage, &meta).await? {
                jobs.insert(meta.key.clone(), (meta, job));
            }
        }
        Ok(Self(jobs))
    }

    /// The jobs of both, each once.
    pub(super) fn and<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Job> {
        let more = (other.0.iter()).filter(|(key, _)| !self.0.contains_key(*key));
        (self.0.iter().chain(more)).filter_map(|(_, (_, job))| job.as_ref().ok())
    }

    /// The jobs of both, by the units that they work in.
    pub(super) fn by_unit<'a>(&'a self, other: &'a Self) -> BTreeMap<&'a str, Vec<&'a Job>> {
        let mut by_unit: BTreeMap<&str, Vec<&Job>> = BTreeMap::new();
        for job in self.and(other) {
            for unit in job.units().collect::<BTreeSet<_>>() {
                by_unit.entry(unit).or_default().push(job);
            }
        }
        by_unit
    }

    /// The states of the jobs that work in a unit.
    pub(super) fn states_of<'a>(&'a self, unit: &'a str) -> impl Iterator<Item = &'a Key> {
        let works_there = move |job: &Job| job.units().any(|of| of == unit);
        (self.0.iter())
            .filter(move |(_, (_, job))| job.as_ref().is_ok_and(works_there))
            .map(|(key, _)| key)
    }

    /// The files that are named like states and can't be read as such, with the reason.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = (&Key, &str)> {
        (self.0.iter())
            .filter(|(key, _)| key.ends_with(".json"))
            .filter_map(|(key, (_, job))| Some((key, job.as_ref().err()?.as_str())))
    }
}

/// Whether a file in the folder of job states can be read as one; `None` when it is gone.
pub(crate) async fn is_readable_state(storage: &dyn Sink, meta: &Meta) -> Result<Option<bool>> {
    Ok(read_state(storage, meta).await?.map(|job| job.is_ok()))
}

/// The job of a state; `None` when the state is gone, the reason when the file is not a state.
async fn read_state(storage: &dyn Sink, meta: &Meta) -> Result<Option<Result<Job, String>>> {
    if meta.key.ends_with(SET_ASIDE) {
        return Ok(Some(Err("Arc has set it aside".to_owned())));
    }
    let text = async {
        let object = storage.get(&meta.key, GetOptions::default()).await?;
        object.body.collect(STATE_LIMIT, &meta.key).await
    };
    match text.await {
        Ok(text) => Ok(Some(
            serde_json::from_slice(&text).map_err(|error| error.to_string()),
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        // A file that can't be read as a state is backed up like others; copying it shows what is
        // wrong.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::Invalid | ErrorKind::PermissionDenied
            ) || error.kind() == ErrorKind::Other
                && storage.properties().access == Access::Direct =>
        {
            Ok(Some(Err(error.detail().to_owned())))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: rows lost to a unit that is smaller than the files of one job.
    #[test]
    fn a_unit_holds_all_that_a_job_changes() {
        for (key, unit) in [
            ("iot/cpu/2026/11/20/00/a.parquet", "iot/cpu/2026/11/20"),
            (
                "iot/cpu/2026/11/20/a_b1_daily.parquet",
                "iot/cpu/2026/11/20",
            ),
            (
                "rocket-01/telemetry/cpu/2026/11/20/00/a.parquet",
                "rocket-01/telemetry/cpu/2026/11/20",
            ),
            ("iot/cpu/metadata/v1.metadata.json", "iot/cpu/metadata"),
            ("iot/cpu/a.parquet", "iot/cpu"),
            ("2026/11/20/00/a.parquet", "2026/11/20/00"),
            ("_schema/iot.parquet", "_schema"),
            ("file", "file"),
        ] {
            assert_eq!(unit_of(key), unit, "{key}");
        }
    }
}
