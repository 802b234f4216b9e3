//! The files of a database: itself, and what SQLite keeps beside it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use arc_backup_core::Result;

use super::replace::io;

/// `path` with `suffix` behind its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes a database with its companions, where they are; itself last, as its name is what leads to them.
pub(super) fn remove_all_of(path: &Path) -> Result<()> {
    for suffix in ["-journal", "-wal", "-shm", ""] {
        let path = beside(path, suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io("remove", &path, error));
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn remove_database(path: &Path) {
    // What can't be removed, what is made there next will stumble over.
    let _ = remove_all_of(path);
}

/// Makes room for a new `….before-restore`: one that is there is the only original of an earlier restore.
pub(crate) fn rotate_kept(path: &Path, operation_id: &str) -> Result<PathBuf> {
    let kept = beside(path, ".before-restore");
    for suffix in ["", "-wal", "-shm"] {
        let old = beside(&kept, suffix);
        if std::fs::symlink_metadata(&old).is_ok() {
            let to = beside(&beside(&kept, &format!(".{operation_id}")), suffix);
            std::fs::rename(&old, &to).map_err(|e| io("rename", &old, e))?;
        }
    }
    Ok(kept)
}
