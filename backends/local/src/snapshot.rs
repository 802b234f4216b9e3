//! Snapshots: hard links to files, in a folder beside the root while a backup copies.

use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use arc_backup_core::{
    Activity, BlockingJob, Discard, Discarded, GetOptions, Key, Meta, Object, OperationId, Result,
    SnapshotFolder, SnapshotStore,
};
use async_trait::async_trait;
use rustix::io::Errno;

use crate::error::{DiskFault, blocking, present};
use crate::folder::Folder;
use crate::paths::{snapshot_prefix, split};
use crate::read;
use crate::remove::remove_tree;
use crate::root::Root;
use crate::status::Kind;

/// The folders beside a root that hold snapshots of it.
#[derive(Debug, Clone)]
pub(crate) struct LocalSnapshots {
    root: Root,
}

impl LocalSnapshots {
    pub(crate) fn new(root: Root) -> Self {
        Self { root }
    }
}

#[async_trait]
impl SnapshotStore for LocalSnapshots {
    async fn create(&self, operation: &OperationId) -> Result<Box<dyn SnapshotFolder>> {
        let (root, id) = (self.root.clone(), operation.clone());
        let made = blocking("make a snapshot for", operation, move || {
            LocalSnapshot::make(&root, &id)
        });
        Ok(Box::new(made.await?))
    }

    async fn discard_leftovers(&self, discard: Discard, activity: &Activity) -> Result<Discarded> {
        let (root, activity) = (self.root.clone(), activity.clone());
        blocking("clean up beside", &self.root.text(), move || {
            discard_leftovers(&root, discard, &activity)
        })
        .await
    }
}

/// A folder of hard links beside the root. It is locked for as long as it is in use, which
/// distinguishes it from those of crashed processes.
#[derive(Debug)]
struct LocalSnapshot {
    root: Root,
    place: Root,
    /// Holds the lock.
    lock: Option<File>,
}

/// How often a folder is made that another process removes as a leftover before it is locked.
const MAKE_ATTEMPTS: u32 = 5;

impl LocalSnapshot {
    /// Makes the folder for the operation, which must not exist.
    fn make(root: &Root, operation: &OperationId) -> Result<Self, DiskFault> {
        // Another process that cleans up may take a folder for a leftover that is not locked yet.
        for _ in 1..MAKE_ATTEMPTS {
            if let Some(made) = Self::try_make(root, operation)? {
                return Ok(made);
            }
        }
        Self::try_make(root, operation)?.ok_or_else(|| {
            DiskFault::Unsupported("its folder is removed each time that it is made".to_owned())
        })
    }

    /// Tries once; `None` where another process had the folder before it was locked.
    fn try_make(root: &Root, operation: &OperationId) -> Result<Option<Self>, DiskFault> {
        let mut path = snapshot_prefix(root.path()).into_os_string();
        path.push(operation.as_str());
        let path = PathBuf::from(path);
        let refused =
            |error: std::io::Error| DiskFault::Unsupported(format!("{}: {error}", path.display()));
        std::fs::create_dir(&path).map_err(refused)?;
        let private = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700);
        let opened = std::fs::set_permissions(&path, private).and_then(|()| File::open(&path));
        let locked = match opened {
            Ok(folder) => match folder.try_lock() {
                Ok(()) => folder,
                Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
                Err(std::fs::TryLockError::Error(error)) => {
                    let _ = std::fs::remove_dir(&path);
                    return Err(refused(error));
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let _ = std::fs::remove_dir(&path);
                return Err(refused(error));
            }
        };
        // Between the two steps another process may have removed it as a leftover.
        let (ours, there) = (locked.metadata(), std::fs::symlink_metadata(&path));
        let same =
            |a: &std::fs::Metadata, b: &std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        if !matches!((&ours, &there), (Ok(ours), Ok(there)) if same(ours, there)) {
            return Ok(None);
        }
        Ok(Some(Self {
            root: root.clone(),
            place: Root::new(path),
            lock: Some(locked),
        }))
    }

    fn add_all(root: &Root, place: &Root, keys: &[Key]) -> Result<Vec<Option<Meta>>, DiskFault> {
        let (from, to) = (root.open()?, place.open()?);
        // Keys come in order, most of them from the folder of the one before.
        let mut folders: Option<(String, Folder, Folder)> = None;
        let mut added = Vec::with_capacity(keys.len());
        for key in keys {
            let (above, name) = split(key);
            if folders.as_ref().is_none_or(|(at, ..)| at != above) {
                let Some(source) = present(from.beneath(above))? else {
                    folders = None;
                    added.push(None);
                    continue;
                };
                let (target, mut new_folders) = to.ensure(above).map_err(as_unsupported)?;
                new_folders.keep();
                folders = Some((above.to_owned(), source, target));
            }
            let Some((_, source, target)) = &folders else {
                continue;
            };
            added.push(add_one(source, target, name, key)?);
        }
        Ok(added)
    }
}

