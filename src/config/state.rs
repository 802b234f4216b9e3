//! The default place of the history, the instance lock and scratch files.

use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::databases::real_path;
use crate::own_folder::OWN_FOLDER;

/// `<backups>/.arc-backup/history.db`. Where nothing can be written there, as on a backup disk that
/// is mounted read-only, it is in a folder for these backups under `$XDG_STATE_HOME`, else
/// `~/.local/state`, else `/var/tmp`.
pub(super) fn default_path(backups: &Path) -> PathBuf {
    let folder = backups.join(OWN_FOLDER);
    let existing = folder.ancestors().find(|path| path.exists());
    let existing = existing.filter(|path| !path.as_os_str().is_empty());
    let writable = rustix::fs::access(existing.unwrap_or(Path::new(".")), Access::WRITE_OK).is_ok();
    let folder = if writable { folder } else { elsewhere(backups) };
    folder.join("history.db")
}

fn elsewhere(backups: &Path) -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = (set("XDG_STATE_HOME").map(PathBuf::from))
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".local/state")))
        .unwrap_or_else(|| PathBuf::from("/var/tmp"));
    // Each set of backups has its own, by its path.
    let digest = arc_backup_core::Digest::of(real_path(backups).as_os_str().as_encoded_bytes());
    base.join("arc-backup").join(&digest.to_string()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sets of backups must not share a lock and a history.
    #[test]
    fn each_set_of_backups_has_its_own_folder() {
        assert_ne!(elsewhere(Path::new("/a")), elsewhere(Path::new("/b")));
        assert_eq!(elsewhere(Path::new("/a")), elsewhere(Path::new("/a/../a")));
    }
}
