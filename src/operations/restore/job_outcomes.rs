//! What becomes of the files of compaction jobs when a backup that Arc made is restored.
//!
//! No row may be lost: a file is omitted only where others that are restored have its rows. A state
//! is omitted where Arc, at its next start, would delete an output because of it.

use std::collections::{BTreeMap, BTreeSet};

use arc_backup_core::Section;

use crate::Result;
use crate::manifest::Inventory;
use crate::operations::problems::PathSet;
use crate::source::JobFiles;

/// How many outputs are named in warnings.
const NAMED: usize = 10;

/// The files that are omitted, by their keys.
#[derive(Debug, Default)]
pub(super) struct JobOutcomes {
    pub(super) inputs: BTreeSet<String>,
    pub(super) outputs: BTreeSet<String>,
    pub(super) states: BTreeSet<String>,
    pub(super) warnings: Vec<String>,
}

impl JobOutcomes {
    pub(super) fn changes_nothing(&self) -> bool {
        self.inputs.is_empty() && self.outputs.is_empty() && self.states.is_empty()
    }
}

/// Decides the jobs, each with the key of its state; all that name one output together.
///
/// An output with the size that its job says has the rows of all inputs. Another one is not whole,
/// and its inputs have the rows, where they are all there. Where neither is so, both stay.
pub(super) fn job_outcomes(
    inventory: &Inventory,
    jobs: &[(String, JobFiles)],
    damaged: &PathSet,
) -> Result<JobOutcomes> {
    let backup = Backup::read(inventory, jobs, damaged)?;
    let mut outcomes = JobOutcomes::default();
    let mut warnings = Vec::new();
    for (output, of_output) in &backup.jobs {
        let states = of_output.iter().map(|(state, _)| state.clone());
        let has_all_inputs = (of_output.iter())
            .all(|(_, job)| !job.inputs.is_empty() && job.inputs.iter().all(|key| backup.has(key)));
        let is_circular = of_output.iter().any(|(_, job)| backup.is_circular(job));
        let Some(size) = backup.sizes.get(*output) else {
            let is_damaged = backup.damaged.contains(*output);
            if is_damaged && backup.has_any_input(of_output) {
                warnings.push(format!(
                    "`data/{output}`, the output of a compaction job, is damaged in the backup: a live version of it stays beside \
                     its inputs, and rows may be duplicated, until Arc is restarted or for good"
                ));
            }
            // Arc deletes a live output of another size, whose rows only its inputs have then.
            if is_circular || !has_all_inputs {
                outcomes.states.extend(states);
            }
            continue;
        };
        outcomes.states.extend(states);
        let is_whole = |job: &JobFiles| job.output_size == Some(*size);
        let (whole, other): (Vec<_>, Vec<_>) =
            (of_output.iter().map(|(_, job)| job)).partition(|job| is_whole(job));
        let has_no_inputs = whole.iter().any(|job| job.inputs.is_empty());
        if is_circular || has_no_inputs || (!whole.is_empty() && !other.is_empty()) {
            warnings.push(format!(
                "`data/{output}` is restored, and its inputs, where the backup has them: the states of the compaction jobs \
                 that name it can't all be true; rows may be duplicated"
            ));
            continue;
        }
        if !whole.is_empty() {
            let inputs = whole.iter().flat_map(|job| &job.inputs);
            outcomes.inputs.extend(inputs.cloned());
        } else if has_all_inputs {
            outcomes.outputs.insert((*output).to_owned());
        } else {
            warnings.push(backup.warning_of_size(output, *size, of_output));
        }
    }
    let more = warnings.len().saturating_sub(NAMED);
    warnings.truncate(NAMED);
    outcomes.warnings = warnings;
    if more > 0 {
        (outcomes.warnings).push(format!(
            "{more} more outputs of compaction jobs like these: rows may be duplicated"
        ));
    }
    Ok(outcomes)
}

/// The files of the jobs that the backup has, and the jobs by their outputs.
struct Backup<'a> {
    sizes: BTreeMap<String, u64>,
    damaged: BTreeSet<String>,
    jobs: BTreeMap<&'a str, Vec<&'a (String, JobFiles)>>,
}

impl<'a> Backup<'a> {
    fn read(
        inventory: &Inventory,
        jobs: &'a [(String, JobFiles)],
        damaged: &PathSet,
    ) -> Result<Self> {
        let files: BTreeSet<&str> = (jobs.iter())
            .flat_map(|(_, job)| job.inputs.iter().chain([&job.output]))
            .map(String::as_str)
            .collect();
        let mut read = Self {
            sizes: BTreeMap::new(),
            damaged: BTreeSet::new(),
            jobs: BTreeMap::new(),
        };
        for job in jobs {
            read.jobs.entry(&*job.1.output).or_default().push(job);
        }
        for record in inventory.records_of(&Section::Data)? {
            let record = record?;
            let key = &*record.entry.key;
            if !files.contains(key) {
                continue;
            }
            match damaged.contains(&record.path) {
                true => _ = read.damaged.insert(key.to_owned()),
                false => _ = read.sizes.insert(key.to_owned(), record.entry.size),
            }
        }
        Ok(read)
    }

    fn has(&self, key: &str) -> bool {
        self.sizes.contains_key(key)
    }

    /// The inputs of these jobs, and everything that those were made of.
    fn all_inputs<'b>(&'b self, jobs: impl Iterator<Item = &'b JobFiles>) -> BTreeSet<&'b str> {
        let mut left: Vec<&str> = jobs
            .flat_map(|job| &job.inputs)
            .map(String::as_str)
            .collect();
        let mut seen = BTreeSet::new();
        while let Some(input) = left.pop() {
            if seen.insert(input)
                && let Some(made_by) = self.jobs.get(input)
            {
                left.extend(
                    made_by
                        .iter()
                        .flat_map(|(_, job)| &job.inputs)
                        .map(|key| &**key),
                );
            }
        }
        seen
    }

    /// Whether the output is among the files that it is made of: what has whose rows is not known.
    fn is_circular(&self, job: &JobFiles) -> bool {
        self.all_inputs(std::iter::once(job)).contains(&*job.output)
    }

    fn has_any_input(&self, jobs: &[&(String, JobFiles)]) -> bool {
        let inputs = self.all_inputs(jobs.iter().map(|(_, job)| job));
        inputs.into_iter().any(|input| self.has(input))
    }

    /// As a backup of ours warns where it finds the same.
    fn warning_of_size(&self, output: &str, size: u64, jobs: &[&(String, JobFiles)]) -> String {
        let says = jobs.first().and_then(|(_, job)| job.output_size);
        let says = says.map_or_else(|| "none".to_owned(), |size| size.to_string());
        let inputs = match self.has_any_input(jobs) {
            true => {
                ", with the rest of its inputs, which are not all there: rows may be duplicated"
            }
            false => ", as its inputs are no longer there",
        };
        format!(
            "`data/{output}` is the output of a compaction job that did not end; it has {size} bytes, and the job's state says \
             {says}: it may be damaged; it is restored{inputs}. The state is not, as Arc would delete the output"
        )
    }
}
