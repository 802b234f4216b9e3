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
/// A database, and what SQLite keeps beside it, by what that adds to the name.
pub(crate) const WITH_COMPANIONS: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Where Arc may stage a database for the one at `path`: beside the name that the configuration
/// has, and beside the file that this is a link to.
pub(crate) fn pending_places(path: &Path) -> Vec<PathBuf> {
    let places = [std::path::absolute(path).ok(), real_place(path).ok()];
    let mut found: Vec<_> = (places.into_iter().flatten())
        .map(|place| with_suffix(&place, PENDING))
        .collect();
    found.dedup();
    found
}

/// The databases that Arc has staged for the one at `path`.
pub(crate) fn pending_restores(path: &Path) -> Vec<PathBuf> {
    let mut found = pending_places(path);
    found.retain(|pending| std::fs::symlink_metadata(pending).is_ok());
    found
}

/// Fails where a staged database can't be moved away. Changes nothing that is live.
pub(super) fn check_pending(path: &Path) -> Result<()> {
    for pending in pending_restores(path) {
        check_movable(&pending).map_err(|error| unmovable(&pending, error))?;
    }
    Ok(())
}

/// Moves staged databases away, durably; returns where they are then.
pub(super) fn move_pending(path: &Path, operation_id: &str) -> Result<Vec<PathBuf>> {
    let mut moved = Vec::new();
    for pending in pending_restores(path) {
        let kept = kept_path(&pending, operation_id);
        // The database first: without it Arc does not look for the others.
        for suffix in WITH_COMPANIONS {
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
