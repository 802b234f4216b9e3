//! Which restore an operation names, and whether it is the last one: what came after it stands on
//! what it brought.

use std::collections::BTreeSet;

use crate::config::Settings;
use crate::operations::undo::record::{self, Record};
use crate::operations::{ExtraFilesPolicy, RestoreInProgress};
use crate::{Error, Result};

/// A restore that is to be taken back.
#[derive(Debug, Clone)]
pub(crate) struct ToUndo {
    /// Its runs, from the first: the interrupted ones that it completed, and the one that is named.
    pub(crate) runs: Vec<Record>,
    /// Interrupted undos of it.
    pub(crate) undos: Vec<Record>,
}

impl ToUndo {
    /// The run that is named.
    pub(crate) fn last(&self) -> &Record {
        self.runs.last().expect("there is one at least")
    }

    /// Whether the restore has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.last().is_finished
    }

    /// The sections that the runs have changed, in the order in which they were.
    pub(crate) fn sections(&self) -> Vec<String> {
        let mut sections: Vec<String> = Vec::new();
        for section in self.runs.iter().flat_map(|run| &run.sections) {
            if !sections.contains(section) {
                sections.push(section.clone());
            }
        }
        sections
    }
}

fn refused<T>(text: String) -> Result<T> {
    Err(Error::Invalid(text))
}

/// Finds the restore, and refuses one that can't be taken back. `marker` is of what was interrupted
/// while it changed live data.
///
/// # Errors
/// [`Error::Invalid`] says why it can't be taken back, and what to do. `None`: there is no record
/// of it.
pub(crate) fn find(
    settings: &Settings,
    operation_id: &str,
    marker: Option<&RestoreInProgress>,
) -> Result<Option<ToUndo>> {
    find_in(&record::all(settings)?, operation_id, marker)
}

/// Whether the operation can be taken back now, as far as its record shows.
pub(crate) fn can_be_undone(
    all: &[Record],
    record: &Record,
    marker: Option<&RestoreInProgress>,
) -> bool {
    let found = find_in(all, &record.operation_id, marker);
    matches!(found, Ok(Some(found)) if !found.runs.iter().any(|run| run.changes_cold))
}

/// Whether an operation that is about to change live data, and has written its record, could be
/// taken back if it were interrupted.
pub(crate) fn could_be_undone(settings: &Settings, operation_id: &str) -> bool {
    record::all(settings).is_ok_and(|all| {
        let own = all.iter().find(|one| one.operation_id == operation_id);
        own.is_some_and(|own| can_be_undone(&all, own, None))
    })
}

fn find_in(
    all: &[Record],
    operation_id: &str,
    marker: Option<&RestoreInProgress>,
) -> Result<Option<ToUndo>> {
    let named = all.iter().find(|one| one.operation_id == operation_id);
    let Some(named) = named.filter(|one| !one.is_removed) else {
        return Ok(None);
    };
    let is_undo_of = |one: &&Record| one.undoes.as_deref() == Some(operation_id);
    if let Some(undo) = all.iter().find(|one| is_undo_of(one) && one.is_finished) {
        return refused(format!(
            "operation {operation_id} was taken back already, by {}",
            undo.operation_id
        ));
    }
    let completes = |one: &&Record| one.earlier.iter().any(|id| id == operation_id);
    if let Some(other) = all.iter().find(|one| completes(one) && !is_undo_of(one)) {
        return refused(format!(
            "operation {operation_id} was interrupted, and {} continued it: take that back, with `arc-backup undo {}`",
            other.operation_id, other.operation_id
        ));
    }
    check_whole(named)?;
    let mut runs = Vec::new();
    for id in named.earlier.iter().chain([&named.operation_id]) {
        match all.iter().find(|one| one.operation_id == *id) {
            Some(run) if run.is_removed => {
                return refused(format!(
                    "operation {operation_id} completed the interrupted operation {id}, and what that had set aside was \
                     removed: restore a backup from before them"
                ));
            }
            Some(run) => runs.push(run.clone()),
            None => {
                return refused(format!(
                    "operation {operation_id} completed the interrupted operation {id}, of which there is no record: what was \
                     live before that is unknown"
                ));
            }
        }
    }
    let undos: Vec<_> = all.iter().filter(is_undo_of).cloned().collect();
    let found = ToUndo { runs, undos };
    check_marker(&found, marker)?;
    check_last(&found, all, marker)?;
    check_runs(&found)?;
    Ok(Some(found))
}

