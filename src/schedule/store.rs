//! What is kept of schedules, in the state folder.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::kept::KeptSchedules;
use crate::files::{create_file, create_folder, with_suffix, write_atomically};
use crate::operations::ArcBackup;
use crate::{Error, Result};

/// The folder, in the state folder.
pub(super) fn folder(state: &Path) -> PathBuf {
    state.join("schedules")
}

fn path(state: &Path) -> PathBuf {
    folder(state).join("kept.json")
}

/// Takes the lock of the schedules: of several services of one instance, one runs them. `None`:
/// another process has it. It is free when the file is dropped.
pub(super) fn lock(state: &Path) -> Result<Option<File>> {
    let folder = folder(state);
    create_folder(&folder).map_err(|error| Error::io("create", &folder, error))?;
    let path = folder.join("lock");
    let file = create_file(&path).map_err(|error| Error::io("open", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", &path, error)),
    }
}

/// What is kept; nothing where there is no file. One that cannot be read is set aside: then the
/// history says what ran.
pub(super) fn load(state: &Path) -> KeptSchedules {
    let path = path(state);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return KeptSchedules::default();
        }
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "cannot read the state of the schedules");
            return KeptSchedules::default();
        }
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        let aside = with_suffix(&path, ".damaged");
        tracing::warn!(
            %error, path = %path.display(), aside = %aside.display(),
            "the state of the schedules was damaged and is set aside: the last runs are taken from the history"
        );
        let _ = std::fs::rename(&path, aside);
        KeptSchedules::default()
    })
}

/// The same for those who only look: `None` where there is nothing to read.
pub(super) fn look(state: &Path) -> Option<KeptSchedules> {
    serde_json::from_slice(&std::fs::read(path(state)).ok()?).ok()
}

/// Backups that are still to be copied, by a schedule of any process, each with the target that it
/// goes to.
pub(crate) async fn pending_copies(engine: &ArcBackup) -> BTreeMap<String, String> {
    let state = engine.settings().backup.state_folder().to_owned();
    let kept = tokio::task::spawn_blocking(move || look(&state)).await;
    let kept = kept.ok().flatten().unwrap_or_default();
    let copies = kept.schedules.into_values().flat_map(|one| one.copies);
    copies.map(|copy| (copy.backup_id, copy.to)).collect()
}

/// Writes what is kept, durably.
pub(super) fn save(state: &Path, kept: &KeptSchedules) -> Result<()> {
    let text = serde_json::to_vec_pretty(kept).map_err(|error| {
        Error::Failed(format!("cannot write the state of the schedules: {error}"))
    })?;
    let folder = folder(state);
    create_folder(&folder).map_err(|error| Error::io("create", &folder, error))?;
    Ok(write_atomically(&path(state), &text)?)
}
