//! Pausing and resuming a schedule: a file for each that somebody paused or resumed, which wins
//! over the configuration. The command line and the service write it; the service looks every few
//! seconds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::store::folder;
use crate::files::{create_folder, write_atomically};
use crate::operations::ArcBackup;
use crate::{Error, Result};

/// What somebody said last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Switch {
    pub(super) paused: bool,
    pub(super) at: Timestamp,
    /// Who said it.
    #[serde(default)]
    pub(super) by: String,
}

/// What the name of a file ends in.
const SUFFIX: &str = ".switch.json";

fn path(state: &Path, name: &str) -> PathBuf {
    folder(state).join(format!("{name}{SUFFIX}"))
}

/// Pauses or resumes the schedule `name`, durably. `name` is one of a schedule.
///
/// # Errors
/// When the file cannot be written.
pub async fn switch(engine: &ArcBackup, name: &str, paused: bool, by: &str) -> Result<()> {
    let state = engine.settings().backup.state_folder().to_owned();
    let (name, by) = (name.to_owned(), by.to_owned());
    let at = Timestamp::now();
    tokio::task::spawn_blocking(move || write(&state, &name, &Switch { paused, at, by })).await?
}

pub(super) fn write(state: &Path, name: &str, switch: &Switch) -> Result<()> {
    let text = serde_json::to_vec(switch)
        .map_err(|error| Error::Failed(format!("cannot write a pause: {error}")))?;
    let folder = folder(state);
    create_folder(&folder).map_err(|error| Error::io("create", &folder, error))?;
    Ok(write_atomically(&path(state, name), &text)?)
}

/// All of them, by the names of the schedules.
pub(super) fn read(state: &Path) -> BTreeMap<String, Switch> {
    let Ok(entries) = std::fs::read_dir(folder(state)) else {
        return BTreeMap::new();
    };
    let files = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let name = name.strip_suffix(SUFFIX)?.to_owned();
        let switch = serde_json::from_slice(&std::fs::read(entry.path()).ok()?);
        if let Err(error) = &switch {
            tracing::warn!(%error, schedule = name, "the pause file of a schedule cannot be read and is ignored: pause or resume the schedule again");
        }
        Some((name, switch.ok()?))
    });
    files.collect()
}
