//! `restore-in-progress.json`: what says that live data may be neither old nor new.

use std::path::PathBuf;

use jiff::Timestamp;

use super::context::Context;
use super::{InterruptedRun, RestoreInProgress, RestoreOptions};
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
    let read = read.and_then(|marker: RestoreInProgress| {
        // They name folders that are removed.
        let is_id = |id: &str| id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        match marker.earlier.iter().all(|run| is_id(&run.operation_id))
            && is_id(&marker.operation_id)
        {
            true => Ok(marker),
            false => Err("it names an operation of no name".to_owned()),
        }
    });
    let marker = read.unwrap_or_else(|reason| RestoreInProgress::unknown(&path, &reason));
    (marker.phase == APPLYING).then_some(marker)
}

/// What a restore writes of itself, and of those that it goes on with.
pub(super) struct Mark<'a> {
    context: &'a Context,
    options: &'a RestoreOptions,
    interrupted: Option<RestoreInProgress>,
}

impl<'a> Mark<'a> {
    /// That of a restore that begins: what is there now is of one that was interrupted.
    pub(super) fn new(context: &'a Context, options: &'a RestoreOptions) -> Self {
        Self {
            context,
            options,
            interrupted: marker(&context.settings),
        }
    }

    /// Whether live data is half restored already: the mark stays until a restore has ended.
    pub(super) fn goes_on(&self) -> bool {
        self.interrupted.is_some()
    }

    /// The runs that this one goes on with.
    pub(super) fn earlier(&self) -> Vec<InterruptedRun> {
        let Some(last) = &self.interrupted else {
            return Vec::new();
        };
        let mut earlier = last.earlier.clone();
        if last.unreadable.is_none() {
            earlier.push(InterruptedRun {
                operation_id: last.operation_id.clone(),
                extra_files: last.extra_files,
            });
        }
        earlier
    }

    /// Writes it; `done` are the sections that are in force already.
    pub(super) fn write(&self, phase: &str, sections: &[String], done: &[String]) -> Result<()> {
        let path = marker_path(&self.context.settings);
        let temporary = path.with_extension("json.tmp");
        let marker = RestoreInProgress {
            operation_id: self.context.operation_id.clone(),
            backup_id: self.context.id.to_string(),
            sections: sections.to_vec(),
            done: done.to_vec(),
            phase: phase.to_owned(),
            written_at: Timestamp::now().to_string(),
            target: Some(self.context.repository.name().to_owned()),
            extra_files: self.options.extra_files,
            allow_incomplete: self.options.allow_incomplete,
            earlier: self.earlier(),
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

    /// Removes it, if it is of this operation.
    pub(super) fn remove_own(&self) -> Result<()> {
        let settings = &self.context.settings;
        let text = std::fs::read(marker_path(settings)).unwrap_or_default();
        match serde_json::from_slice::<RestoreInProgress>(&text) {
            Ok(marker) if marker.operation_id == self.context.operation_id => {
                remove_marker(settings)
            }
            _ => Ok(()),
        }
    }
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
    Err(Error::Failed(format!(
        "{}, and this one leaves out a part of it ({}): {}, or with one that restores these too",
        marker.words(),
        left_out.join(", "),
        marker.remedy()
    )))
}

#[cfg(test)]
mod tests;
