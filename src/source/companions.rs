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

/// Makes room for a new `….before-restore`: one that is there already has the only original bytes
/// of an earlier restore.
pub(crate) fn rotate_kept(path: &Path, operation_id: &str) -> Result<PathBuf> {
    let kept = with_suffix(path, ".before-restore");
    for suffix in ["", "-wal", "-shm"] {
        let old = with_suffix(&kept, suffix);
        if std::fs::symlink_metadata(&old).is_ok() {
            let to = with_suffix(&kept, &format!(".{operation_id}{suffix}"));
            std::fs::rename(&old, &to).map_err(|e| file_error("rename", &old, e))?;
        }
    }
    Ok(kept)
}
