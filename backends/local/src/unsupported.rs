//! What a file system may lack: SMB, WebDAV and FUSE mounts, old kernels, sandboxes.
//!
//! Modes, times and owners are given where that can be done; what a backup says of a file is in its
//! inventory. For the rest there is another way, or an error that says what is missing.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::time::SystemTime;

use rustix::io::Errno;

/// Whether `errno` says that a call is not to be had, and not that it went wrong.
pub(crate) fn is_unsupported(errno: Errno) -> bool {
    // A file system that knows nothing of a call's kind says EINVAL.
    [Errno::NOSYS, Errno::OPNOTSUPP, Errno::INVAL, Errno::NOTTY].contains(&errno)
}

/// The same of an error.
pub(crate) fn says_unsupported(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_some_and(is_unsupported)
}

/// Gives a file its mode and time, as far as its file system keeps any: some refuse with errors of
/// every kind. A file without has the mode that it was created with, which is private.
pub(crate) fn give_attributes(file: &File, mode: Option<u32>, modified: Option<SystemTime>) {
    if let Some(mode) = mode {
        // Never a bit that lends somebody else's rights.
        let _ = file.set_permissions(Permissions::from_mode(mode & 0o777));
    }
    if let Some(modified) = modified {
        let _ = file.set_modified(modified);
    }
}

/// Waits until a file's bytes are on disk, where its file system can say so.
pub(crate) fn sync_file(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if says_unsupported(&error) => Ok(()),
        synced => synced,
    }
}
