//! Locks between the processes of this instance: that of whoever writes, for all targets, and one
//! of each operation that only reads.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use crate::repository::Holder;
use crate::{Error, Result};

/// Attempts to take the lock, 5 ms apart: a process that only checks for a holder locks the file
/// for a moment.
const MAX_ATTEMPTS: u32 = 20;

/// The held lock. Dropping it releases it; the kernel releases the lock of a dead process.
#[derive(Debug)]
pub(crate) struct InstanceLock(File);

impl InstanceLock {
    /// Takes the lock in the file `path`, and creates the file if it is missing.
    pub(crate) fn take(path: &Path, holder: &Holder) -> Result<Self> {
        let fault = |e| {
            Error::io("lock", path, e)
                .context("set `backup.state_path` to a file in a folder that can be written")
        };
        if let Some(folder) = path.parent() {
            crate::files::create_folder(folder).map_err(fault)?;
        }
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(fault)?;
        if let Some(folder) = path.parent() {
            crate::files::give_if_possible(folder, path);
        }
        let mut attempts = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempts < MAX_ATTEMPTS => {
                    attempts += 1;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(read_holder(&mut file).into());
                }
                Err(TryLockError::Error(error)) => {
                    return Err(Error::io("lock", path, error).context(
                        "its file system has no locks between processes: set `backup.state_path` to a file on local disk",
                    ));
                }
            }
        }
        let mut lock = Self(file);
        match lock.write(holder) {
            // On a full disk the lock is held without a holder's name, so that a deletion can free
            // space.
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {}
            written => written.map_err(fault)?,
        }
        Ok(lock)
    }

    fn write(&mut self, holder: &Holder) -> std::io::Result<()> {
        self.0.set_len(0)?;
        self.0.rewind()?;
        self.0.write_all(holder.to_text().as_bytes())
    }

    /// Whether the file is still the one at `path`.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        let file = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        match (self.0.metadata(), std::fs::metadata(path)) {
            (Ok(held), Ok(there)) => file(held) == file(there),
            _ => false,
        }
    }

    /// Removes the file `path` if nobody holds its lock, after `first`. Only for a file that has a
    /// name of its own: whoever takes its lock at that moment has to check that it [is still
    /// there](Self::is_at).
    pub(crate) fn remove_free(path: &Path, first: impl FnOnce()) {
        if let Ok(file) = File::options().read(true).write(true).open(path)
            && file.try_lock().is_ok()
        {
            first();
            // The next operation attempts it again.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Runs `work` while nobody can take the lock in the file `path`; returns `None` if somebody
    /// holds it.
    pub(crate) fn while_free<T>(path: &Path, work: impl FnOnce() -> T) -> Option<T> {
        let file = File::options().read(true).open(path).ok();
        if let Some(file) = &file {
            match file.try_lock_shared() {
                Err(TryLockError::WouldBlock) => return None,
                // On a file system without locks, no other process can hold one.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
        }
        Some(work())
    }

    /// Returns the holder of the lock in the file `path`; `None` if nobody holds it.
    pub(crate) fn holder(path: &Path) -> Option<Holder> {
        let mut file = File::options().read(true).open(path).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(read_holder(&mut file)),
            _ => None,
        }
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // Unlocked explicitly: a child process may still have the file open.
        let _ = self.0.set_len(0);
        let _ = self.0.unlock();
    }
}

fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    // The text is empty if the holder has only just taken the lock.
    let _ = file.rewind();
    let _ = file.take(64 << 10).read_to_string(&mut text);
    Holder::from_text(&text)
}
