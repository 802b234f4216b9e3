//! `restore-in-progress.json`: what says that live data may be neither old nor new.

use std::path::PathBuf;

use jiff::Timestamp;

use super::RestoreInProgress;
use super::context::Context;
use crate::config::Settings;
use crate::{Error, Result};

const MARKER: &str = "restore-in-progress.json";
/// The phase in which live data changes.
pub(super) const APPLYING: &str = "applying";

pub(super) fn marker_path(settings: &Settings) -> PathBuf {
    settings.backup.state_folder().join(MARKER)
}

/// The marker of a restore that was interrupted after its first change, or, where it can't be read, may have been.
pub(super) fn marker(settings: &Settings) -> Option<RestoreInProgress> {
    let path = marker_path(settings);
    let read = match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| error.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => Err(error.to_string()),
    };
    let marker = read.unwrap_or_else(|reason| RestoreInProgress::unknown(&path, &reason));
    (marker.phase == APPLYING).then_some(marker)
}

/// Writes the marker; `done` are the sections that are in force already.
pub(super) fn write_marker(
    context: &Context,
    phase: &str,
    sections: &[String],
    done: &[String],
) -> Result<()> {
    let path = marker_path(&context.settings);
    let temporary = path.with_extension("json.tmp");
    let marker = RestoreInProgress {
        operation_id: context.operation_id.clone(),
        backup_id: context.id.to_string(),
        sections: sections.to_vec(),
        done: done.to_vec(),
        phase: phase.to_owned(),
        written_at: Timestamp::now().to_string(),
        unreadable: None,
    };
    let text = serde_json::to_vec(&marker).expect("plain data is valid JSON");
    let write = || {
        let mut file = crate::private::create_file(&temporary)?;
        std::io::Write::write_all(&mut file, &text)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)
    };
    write().map_err(|e| {
        // It is of no use, and a full disk needs the room.
        let _ = std::fs::remove_file(&temporary);
        Error::io("write", &path, e)
    })?;
    Ok(crate::sync_folder(&path)?)
}

pub(super) fn remove_marker(settings: &Settings) -> Result<()> {
    let path = marker_path(settings);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", &path, error))
        }
        _ => Ok(()),
    }
}

/// Removes the marker, if it is of this operation.
pub(super) fn remove_own_marker(context: &Context) -> Result<()> {
    let text = std::fs::read(marker_path(&context.settings)).unwrap_or_default();
    match serde_json::from_slice::<RestoreInProgress>(&text) {
        Ok(marker) if marker.operation_id == context.operation_id => {
            remove_marker(&context.settings)
        }
        _ => Ok(()),
    }
}

/// Refuses a restore that would leave out what an interrupted one has half done: its marker must not go before that is whole.
pub(super) fn check_covers_interrupted(context: &Context, order: &[&String]) -> Result<()> {
    let Some(marker) = marker(&context.settings) else {
        return Ok(());
    };
    let left_out: Vec<_> = (marker.sections.iter())
        .filter(|section| !order.contains(section))
        .map(String::as_str)
        .collect();
    if left_out.is_empty() {
        return Ok(());
    }
    let or = match &marker.unreadable {
        Some(_) => ", or, when you know that the live data is whole, remove that file",
        None => "",
    };
    Err(Error::Failed(format!(
        "{}, and this one leaves out a part of it ({}): run that restore again, or one that restores these too{or}",
        marker.words(),
        left_out.join(", ")
    )))
}

#[cfg(test)]
mod tests;
