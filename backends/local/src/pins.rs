//! Second names for files: hard links, in a folder beside the root while a backup copies, or inside it.

use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use arc_backup_core::{
    Activity, BlockingJob, Discard, Discarded, Error, ErrorKind, GetOptions, Key, Meta, Object,
    Pins, Result,
};
use async_trait::async_trait;
use rustix::io::Errno;

use crate::error::{Fault, blocking, present};
use crate::folder::Folder;
use crate::paths::{check_word, pins_prefix, random_name, split};
use crate::remove::remove_tree;
use crate::root::{OpenRoot, Root};
use crate::status::Kind;

/// A folder beside the root, locked for as long as it is in use: that tells it from what a crash has left.
#[derive(Debug)]
pub(crate) struct LocalPins {
    root: Root,
    place: Root,
    /// Holds the lock.
    lock: Option<File>,
}

/// How often a folder is made that is taken for a dead operation's meanwhile.
const MAKE_ATTEMPTS: u32 = 5;

impl LocalPins {
    /// Makes the folder for the operation `area`, which must not exist.
    pub(crate) fn make(root: Root, area: &str) -> Result<Self, Fault> {
        check_word(area, "operation")?;
        // Who clears up after the dead may take a folder for theirs that is not locked yet.
        for _ in 1..MAKE_ATTEMPTS {
            if let Some(made) = Self::try_make(&root, area)? {
                return Ok(made);
            }
        }
        Self::try_make(&root, area)?.ok_or_else(|| {
            Fault::Unsupported("its folder is removed each time that it is made".to_owned())
        })
    }

    /// The same once; `None` where somebody else had the folder before it was locked.
    fn try_make(root: &Root, area: &str) -> Result<Option<Self>, Fault> {
        let mut path = pins_prefix(root.path()).into_os_string();
        path.push(area);
        let path = PathBuf::from(path);
        let refused =
            |error: std::io::Error| Fault::Unsupported(format!("{}: {error}", path.display()));
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
        // Between the two steps another process may have taken it for a crash's leavings.
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

    fn pin_all(root: &Root, place: &Root, keys: &[Key]) -> Result<Vec<Option<Meta>>, Fault> {
        let (from, to) = (root.open()?, place.open()?);
        // Keys come in order, most of them from the folder of the one before.
        let mut folders: Option<(String, Folder, Folder)> = None;
        let mut pinned = Vec::with_capacity(keys.len());
        for key in keys {
            let (above, name) = split(key);
            if folders.as_ref().is_none_or(|(at, ..)| at != above) {
                let Some(source) = present(from.beneath(above))? else {
                    folders = None;
                    pinned.push(None);
                    continue;
                };
                let (target, mut new_folders) = to.ensure(above).map_err(as_unsupported)?;
                new_folders.keep();
                folders = Some((above.to_owned(), source, target));
            }
            let Some((_, source, target)) = &folders else {
                continue;
            };
            pinned.push(pin_one(source, target, name, key)?);
        }
        Ok(pinned)
    }
}

/// That no file can be made there is no reason to give a backup up: it is made without pins.
fn as_unsupported(fault: Fault) -> Fault {
    match fault {
        Fault::Io(error) | Fault::At { error, .. } => Fault::Unsupported(error.to_string()),
        other => other,
    }
}

fn pin_one(source: &Folder, target: &Folder, name: &str, key: &Key) -> Result<Option<Meta>, Fault> {
    for _ in 0..10 {
        match source.link(name, target, name) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                target.unlink(name)?;
                continue;
            }
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            // A folder is at the key.
            Err(Errno::PERM | Errno::ISDIR) if is_no_file(source, name) => return Ok(None),
            Err(errno) => return Err(as_unsupported(errno.into())),
        }
        let Some(status) = target.status(name)? else {
            return Err(Fault::Absent);
        };
        if status.kind != Kind::File {
            target.unlink(name)?;
            return Ok(None);
        }
        return Ok(Some(status.meta(key.clone())));
    }
    Err(Fault::Exists)
}

fn is_no_file(folder: &Folder, name: &str) -> bool {
    matches!(folder.status(name), Ok(status) if status.is_none_or(|status| status.kind != Kind::File))
}

