//! What Arc's compaction does to its files, as far as a backup has to know.
//!
//! A job writes its state to `_compaction_state/`, then its output, then deletes its inputs, then its state. Its files lie
//! within one day folder (`{database}/{measurement}/YYYY/MM/DD`), hourly and daily jobs alike.

use std::collections::{BTreeMap, BTreeSet};

use arc_backup_core::{ErrorKind, GetOptions, Key, ListOptions, Listed, Meta, Result, Sink};
use futures::TryStreamExt;
use serde::Deserialize;

/// The folder of the states.
pub(super) const STATES: &str = "_compaction_state";
/// The longest state that is read: some ten thousand inputs.
const STATE_LIMIT: u64 = 16 << 20;

/// Whether the file `key` is one of those that tell of jobs.
pub(super) fn is_state(key: &str) -> bool {
    key.strip_prefix(STATES)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Whether the file `key` has the name of a job's output.
pub(super) fn is_output(key: &str) -> bool {
    key.ends_with("_compacted.parquet") || key.ends_with("_daily.parquet")
}

/// What compaction changes as one, and so is looked at as one: the day folder of a file, where it has one; else the folder
/// that it is in, else the file alone. (Where there is no date, no job works below the folder of its files.)
pub(super) fn unit_of(key: &str) -> &str {
    let digits =
        |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    // The ends of the segments that are folders, with what the last three of them are.
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
    inputs: Option<Vec<String>>,
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

/// The jobs that the states tell of, by the key of the state; or why a file in their folder tells of none.
#[derive(Debug, Clone, Default)]
pub(super) struct Jobs(pub(super) BTreeMap<Key, (Meta, Result<Job, String>)>);

impl Jobs {
    /// Reads the states that are there now; those that are unchanged in `known` are not read again.
    pub(super) async fn read(storage: &dyn Sink, known: &Self) -> Result<Self> {
        let options = ListOptions {
            prefix: format!("{STATES}/"),
            ..ListOptions::default()
        };
        let mut listing = storage.list(options);
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

    /// The states, as Arc names them, that can't be read as such, with the reason.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = (&Key, &str)> {
        (self.0.iter())
            .filter(|(key, _)| key.ends_with(".json"))
            .filter_map(|(key, (_, job))| Some((key, job.as_ref().err()?.as_str())))
    }
}

/// The job that the state tells of: none where it is gone, the reason where it is no state of a job.
async fn read_state(storage: &dyn Sink, meta: &Meta) -> Result<Option<Result<Job, String>>> {
    let text = async {
        let object = storage.get(&meta.key, GetOptions::default()).await?;
        object.body.collect(STATE_LIMIT, &meta.key).await
    };
    match text.await {
        Ok(text) => Ok(Some(
            serde_json::from_slice(&text).map_err(|error| error.to_string()),
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        // What can't be read as a state is a file like others; reading it as one of those tells what is wrong.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::Invalid | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(Some(Err(error.detail().to_owned())))
        }
        Err(error) => Err(error),
    }
}

/// Decides the jobs that work in a unit, by a listing of it, and tells which files are not to be in the backup, as others in
/// it hold their rows: where all inputs of a job are there they are kept and its output is dropped; else the output is kept
/// and the inputs are dropped, as Arc itself does when it starts. `None` where neither is whole, unless nothing
/// moves (`at_rest`): then there is nothing that could hold a row twice. An output of another size than the job says is not
/// whole; at rest it stays, and what is left of the inputs too: no row may be lost.
pub(super) fn decide(
    jobs: &[&Job],
    listed: &BTreeMap<Key, Meta>,
    at_rest: bool,
) -> Option<Vec<Key>> {
    let mut jobs = jobs.to_vec();
    // A job before the ones whose inputs its output is.
    let mut order: Vec<&Job> = Vec::new();
    while !jobs.is_empty() {
        let ready = (jobs.iter()).position(|job| {
            !jobs
                .iter()
                .any(|other| job.inputs().contains(&other.output))
        })?;
        order.push(jobs.remove(ready));
    }
    let mut dropped = Vec::new();
    // From the top: what a job that is done has taken in is dropped, with all that went into it.
    let mut taken_in: Vec<&str> = Vec::new();
    for job in order.iter().rev() {
        let output = listed.get(job.output.as_str());
        let is_whole =
            output.is_some_and(|output| job.output_size.is_none_or(|size| size == output.size));
        let all_there = !job.inputs().is_empty()
            && (job.inputs().iter()).all(|input| listed.contains_key(input.as_str()));
        if taken_in.contains(&job.output.as_str()) {
            dropped.extend(job.inputs().iter());
            taken_in.extend(job.inputs().iter().map(String::as_str));
        } else if job.inputs().is_empty() && output.is_some() {
            // What it has taken in can't be told: its rows may be there twice.
            return None;
        } else if all_there {
            dropped.push(&job.output);
        } else if is_whole {
            dropped.extend(job.inputs().iter());
            taken_in.extend(job.inputs().iter().map(String::as_str));
        } else if !at_rest {
            return None;
        }
    }
    let dropped = dropped
        .into_iter()
        .filter_map(|key| listed.get_key_value(key.as_str()))
        .map(|(key, _)| key.clone())
        .collect();
    Some(dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lost otherwise: rows, to a unit that is smaller than what one job changes.
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

    fn job(output: &str, inputs: &[&str]) -> Job {
        Job {
            output: output.to_owned(),
            output_size: Some(1),
            inputs: Some(inputs.iter().map(|input| (*input).to_owned()).collect()),
        }
    }

    fn kept(jobs: &[Job], listed: &[&str], at_rest: bool) -> Option<Vec<String>> {
        let mut files = BTreeMap::new();
        for name in listed {
            let key = Key::parse(name).expect("a key");
            let meta = Meta {
                key: key.clone(),
                size: 1,
                modified: None,
                mode: None,
                etag: None,
            };
            files.insert(key, meta);
        }
        for dropped in decide(&jobs.iter().collect::<Vec<_>>(), &files, at_rest)? {
            files.remove(&dropped);
        }
        Some(files.into_keys().map(|key| key.to_string()).collect())
    }

    /// Lost otherwise: rows, or twice the rows, of a job that had not ended.
    #[test]
    fn a_pending_job_is_decided_as_arc_does_when_it_starts() {
        let hour = [job("o", &["a", "b"])];
        let decided = |listed: &[&str], at_rest| kept(&hour, listed, at_rest).map(|k| k.join(" "));
        assert_eq!(decided(&["a", "b", "x"], false).as_deref(), Some("a b x"));
        assert_eq!(decided(&["a", "b", "o"], false).as_deref(), Some("a b"));
        assert_eq!(decided(&["b", "o", "x"], false).as_deref(), Some("o x"));
        assert_eq!(decided(&["o"], false).as_deref(), Some("o"));
        // Neither is whole: it may be that the output was not there yet when its place was looked at.
        assert_eq!(decided(&["b"], false), None);
        // Nothing moves, and there is no output: what is there is what there is.
        assert_eq!(decided(&["b"], true).as_deref(), Some("b"));
        // An output that is not whole stands for nothing.
        let mut half = job("o", &["a", "b"]);
        half.output_size = Some(2);
        let half = [half];
        let decided = |listed: &[&str], at_rest| kept(&half, listed, at_rest).map(|k| k.join(" "));
        assert_eq!(decided(&["a", "b", "o"], true).as_deref(), Some("a b"));
        assert_eq!(decided(&["b", "o"], false), None);
        assert_eq!(decided(&["b", "o"], true).as_deref(), Some("b o"));
    }

    /// Lost otherwise: rows of a job whose output is another's input.
    #[test]
    fn jobs_upon_jobs_are_decided_from_the_top() {
        let jobs = [job("o", &["a", "b"]), job("day", &["o", "c"])];
        let decided = |listed: &[&str]| kept(&jobs, listed, false).map(|k| k.join(" "));
        assert_eq!(decided(&["a", "b", "c", "o"]).as_deref(), Some("a b c"));
        assert_eq!(decided(&["b", "c", "o"]).as_deref(), Some("c o"));
        assert_eq!(
            decided(&["a", "b", "c", "day", "o"]).as_deref(),
            Some("a b c")
        );
        assert_eq!(decided(&["a", "b", "day", "o"]).as_deref(), Some("day"));
        assert_eq!(decided(&["day"]).as_deref(), Some("day"));
        let around = [job("o", &["p"]), job("p", &["o"])];
        assert_eq!(kept(&around, &["o", "p"], false), None, "jobs in a circle");
        let blind = [job("o", &[])];
        assert_eq!(
            kept(&blind, &["a", "o"], true),
            None,
            "inputs that nobody tells"
        );
    }
}
