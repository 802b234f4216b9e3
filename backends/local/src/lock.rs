//! Locks between processes: `flock` on a file that holds the text of who has it.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_backup_core::{Key, LockGuard, LockOutcome, Result};
use async_trait::async_trait;

use crate::error::{DiskFault, blocking, present};
use crate::folder::give;
use crate::paths::split;
use crate::root::Root;
use crate::status::Status;
use crate::unsupported::says_unsupported;

/// How much of the text is read.
const TEXT_BYTES: u64 = 64 << 10;

/// How often, and how far apart, a lock is tried that is taken: who only asks for its holder holds
/// it for a moment.
const MAX_ATTEMPTS: u32 = 5;
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Takes the lock `key`.
///
/// The kernel frees the lock of a process that died. It belongs to the open file, so that two locks
/// in one process exclude each other as well. The file stays for ever: deleting it would let two
/// holders lock two files.
pub(crate) fn lock(root: &Root, key: &Key, holder: &str) -> Result<LockOutcome, DiskFault> {
    let mut attempt = try_lock(root, key, holder)?;
    for _ in 1..MAX_ATTEMPTS {
        if let LockOutcome::Busy(_) = attempt {
            std::thread::sleep(RETRY_INTERVAL);
            attempt = try_lock(root, key, holder)?;
        }
    }
    Ok(attempt)
}

fn try_lock(root: &Root, key: &Key, holder: &str) -> Result<LockOutcome, DiskFault> {
    let (above, name) = split(key);
    // The file may be removed, with its folder, between opening and locking it: then lock the new
    // one.
    for _ in 0..100 {
        let opened = root.open_or_create()?;
        let (folder, mut new_folders) = opened.ensure(above)?;
        let (file, status) = match folder.open_or_create_file(name, key) {
            Err(DiskFault::Absent) => continue,
            other => other?,
        };
        new_folders.keep();
        if !try_exclusive(&file)? {
            return Ok(LockOutcome::Busy(read_text(&file)?));
        }
        if !is_still(root, key, &status)? {
            continue;
        }
        if let Some(owner) = opened
            .owner_to_give()
            .filter(|owner| *owner != status.owner)
        {
            give(&file, owner);
        }
        file.set_len(0)?;
        match file.write_all_at(holder.as_bytes(), 0) {
            // A full disk must not keep anybody from deleting what fills it: the lock holds without
            // its text.
            Err(error) if is_full(&error) => file.set_len(0)?,
            done => done?,
        }
        return Ok(LockOutcome::Held(Box::new(LocalLock {
            root: root.clone(),
            key: key.clone(),
            file: Arc::new(Mutex::new(Some(file))),
            status,
        })));
    }
    Err(DiskFault::Absent)
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn try_exclusive(file: &File) -> Result<bool, DiskFault> {
    taken(file.try_lock())
}

fn taken(result: Result<(), TryLockError>) -> Result<bool, DiskFault> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if has_no_locks(&error) => {
            Err(DiskFault::Unsupported(format!(
                "its file system has no locks between processes (flock: {error}), and two backups at once would harm each other: \
                 mount it with locks (NFS: without `nolock`; SMB: without `nobrl`; FUSE: see the program's own options), or back up to \
                 another disk and copy from there"
            )))
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn has_no_locks(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    says_unsupported(error)
        || errno.is_some_and(|errno| [Errno::NOLCK, Errno::PERM].contains(&errno))
}

fn read_text(file: &File) -> Result<String, DiskFault> {
    let mut text = Vec::new();
    file.take(TEXT_BYTES).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Whether `key` still names the file of this status.
fn is_still(root: &Root, key: &str, status: &Status) -> Result<bool, DiskFault> {
    let (above, name) = split(key);
    let now = present(root.open().and_then(|root| root.beneath(above)))?
        .map(|folder| folder.status(name))
        .transpose()?
        .flatten();
    Ok(now.is_some_and(|now| now.is_same_file(status)))
}

/// Who holds the lock `key`.
pub(crate) fn lock_holder(root: &Root, key: &str) -> Result<Option<String>, DiskFault> {
    let (above, name) = split(key);
    let Some(folder) = present(root.open().and_then(|root| root.beneath(above)))? else {
        return Ok(None);
    };
    let Some((file, _)) = present(folder.open_file(name, key))? else {
        return Ok(None);
    };
    // Shared, so that several who ask do not take each other for the holder; closing the file gives
    // it back.
    let tried = file.try_lock_shared();
    // Where there are no locks, nobody holds one.
    if matches!(&tried, Err(TryLockError::Error(error)) if has_no_locks(error)) || taken(tried)? {
        return Ok(None);
    }
    read_text(&file).map(Some)
}

/// A lock that is held, for as long as its file is open.
struct LocalLock {
    root: Root,
    key: Key,
    /// `None` when it was given back.
    file: Arc<Mutex<Option<File>>>,
    status: Status,
}

#[async_trait]
impl LockGuard for LocalLock {
    async fn check(&self) -> Result<()> {
        let (root, key, status) = (self.root.clone(), self.key.clone(), self.status);
        blocking("hold the lock", &self.key, move || {
            if is_still(&root, &key, &status)? {
                return Ok(());
            }
            Err(DiskFault::Busy(
                "its file was removed or replaced by another process".to_owned(),
            ))
        })
        .await
    }

    async fn release(&self) -> Result<()> {
        let file = self.file.clone();
        blocking("release", &self.key, move || {
            give_back(&file);
            Ok(())
        })
        .await
    }
}

impl Drop for LocalLock {
    fn drop(&mut self) {
        give_back(&self.file);
    }
}

fn give_back(file: &Mutex<Option<File>>) {
    let held = file.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(file) = held {
        // First the text, while it is still ours to write.
        let _ = file.set_len(0);
        let _ = file.unlock();
    }
}