/// Refuses an undo that leads back to a state between two others.
fn check_whole(named: &Record) -> Result<()> {
    let Some(undone) = &named.undoes else {
        return Ok(());
    };
    let id = &named.operation_id;
    if !named.is_finished {
        return refused(format!(
            "operation {id} is an undo that was interrupted, and can't be taken back: complete it with \
             `arc-backup undo {undone}`, or restore a backup"
        ));
    }
    if named.undoes_interrupted {
        return refused(format!(
            "operation {id} took back operation {undone}, which was interrupted half-way: its half can't be brought back; \
             restore a backup instead"
        ));
    }
    Ok(())
}

/// Refuses where another restore was interrupted while it changed live data.
fn check_marker(found: &ToUndo, marker: Option<&RestoreInProgress>) -> Result<()> {
    let Some(marker) = marker else {
        return Ok(());
    };
    let mut own = found.runs.iter().chain(&found.undos);
    let is_own = own.any(|one| one.operation_id == marker.operation_id);
    match is_own && marker.unreadable.is_none() {
        true => Ok(()),
        false => refused(format!("{marker}: {}", marker.remedy())),
    }
}

/// Refuses where another operation has changed live data after the restore.
fn check_last(found: &ToUndo, all: &[Record], marker: Option<&RestoreInProgress>) -> Result<()> {
    let known: BTreeSet<&str> = (found.runs.iter().chain(&found.undos))
        .map(|one| one.operation_id.as_str())
        .collect();
    // Of a run that was recorded and ended before its first change, nothing names the record.
    let is_named = |one: &Record| {
        one.is_finished
            || marker.is_some_and(|marker| {
                marker.operation_id == one.operation_id
                    || (marker.earlier.iter()).any(|run| run.operation_id == one.operation_id)
            })
            || (all.iter()).any(|other| other.earlier.contains(&one.operation_id))
    };
    let last = found.last();
    // A later restore that was taken back has changed nothing, for what came before it.
    let counts = |one: &Record| last.leads_back() || !one.leads_back();
    let later = (all.iter().rev().filter(|one| counts(one))).find(|one| {
        one.started() > last.started()
            && !known.contains(one.operation_id.as_str())
            && is_named(one)
    });
    match later {
        None => Ok(()),
        Some(later) if later.is_removed => refused(format!(
            "operation {} changed the live data after operation {}, and what it set aside was removed: restore a backup from \
             before them",
            later.operation_id, last.operation_id
        )),
        Some(later) => refused(format!(
            "operation {} changed the live data after operation {}: take it back first, with `arc-backup undo {}`",
            later.operation_id, last.operation_id, later.operation_id
        )),
    }
}

/// Refuses what was not recorded, or is gone.
fn check_runs(found: &ToUndo) -> Result<()> {
    let last = found.last();
    if let Some(section) = found.runs.iter().find_map(|run| run.unrecorded.first()) {
        return refused(format!(
            "operation {} restored the section `{section}`, which can't be taken back: restore a backup from before it",
            last.operation_id
        ));
    }
    if last.is_finished && last.extra_files == ExtraFilesPolicy::Remove {
        return refused(format!(
            "operation {} removed what it replaced (--extra-files remove), so it can't be taken back: restore a backup from \
             before it",
            last.operation_id
        ));
    }
    Ok(())
}
