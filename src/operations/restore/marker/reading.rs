//! Reading the restore marker, wherever it lies.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::{Scope, Section, Sink};
use jiff::{SignedDuration, Timestamp};

use super::places::{BesideData, read_file, remove_file};
use crate::Result;
use crate::config::Settings;
use crate::operations::context::Context;
use crate::operations::{InterruptedRun, RestoreInProgress};

/// The name of the marker in the state folder.
const MARKER: &str = "restore-in-progress.json";
/// Timeout for reading the restore marker beside the data, where the operation can continue without
/// the answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the staged files of an interrupted restore are kept when backups are made.
const STAGED_LIVES: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The marker in the state folder.
pub(crate) fn marker_path(settings: &Settings) -> PathBuf {
    settings.backup.state_folder().join(MARKER)
}

/// The marker, in the state folder, of a restore that was interrupted after its first change; or,
/// where it can't be read, that may have been.
pub(crate) fn state_marker(settings: &Settings) -> Option<RestoreInProgress> {
    read_file(&marker_path(settings))
}

/// The marker, wherever it lies.
pub(crate) async fn marker(context: &Context) -> Option<RestoreInProgress> {
    let beside = marker_beside(context, ANSWER_TIMEOUT).await.ok().flatten();
    merge(state_marker(&context.settings), beside)
}

/// The marker beside the data. Where the storage does not answer, that is a warning: an operation
/// that needs the storage fails there by itself.
pub(super) async fn marker_beside(
    context: &Context,
    timeout: Duration,
) -> std::result::Result<Option<RestoreInProgress>, String> {
    let read = read_beside(&context.storage, timeout).await;
    read.map_err(|reason| {
        let text = format!(
            "the data storage does not say whether a restore was interrupted while it changed live data: {reason}"
        );
        context.warn(text.clone());
        text
    })
}

pub(super) async fn read_beside(
    storage: &Arc<dyn Sink>,
    timeout: Duration,
) -> std::result::Result<Option<RestoreInProgress>, String> {
    match tokio::time::timeout(timeout, BesideData(storage).read()).await {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err(format!(
            "{}: no answer within {} s",
            storage.location(),
            timeout.as_secs()
        )),
    }
}

/// Two markers as one. Where they are of two restores, that is the later one, which has to complete
/// the other one too.
pub(crate) fn merge(
    state: Option<RestoreInProgress>,
    beside: Option<RestoreInProgress>,
) -> Option<RestoreInProgress> {
    let (mut marker, other) = match (state, beside) {
        (Some(state), Some(beside)) if state.operation_id == beside.operation_id => {
            // The one beside the data may lack the last step.
            let is_behind = state.done.len() < beside.done.len();
            return Some(if is_behind { beside } else { state });
        }
        (Some(state), Some(beside)) => {
            let is_later = |a: &RestoreInProgress, b: &RestoreInProgress| {
                let written = |marker: &RestoreInProgress| marker.written_at.parse::<Timestamp>();
                match (&a.unreadable, &b.unreadable) {
                    (None, None) => written(a).ok() >= written(b).ok(),
                    (unreadable, _) => unreadable.is_none(),
                }
            };
            match is_later(&state, &beside) {
                true => (state, beside),
                false => (beside, state),
            }
        }
        (state, beside) => return state.or(beside),
    };
    let has_data = |of: &RestoreInProgress| {
        of.sections
            .iter()
            .any(|one| *one == *Section::Data.as_str())
    };
    if has_data(&other) && !other.done.iter().any(|one| *one == *Section::Data.as_str()) {
        match has_data(&marker) {
            true => marker.add_data_scope(&other.data_scope()),
            false => {
                marker.set_data_scope(&other.data_scope());
                marker.exceeds_backup = other.data_scope() != Scope::of_sections([Section::Data]);
            }
        }
    }
    for section in &other.sections {
        if !other.done.contains(section) && !marker.sections.contains(section) {
            marker.sections.push(section.clone());
        }
    }
    let mut runs = other.earlier;
    if other.unreadable.is_none() {
        runs.push(InterruptedRun {
            operation_id: other.operation_id,
            extra_files: other.extra_files,
        });
    }
    for run in runs {
        let is_known = |known: &InterruptedRun| known.operation_id == run.operation_id;
        if run.operation_id != marker.operation_id && !marker.earlier.iter().any(is_known) {
            marker.earlier.push(run);
        }
    }
    Some(marker)
}

/// The marker in the state folder, whatever its phase.
pub(crate) fn any_marker(settings: &Settings) -> Option<RestoreInProgress> {
    let text = std::fs::read(marker_path(settings)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Whether files are staged that the next restore of the same backup can use. After some days they
/// are given up.
pub(crate) fn keeps_staged(settings: &Settings) -> bool {
    let Some(marker) = any_marker(settings).filter(|marker| marker.stage.is_some()) else {
        return false;
    };
    let written: Option<Timestamp> = marker.written_at.parse().ok();
    written.is_some_and(|written| Timestamp::now().duration_since(written) < STAGED_LIVES)
}

/// Removes the marker in the state folder.
pub(crate) fn remove_marker(settings: &Settings) -> Result<()> {
    remove_file(&marker_path(settings))
}
