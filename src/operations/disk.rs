//! The free space of a file system.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The block size that is assumed: a file wastes half a block on average.
const BLOCK_BYTES: u64 = 4096;

/// The space of a file system, as this process may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Room {
    /// The folder that was examined, or the nearest existing folder above it.
    pub(crate) folder: PathBuf,
    /// The device number of the file system.
    pub(crate) device: u64,
    /// Bytes that can still be written.
    pub(crate) free_bytes: u64,
    /// The size of the file system in bytes.
    pub(crate) total_bytes: u64,
    /// Files that can still be created (inodes); `None` if the file system has no such limit.
    pub(crate) free_files: Option<u64>,
}

impl Room {
    /// Returns the space at `path`, which need not exist yet; `None` if the file system does not
    /// report its size.
    ///
    /// # Errors
    /// Fails if the nearest existing folder cannot be examined.
    pub(crate) fn at(path: &Path) -> io::Result<Option<Self>> {
        let folder = existing(path);
        let device = std::fs::metadata(folder)?.dev();
        let room = match rustix::fs::statvfs(folder) {
            Err(error) if crate::files::is_lacking(&error.into()) => return Ok(None),
            room => room?,
        };
        let bytes = |blocks: u64| blocks.saturating_mul(room.f_frsize);
        if room.f_blocks == 0 {
            return Ok(None);
        }
        Ok(Some(Self {
            folder: folder.to_owned(),
            device,
            free_bytes: bytes(room.f_bavail),
            total_bytes: bytes(room.f_blocks),
            free_files: (room.f_files > 0).then_some(room.f_favail),
        }))
    }
}

/// Returns the path itself, or the nearest folder above it that exists.
pub(crate) fn existing(path: &Path) -> &Path {
    let existing = path.ancestors().find(|path| path.exists());
    let existing = existing.filter(|path| !path.as_os_str().is_empty());
    existing.unwrap_or(Path::new("."))
}

/// Estimates the space that files of this total size take: each of them leaves its last block
/// partly empty.
pub(crate) fn taken(files: u64, bytes: u64) -> u64 {
    bytes.saturating_add(files.saturating_mul(BLOCK_BYTES / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a missing answer for a folder that the first backup creates.
    #[test]
    fn a_folder_that_is_not_there_yet_has_the_room_of_the_one_above() {
        let folder = tempfile::tempdir().expect("a folder");
        let there = Room::at(folder.path())
            .expect("known")
            .expect("the system says");
        let below = Room::at(&folder.path().join("a/b")).expect("known");
        let below = below.expect("the system says");
        assert_eq!(
            (&*below.folder, below.device),
            (folder.path(), there.device)
        );
        assert!(below.free_bytes > 0 && below.total_bytes >= below.free_bytes);
        assert_eq!(existing(Path::new("absent/b")), Path::new("."));
    }
}