#[async_trait]
impl Pins for LocalPins {
    async fn pin(&self, keys: &[Key]) -> Result<Vec<Option<Meta>>> {
        let (root, place, keys) = (self.root.clone(), self.place.clone(), keys.to_vec());
        let subject = self.place.text();
        blocking("pin in", &subject, move || {
            Self::pin_all(&root, &place, &keys)
        })
        .await
    }

    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        let (place, at) = (self.place.clone(), key.clone());
        let object = blocking("read", key, move || crate::sink::get(&place, at, options)).await?;
        object.ok_or_else(|| Error::new(ErrorKind::Changed, "read", key.as_str(), "it changed"))
    }

    async fn release(mut self: Box<Self>, activity: &Activity) -> Result<()> {
        let (subject, activity) = (self.place.text(), activity.clone());
        blocking("remove", &subject, move || self.remove(&activity)).await
    }
}

impl LocalPins {
    /// Removes the folder while it is locked, so that nobody else does so at once.
    fn remove(&mut self, activity: &Activity) -> Result<(), Fault> {
        if let Some(lock) = self.lock.take() {
            remove_folder(self.place.path(), activity)?;
            drop(lock);
        }
        Ok(())
    }
}

impl Drop for LocalPins {
    fn drop(&mut self) {
        let Some(lock) = self.lock.take() else {
            return;
        };
        // It may hold a million names, and a drop must hold up nobody. What can't be removed now is removed by the next operation.
        let (path, job) = (self.place.path().to_owned(), BlockingJob::begin());
        let _ = std::thread::Builder::new().spawn(move || {
            let _ = remove_folder(&path, &Activity::default());
            drop((lock, job));
        });
    }
}

fn remove_folder(path: &Path, activity: &Activity) -> Result<(), Fault> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    match name.to_str() {
        Some(name) => remove_tree(&Root::new(above.to_owned()), name, activity),
        // A root whose own name is no UTF-8. Nobody but us writes there, and links are not followed.
        None => match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        },
    }
}

/// Removes, or counts, the folders of operations that no longer run.
pub(crate) fn discard(
    root: &Root,
    discard: Discard,
    activity: &Activity,
) -> Result<Discarded, Fault> {
    let prefix = pins_prefix(root.path());
    let (Some(above), Some(start)) = (prefix.parent(), prefix.file_name()) else {
        return Ok(Discarded::default());
    };
    let mut discarded = Discarded::default();
    let children = match std::fs::read_dir(above) {
        Ok(children) => children,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(discarded),
        Err(error) => return Err(Fault::from(error).at(above.display().to_string())),
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

/// Makes `to` a second name of the file `from`, in place of what was there.
pub(crate) fn duplicate(root: &Root, from: &str, to: Key) -> Result<Meta, Fault> {
    let root: OpenRoot = root.open()?;
    let (above, name) = split(from);
    let source = root.beneath(above)?;
    if source.file_status(name, from)?.is_none() {
        return Err(Fault::Absent);
    }
    let (to_above, to_name) = split(&to);
    let (target, mut new_folders) = root.ensure(to_above)?;
    target.check_replaceable(to_name, &to)?;
    let temporary = random_name();
    match source.link(name, &target, &temporary) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Err(Fault::Absent),
        Err(
            errno @ (Errno::XDEV
            | Errno::PERM
            | Errno::ACCESS
            | Errno::MLINK
            | Errno::NOTSUP
            | Errno::INVAL
            | Errno::NOSYS),
        ) => return Err(Fault::Unsupported(errno.to_string())),
        Err(errno) => return Err(errno.into()),
    }
    let finish = || -> Result<Meta, Fault> {
        target.rename(&temporary, &target, to_name)?;
        // A rename over another name of the same file does nothing, and leaves both.
        target.unlink(&temporary)?;
        let status = target.file_status(to_name, &to)?.ok_or(Fault::Absent)?;
        Ok(status.meta(to.clone()))
    };
    let done = finish();
    match &done {
        Ok(_) => new_folders.keep(),
        Err(_) => drop(target.unlink(&temporary)),
    }
    done
}