/// A backup does not fail for want of a snapshot: it is made without one.
fn as_unsupported(fault: DiskFault) -> DiskFault {
    match fault {
        DiskFault::Io(error) | DiskFault::At { error, .. } => {
            DiskFault::Unsupported(error.to_string())
        }
        other => other,
    }
}

fn add_one(
    source: &Folder,
    target: &Folder,
    name: &str,
    key: &Key,
) -> Result<Option<Meta>, DiskFault> {
    for _ in 0..10 {
        match source.link(name, target, name) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                target.unlink(name)?;
                continue;
            }
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            // A folder is at the key.
            Err(Errno::PERM | Errno::ISDIR) if is_not_file(source, name) => return Ok(None),
            Err(errno) => return Err(as_unsupported(errno.into())),
        }
        let Some(status) = target.status(name)? else {
            return Err(DiskFault::Absent);
        };
        if status.kind != Kind::File {
            target.unlink(name)?;
            return Ok(None);
        }
        return Ok(Some(status.meta(key.clone())));
    }
    Err(DiskFault::Exists)
}

fn is_not_file(folder: &Folder, name: &str) -> bool {
    matches!(folder.status(name), Ok(status) if status.is_none_or(|status| status.kind != Kind::File))
}

#[async_trait]
impl SnapshotFolder for LocalSnapshot {
    async fn add(&self, keys: &[Key]) -> Result<Vec<Option<Meta>>> {
        let (root, place, keys) = (self.root.clone(), self.place.clone(), keys.to_vec());
        let subject = self.place.text();
        blocking("make links in", &subject, move || {
            Self::add_all(&root, &place, &keys)
        })
        .await
    }

    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        read::open(&self.place, key, options).await
    }

    async fn release(mut self: Box<Self>, activity: &Activity) -> Result<()> {
        let (subject, activity) = (self.place.text(), activity.clone());
        blocking("remove", &subject, move || self.remove(&activity)).await
    }
}

impl LocalSnapshot {
    /// Removes the folder while it is locked, so that nobody else does so at once.
    fn remove(&mut self, activity: &Activity) -> Result<(), DiskFault> {
        if let Some(lock) = self.lock.take() {
            remove_folder(self.place.path(), activity)?;
            drop(lock);
        }
        Ok(())
    }
}

impl Drop for LocalSnapshot {
    fn drop(&mut self) {
        let Some(lock) = self.lock.take() else {
            return;
        };
        // It may hold a million names, and a drop must not take long. What can't be removed now is
        // removed by the next operation.
        let (path, job) = (self.place.path().to_owned(), BlockingJob::begin());
        let _ = std::thread::Builder::new().spawn(move || {
            let _ = remove_folder(&path, &Activity::default());
            drop((lock, job));
        });
    }
}

fn remove_folder(path: &Path, activity: &Activity) -> Result<(), DiskFault> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    match name.to_str() {
        Some(name) => remove_tree(&Root::new(above.to_owned()), name, activity),
        // A root whose own name is not UTF-8. Only this program writes there, and links are not
        // followed.
        None => match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        },
    }
}

/// Removes, or counts, the folders of operations that no longer run.
fn discard_leftovers(
    root: &Root,
    discard: Discard,
    activity: &Activity,
) -> Result<Discarded, DiskFault> {
    let prefix = snapshot_prefix(root.path());
    let (Some(above), Some(start)) = (prefix.parent(), prefix.file_name()) else {
        return Ok(Discarded::default());
    };
    let mut discarded = Discarded::default();
    let children = match std::fs::read_dir(above) {
        Ok(children) => children,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(discarded),
        Err(error) => return Err(DiskFault::from(error).at(above.display().to_string())),
    };
    for child in children {
        let child = child?;
        let ours = child.file_name().as_bytes().starts_with(start.as_bytes())
            && child.file_type().is_ok_and(|kind| kind.is_dir());
        if !ours {
            continue;
        }
        // In use, or gone this moment.
        let Ok(folder) = File::open(child.path()) else {
            continue;
        };
        if folder.try_lock().is_err() {
            continue;
        }
        let removed = match discard {
            Discard::Count => Ok(()),
            Discard::Remove => remove_folder(&child.path(), activity),
        };
        let path = child.path().display().to_string();
        let removed = removed.map(|()| Discarded::of(1));
        discarded.add(removed.map_err(|fault| fault.about("remove", &path)));
    }
    Ok(discarded)
}
