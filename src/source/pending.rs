//! Restores that Arc has staged itself: at its next start it checks `<database>.pending-restore`
//! and puts that in the database's place.
//!
//! After a restore of ours that would undo it, so the staged file is moved away first.

use std::path::{Path, PathBuf};

use arc_backup_core::{Error, ErrorKind, Result};

use super::companions::kept_path;
use super::replace::{check_movable, real_place};
use crate::files::{file_error, sync_folder, with_suffix};

/// What Arc adds to the name of a database that it has staged.
const PENDING: &str = ".pending-restore";

/// The databases that Arc has staged for the one at `path`: beside the name that the configuration
/// has, and beside the file that this is a link to.
pub(crate) fn pending_restores(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let places = [std::path::absolute(path).ok(), real_place(path).ok()];
    for place in places.into_iter().flatten() {
        let pending = with_suffix(&place, PENDING);
        if std::fs::symlink_metadata(&pending).is_ok() && !found.contains(&pending) {
            found.push(pending);
        }
    }
    found
}

/// Fails where a staged database can't be moved away. Changes nothing that is live.
pub(super) fn check_pending(path: &Path, operation_id: &str) -> Result<()> {
    for pending in pending_restores(path) {
        check_movable(&pending, operation_id).map_err(|error| unmovable(&pending, error))?;
    }
    Ok(())
}

/// Moves staged databases away, durably; returns where they are then.
pub(super) fn move_pending(path: &Path, operation_id: &str) -> Result<Vec<PathBuf>> {
    let mut moved = Vec::new();
    for pending in pending_restores(path) {
        let kept = kept_path(&pending, operation_id);
        // The database first: without it Arc does not look for the others.
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let from = with_suffix(&pending, suffix);
            match std::fs::rename(&from, with_suffix(&kept, suffix)) {
                Err(error) if suffix.is_empty() => return Err(unmovable(&from, error)),
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(file_error("move away", &from, error));
                }
                _ => {}
            }
        }
        sync_folder(&kept)?;
        moved.push(kept);
    }
    Ok(moved)
}

fn unmovable(pending: &Path, error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Invalid,
        "move away",
        pending.display().to_string(),
        format!(
            "Arc has staged a restore of its own there, and at its next start would put it over the restored database; it \
             can't be moved away ({error}): remove it, or restore without metadata"
        ),
    )
}
