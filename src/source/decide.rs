//! Decides which files of a unit are in a backup while Arc's compaction jobs are under way in it.

use std::collections::{BTreeMap, BTreeSet};

use arc_backup_core::{Key, Meta};

use super::compaction::{Job, is_output, unit_of};

/// The files of one unit.
pub(super) type Files = BTreeMap<Key, Meta>;

/// Whether Arc, started with these files and the job's state, keeps all of them: it forgets an
/// output that is missing; it keeps one of the right size and removes its inputs, which are not
/// here.
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

/// The files of a unit that belong in the backup, by two listings and the jobs that name it; `None`
/// while it is not settled. `waits`: pending jobs may still end.
pub(super) fn at_rest(
    mut first: Files,
    second: &Files,
    jobs: &[&Job],
    waits: bool,
) -> Option<Files> {
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
    // A job whose inputs are gone has an output, unless another job has compacted that, unseen.
    let ended_unseen = jobs.iter().any(|job| {
        job.inputs()
            .iter()
            .any(|input| gone.contains(&input.as_str()))
            && !second.contains_key(job.output.as_str())
            && !jobs
                .iter()
                .any(|other| other.inputs().contains(&job.output))
    });
    if waits || ended_unseen || !gone.iter().all(taken_in) || !new.iter().all(|key| of_job(key)) {
        return None;
    }
    for key in decide(jobs, &first, still)? {
        first.remove(&key);
    }
    Some(first)
}

