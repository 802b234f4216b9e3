//! The files of a database: itself, and what SQLite keeps beside it.

use std::path::{Path, PathBuf};

use arc_backup_core::Result;

use crate::files::{file_error, with_suffix};

/// Removes a database with its companions, where they are; itself last, as its name leads to them.
pub(super) fn remove_all_of(path: &Path) -> Result<()> {
    for suffix in ["-journal", "-wal", "-shm", ""] {
        let path = with_suffix(path, suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(file_error("remove", &path, error));
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn remove_database(path: &Path) {
    // A file that can't be removed shows as an error of whatever is written there next.
    let _ = remove_all_of(path);
}

/// Where an operation keeps the file `path` that it replaces. Each has a name of its own: an
/// earlier one has the only original bytes of an earlier restore.
pub(crate) fn kept_path(path: &Path, operation_id: &str) -> PathBuf {
    with_suffix(path, &format!(".before-restore.{operation_id}"))
}
