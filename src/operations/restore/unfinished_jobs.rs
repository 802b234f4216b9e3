//! Compaction jobs that were under way when Arc made a backup.
//!
//! Arc's backup may hold the inputs of a job and its output, which have the same rows. Arc itself
//! decides such a job at its next start; until then it would serve these rows twice. A backup of
//! ours has decided its jobs already.

use std::path::Path;

use arc_backup_core::{ErrorKind, Section};

use crate::manifest::{BackupId, Inventory, Spool};
use crate::operations::problems::PathSet;
use crate::operations::restore::job_outcomes::job_outcomes;
use crate::operations::restore::rewritten::one_version;
use crate::pipeline::Reader;
use crate::repository::{Loaded, Repository};
use crate::source::{JobFiles, STATE_LIMIT, is_job_state};
use crate::{Error, Result};

/// What a restore omits of a backup, as a job's other files have its rows.
#[derive(Debug, Default)]
pub(crate) struct OmittedByJobs {
    /// Inputs of jobs whose output is whole.
    pub(crate) inputs: u64,
    /// Outputs that were not written to their end.
    pub(crate) outputs: u64,
    /// What the operator should know.
    pub(crate) warnings: Vec<String>,
}

impl OmittedByJobs {
    /// The same for people; `None` where nothing is omitted.
    pub(crate) fn text(&self) -> Option<String> {
        let inputs = format!(
            "{} files are not restored: a compaction job of Arc was under way, and its output has their rows",
            self.inputs
        );
        let outputs = format!(
            "{} outputs of compaction jobs are not restored: Arc had not written them to their end, and their inputs have \
             the rows",
            self.outputs
        );
        match (self.inputs, self.outputs) {
            (0, 0) => None,
            (_, 0) => Some(inputs),
            (0, _) => Some(outputs),
            _ => Some(format!("{inputs}; {outputs}")),
        }
    }
}

/// The inventory of a backup that Arc made, without the files whose rows are in others. `damaged`
/// has the paths of files that can't be restored.
///
/// # Errors
/// When a job's state can't be read from the target, or the new list can't be written.
pub(crate) async fn decide(
    repository: &Repository,
    id: &BackupId,
    loaded: &Loaded,
    inventory: Inventory,
    damaged: &PathSet,
    scratch: &Path,
) -> Result<(Inventory, OmittedByJobs)> {
    let mut omitted = OmittedByJobs::default();
    if loaded.sealed {
        return Ok((inventory, omitted));
    }
    let (inventory, warning) = one_version(id, inventory, damaged, scratch)?;
    omitted.warnings.extend(warning);
    let reader = repository.reader(id, &inventory)?.section(&Section::Data);
    let mut jobs = Vec::new();
    for record in inventory.records_of(&Section::Data)? {
        let entry = record?.entry;
        if !is_job_state(&entry.key) || !entry.key.ends_with(".json") {
            continue;
        }
        let text = match reader.open(&entry).await {
            Ok(body) => body.collect(STATE_LIMIT, &entry.key).await,
            Err(error) => Err(error),
        };
        let job = match text {
            Ok(text) => JobFiles::parse(&text),
            Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound) => {
                Err(error.detail().to_owned())
            }
            Err(error) => return Err(repository.named(Error::from(error))),
        };
        match job {
            Ok(job) => jobs.push((entry.key.to_string(), job)),
            Err(why) => omitted.warnings.push(format!(
                "the state of a compaction job, `data/{}`, can't be read ({why}): restart Arc before it is queried, or it may \
                 serve rows twice",
                entry.key
            )),
        }
    }
    if jobs.is_empty() {
        return Ok((inventory, omitted));
    }
    let mut without = job_outcomes(&inventory, &jobs, damaged)?;
    omitted.warnings.append(&mut without.warnings);
    if without.changes_nothing() {
        return Ok((inventory, omitted));
    }
    let mut rest = Spool::create(&scratch.join(format!("{id}.decided")))?;
    for record in inventory.records()? {
        let record = record?;
        let key: &str = &record.entry.key;
        match record.section() {
            Section::Data if without.inputs.contains(key) => omitted.inputs += 1,
            Section::Data if without.outputs.contains(key) => omitted.outputs += 1,
            Section::Data if without.states.contains(key) => {}
            _ => rest.push(&record)?,
        }
    }
    // As before: the lines of Arc's files have no digests, or those of its own list.
    Ok((rest.finish()?.without_checksums(), omitted))
}