/// Decides the jobs that work in a unit, by a listing of it. Returns the files to leave out of the
/// backup, as others in it have their rows.
///
/// Where all inputs of a job are there, they are kept and its output is dropped; else the output is
/// kept and the inputs are dropped, as Arc itself does when it starts. `None` where neither is
/// whole, unless nothing changes (`at_rest`): then no row can be there twice. An output of another
/// size than the job says is not whole; at rest it stays, and the remaining inputs too: no row may
/// be lost.
fn decide(jobs: &[&Job], listed: &Files, at_rest: bool) -> Option<Vec<Key>> {
    let merged = by_output(jobs, listed);
    let jobs: Vec<&Job> = merged.iter().collect();
    let mut left = jobs.clone();
    // A job before the ones whose inputs its output is.
    let mut order: Vec<&Job> = Vec::new();
    while !left.is_empty() {
        let ready = (left.iter()).position(|job| {
            !left
                .iter()
                .any(|other| job.inputs().contains(&other.output))
        })?;
        order.push(left.remove(ready));
    }
    let mut dropped = Vec::new();
    // From the top: the inputs of a job that is done are dropped, with everything they were made
    // of.
    let mut taken_in: Vec<&str> = Vec::new();
    for job in order.iter().rev() {
        let all_there = has_inputs(job, &jobs, listed);
        if taken_in.contains(&job.output.as_str()) {
            dropped.extend(job.inputs().iter());
            taken_in.extend(job.inputs().iter().map(String::as_str));
        } else if job.inputs().is_empty() && listed.contains_key(job.output.as_str()) {
            // Its inputs are not known: its rows may be there twice.
            return None;
        } else if all_there {
            dropped.push(&job.output);
        } else if is_whole(job, listed) {
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

/// The jobs, each output once: where several states name an output, it may have all their inputs.
fn by_output(jobs: &[&Job], listed: &Files) -> Vec<Job> {
    let mut merged: BTreeMap<&str, Job> = BTreeMap::new();
    for job in jobs {
        let Some(other) = merged.get_mut(job.output.as_str()) else {
            merged.insert(&job.output, (*job).clone());
            continue;
        };
        // A state without inputs leaves open which they are.
        let inputs = match job.inputs().is_empty() || other.inputs().is_empty() {
            true => Vec::new(),
            false => {
                let all: BTreeSet<&String> = job.inputs().iter().chain(other.inputs()).collect();
                all.into_iter().cloned().collect()
            }
        };
        other.inputs = Some(inputs);
        if is_whole(job, listed) {
            other.output_size = job.output_size;
        }
    }
    merged.into_values().collect()
}

/// Whether any input of a job is there, or any file that an input was made of.
pub(super) fn has_any_input(job: &Job, jobs: &[&Job], files: &Files) -> bool {
    let mut seen = BTreeSet::new();
    let mut inputs: Vec<&String> = job.inputs().iter().collect();
    while let Some(input) = inputs.pop() {
        if files.contains_key(input.as_str()) {
            return true;
        }
        if seen.insert(input) {
            let made_by = jobs.iter().filter(|other| other.output == *input);
            inputs.extend(made_by.flat_map(|other| other.inputs()));
        }
    }
    false
}

fn is_whole(job: &Job, listed: &Files) -> bool {
    (listed.get(job.output.as_str()))
        .is_some_and(|output| job.output_size.is_none_or(|size| size == output.size))
}

/// Whether all inputs of a job are there; the output of another job counts where it is whole, or
/// where that job's inputs are there. No job may depend on itself.
fn has_inputs(job: &Job, jobs: &[&Job], listed: &Files) -> bool {
    let is_there = |key: &String| match jobs.iter().find(|other| other.output == *key) {
        Some(other) => is_whole(other, listed) || has_inputs(other, jobs, listed),
        None => listed.contains_key(key.as_str()),
    };
    !job.inputs().is_empty() && job.inputs().iter().all(is_there)
}

#[cfg(test)]
mod tests {
    use super::*;

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
                archived: false,
                file_id: None,
            };
            files.insert(key, meta);
        }
        for dropped in decide(&jobs.iter().collect::<Vec<_>>(), &files, at_rest)? {
            files.remove(&dropped);
        }
        Some(files.into_keys().map(|key| key.to_string()).collect())
    }

    /// Guards against: rows lost or doubled of a job that had not ended.
    #[test]
    fn a_pending_job_is_decided_as_arc_does_when_it_starts() {
        let hour = [job("o", &["a", "b"])];
        let decided = |listed: &[&str], at_rest| kept(&hour, listed, at_rest).map(|k| k.join(" "));
        assert_eq!(decided(&["a", "b", "x"], false).as_deref(), Some("a b x"));
        assert_eq!(decided(&["a", "b", "o"], false).as_deref(), Some("a b"));
        assert_eq!(decided(&["b", "o", "x"], false).as_deref(), Some("o x"));
        assert_eq!(decided(&["o"], false).as_deref(), Some("o"));
        // Neither is whole: it may be that the output was not there yet when its place was looked
        // at.
        assert_eq!(decided(&["b"], false), None);
        // Nothing changes, and there is no output: the remaining inputs are kept.
        assert_eq!(decided(&["b"], true).as_deref(), Some("b"));
        // An output that is not whole replaces nothing.
        let mut half = job("o", &["a", "b"]);
        half.output_size = Some(2);
        let half = [half];
        let decided = |listed: &[&str], at_rest| kept(&half, listed, at_rest).map(|k| k.join(" "));
        assert_eq!(decided(&["a", "b", "o"], true).as_deref(), Some("a b"));
        assert_eq!(decided(&["b", "o"], false), None);
        assert_eq!(decided(&["b", "o"], true).as_deref(), Some("b o"));
    }

    /// Guards against: lost rows of a job whose output is another's input.
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
        // An output that is not whole does not count as an input, unless its own inputs are there.
        let mut half = jobs.clone();
        half[0].output_size = Some(2);
        let decided = |listed: &[&str]| kept(&half, listed, true).map(|k| k.join(" "));
        assert_eq!(decided(&["b", "c", "day", "o"]).as_deref(), Some("day"));
        assert_eq!(
            decided(&["a", "b", "c", "day", "o"]).as_deref(),
            Some("a b c")
        );
        assert_eq!(decided(&["a", "b", "c", "o"]).as_deref(), Some("a b c"));
        assert_eq!(decided(&["b", "c", "o"]).as_deref(), Some("b c o"));
        // Two states of one output: it is dropped for its inputs only where those of both are
        // there.
        let twice = [job("o", &["a", "b"]), job("o", &["a", "b", "c"])];
        let decided = |listed: &[&str]| kept(&twice, listed, true).map(|k| k.join(" "));
        assert_eq!(decided(&["a", "b", "o"]).as_deref(), Some("o"));
        assert_eq!(decided(&["a", "b", "c", "o"]).as_deref(), Some("a b c"));
        assert_eq!(decided(&["a", "b"]).as_deref(), Some("a b"));
        let around = [job("o", &["p"]), job("p", &["o"])];
        assert_eq!(kept(&around, &["o", "p"], false), None, "jobs in a circle");
        let blind = [job("o", &[])];
        assert_eq!(
            kept(&blind, &["a", "o"], true),
            None,
            "inputs that no state names"
        );
    }
}
