//! Setting aside: keeping what a restore replaces, in a folder beside the root.

use std::fs::File;
use std::io::{self, Read as _};

use arc_backup_core::{
    Activity, AsideArea, AsideAreas, AsideMode, AsideObject, AsideStore, Key, ListOptions,
    OperationId, Result,
};
use async_trait::async_trait;
use rustix::io::Errno;

use crate::error::{DiskFault, blocking, present};
use crate::folder::{Folder, give};
use crate::paths::{aside_path, random_name, split};
use crate::remove::{prune, remove_tree};
use crate::root::{OpenRoot, Root};
use crate::status::Status;
use crate::unsupported::{give_attributes, sync_file};
use crate::walk;

/// The folder beside a root for what restores replace.
#[derive(Debug, Clone)]
pub(crate) struct LocalAside {
    root: Root,
}

impl LocalAside {
    pub(crate) fn new(root: Root) -> Self {
        Self { root }
    }
}

#[async_trait]
impl AsideStore for LocalAside {
    async fn prepare(&self, operation: &OperationId, bytes: u64) -> Result<()> {
        let (root, id) = (self.root.clone(), operation.clone());
        blocking("prepare to set aside", operation, move || {
            prepare(&root, &id, bytes)
        })
        .await
    }

    async fn set_aside(&self, key: &Key, operation: &OperationId, mode: AsideMode) -> Result<()> {
        let (root, at, id) = (self.root.clone(), key.clone(), operation.clone());
        blocking("set aside", key, move || set_aside(&root, &at, &id, mode)).await
    }

    async fn look(&self, key: &Key, operation: &OperationId) -> Result<Option<AsideObject>> {
        let (root, at, id) = (self.root.clone(), key.clone(), operation.clone());
        blocking("look at", key, move || look(&root, &at, &id)).await
    }

    async fn put_back(&self, key: &Key, operation: &OperationId) -> Result<()> {
        let (root, at, id) = (self.root.clone(), key.clone(), operation.clone());
        blocking("put back", key, move || put_back(&root, &at, &id)).await
    }

    async fn remove(&self, operation: &OperationId, activity: &Activity) -> Result<()> {
        let (root, id, activity) = (self.root.clone(), operation.clone(), activity.clone());
        blocking("remove", operation, move || remove(&root, &id, &activity)).await
    }

    async fn list(&self) -> Result<Vec<AsideArea>> {
        let place = Root::new(aside_path(self.root.path()));
        let mut areas = AsideAreas::default();
        areas
            .add_listing(walk::list(place, ListOptions::default()), "")
            .await?;
        Ok(areas.into_vec())
    }

    fn location(&self, operation: &OperationId) -> String {
        let place = aside_path(self.root.path());
        place.join(operation.as_str()).display().to_string()
    }
}

/// Sets `key` aside in the operation's folder.
fn set_aside(
    root: &Root,
    key: &Key,
    operation: &OperationId,
    mode: AsideMode,
) -> Result<(), DiskFault> {
    let live = root.open()?;
    let (above, name) = split(key);
    let place = Root::new(aside_path(root.path()));
    let source = match present(live.beneath(above))? {
        Some(folder) => folder
            .file_status(name, key)?
            .map(|status| (folder, status)),
        None => None,
    };
    let path = format!("{operation}/{key}");
    let Some((from, status)) = source else {
        // Moved there before: an operation that is run again finds its work done.
        let done = mode == AsideMode::Move && is_aside(&place, &path)?;
        return if done { Ok(()) } else { Err(DiskFault::Absent) };
    };
    let inside = |fault: DiskFault| fault.at(format!("{}/{path}", place.text()));
    let place_root = place.open_or_create()?;
    let (to_above, to_name) = split(&path);
    let (to, mut new_folders) = place_root.ensure(to_above).map_err(inside)?;
    let transfer = Transfer {
        from: &from,
        name,
        path: key,
        status,
        to: &to,
        place: &place_root,
    };
    transfer.run(to_name, mode).map_err(|fault| match fault {
        DiskFault::Absent => DiskFault::Absent,
        fault => inside(fault),
    })?;
    new_folders.keep();
    if mode == AsideMode::Move {
        prune(&live, above);
    }
    Ok(())
}

fn is_aside(place: &Root, path: &str) -> Result<bool, DiskFault> {
    let (above, name) = split(path);
    let folder = present(place.open().and_then(|root| root.beneath(above)))?;
    Ok(match folder {
        Some(folder) => folder.file_status(name, path)?.is_some(),
        None => false,
    })
}

/// What is set aside at `key`: its folder, its name in there and what it is.
fn found_aside(
    root: &Root,
    key: &Key,
    operation: &OperationId,
) -> Result<Option<(Folder, Status)>, DiskFault> {
    let place = Root::new(aside_path(root.path()));
    let path = format!("{operation}/{key}");
    let (above, name) = split(&path);
    let Some(folder) = present(place.open().and_then(|root| root.beneath(above)))? else {
        return Ok(None);
    };
    let status = folder.file_status(name, &path)?;
    Ok(status.map(|status| (folder, status)))
}

fn look(root: &Root, key: &Key, operation: &OperationId) -> Result<Option<AsideObject>, DiskFault> {
    let Some((from, status)) = found_aside(root, key, operation)? else {
        return Ok(None);
    };
    let (above, name) = split(key);
    let live = present(root.open().and_then(|root| root.beneath(above)))?;
    let is_live = match &live {
        Some(live) => {
            let place = root.open()?;
            let transfer = Transfer {
                from: &from,
                name,
                path: key,
                status,
                to: live,
                place: &place,
            };
            transfer.is_there(name)?
        }
        None => false,
    };
    Ok(Some(AsideObject {
        size: status.size,
        is_live,
    }))
}

/// Makes what is set aside at `key` live: as a second name of the file, or a copy.
fn put_back(root: &Root, key: &Key, operation: &OperationId) -> Result<(), DiskFault> {
    let Some((from, status)) = found_aside(root, key, operation)? else {
        return Err(DiskFault::Absent);
    };
    let live = root.open_or_create()?;
    let (above, name) = split(key);
    let (to, mut new_folders) = live.ensure(above)?;
    to.check_replaceable(name, key)?;
    let temporary = random_name();
    match from.link(name, &to, &temporary) {
        Ok(()) => {}
        Err(
            Errno::XDEV
            | Errno::PERM
            | Errno::MLINK
            | Errno::ACCESS
            | Errno::NOTSUP
            | Errno::INVAL
            | Errno::NOSYS,
        ) => {
            let transfer = Transfer {
                from: &from,
                name,
                path: key,
                status,
                to: &to,
                place: &live,
            };
            transfer.copy(&temporary)?;
        }
        Err(errno) => return Err(errno.into()),
    }
    let renamed = to.rename(&temporary, &to, name);
    // A rename over another name of the same file does nothing, and leaves both.
    let removed = to.unlink(&temporary);
    renamed?;
    removed?;
    new_folders.keep();
    Ok(())
}

/// Makes the operation's folder, tries it with a file, and looks for room where files would be
/// copied there.
fn prepare(root: &Root, operation: &OperationId, bytes: u64) -> Result<(), DiskFault> {
    let Some(live) = present(root.open())? else {
        return Ok(());
    };
    let place = Root::new(aside_path(root.path()));
    let inside = |fault: DiskFault| fault.at(format!("{}/{operation}", place.text()));
    let opened = place.open_or_create()?;
    if let (Some(owner), true) = (
        live.owner_to_give(),
        opened.status.owner != live.status.owner,
    ) {
        give(&*opened.folder, owner);
    }
    let (folder, mut new_folders) = place.open()?.ensure(operation).map_err(inside)?;
    let probe = random_name();
    let write = || -> Result<(), DiskFault> {
        drop(folder.create_file(&probe)?);
        folder.unlink(&probe)?;
        Ok(())
    };
    write().map_err(inside)?;
    if opened.status.device != live.status.device {
        let room = rustix::fs::statvfs(place.path())?;
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        if free < bytes {
            let text = format!("it needs {bytes} bytes and {free} are free");
            return Err(inside(DiskFault::Io(io::Error::new(
                io::ErrorKind::StorageFull,
                text,
            ))));
        }
    }
    new_folders.keep();
    Ok(())
}

/// Removes what the operation has set aside.
fn remove(root: &Root, operation: &OperationId, activity: &Activity) -> Result<(), DiskFault> {
    let place = Root::new(aside_path(root.path()));
    remove_tree(&place, operation, activity)?;
    // Other operations may have their things there.
    let _ = std::fs::remove_dir(place.path());
    Ok(())
}

/// One file on its way to the place for things set aside.
struct Transfer<'a> {
    from: &'a Folder,
    name: &'a str,
    path: &'a str,
    status: Status,
    to: &'a Folder,
    place: &'a OpenRoot,
}

impl Transfer<'_> {
    /// Brings the file there under `wanted`, or `wanted.1` and so on where that is taken by another
    /// file.
    fn run(&self, wanted: &str, mode: AsideMode) -> Result<(), DiskFault> {
        for number in 0..=9999 {
            let to_name = match number {
                0 => wanted.to_owned(),
                number => format!("{wanted}.{number}"),
            };
            let moved = match mode {
                AsideMode::Move => self.from.rename_new(self.name, self.to, &to_name),
                AsideMode::Keep => self.from.link(self.name, self.to, &to_name),
            };
            let taken =
                match moved {
                    Ok(()) => return Ok(()),
                    Err(Errno::EXIST) => true,
                    Err(Errno::XDEV) => self.copy(&to_name)?,
                    Err(
                        Errno::PERM | Errno::MLINK | Errno::ACCESS | Errno::NOTSUP | Errno::NOSYS,
                    ) if mode == AsideMode::Keep => self.copy(&to_name)?,
                    Err(errno) => return Err(errno.into()),
                };
            if !taken || self.is_there(&to_name)? {
                if mode == AsideMode::Move {
                    self.from.unlink(self.name)?;
                }
                return Ok(());
            }
        }
        Err(DiskFault::Exists)
    }

    /// Copies the file, with what belongs to it. Returns whether the name was taken.
    fn copy(&self, to_name: &str) -> Result<bool, DiskFault> {
        if self.to.status(to_name)?.is_some() {
            return Ok(true);
        }
        let (mut source, status) = self.from.open_file(self.name, self.path)?;
        let temporary = random_name();
        let mut copy = self.to.create_file(&temporary)?;
        let mut finish = || -> Result<bool, DiskFault> {
            io::copy(&mut source, &mut copy)?;
            if self.place.owner_to_give().is_some() {
                give(&copy, status.owner);
            }
            give_attributes(&copy, Some(status.mode), status.modified());
            // The root's mark of durability does not reach another file system.
            sync_file(&copy)?;
            match self.to.rename_new(&temporary, self.to, to_name) {
                Err(Errno::EXIST) => return Ok(true),
                done => done?,
            }
            self.to.sync()?;
            Ok(false)
        };
        let result = finish();
        if !matches!(result, Ok(false)) {
            let _ = self.to.unlink(&temporary);
        }
        result
    }

    /// Whether what is at `to_name` is the same file, or one with the same bytes.
    fn is_there(&self, to_name: &str) -> Result<bool, DiskFault> {
        let Some(there) = self.to.status(to_name)? else {
            return Ok(false);
        };
        if there.is_same_file(&self.status) {
            return Ok(true);
        }
        if there.kind != self.status.kind || there.size != self.status.size {
            return Ok(false);
        }
        let (ours, _) = self.from.open_file(self.name, self.path)?;
        let (theirs, _) = self.to.open_file(to_name, to_name)?;
        Ok(is_equal(ours, theirs)?)
    }
}

/// Whether two files, of the same size when they were looked at, have the same bytes.
fn is_equal(mut a: File, mut b: File) -> io::Result<bool> {
    let (mut from_a, mut from_b) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let count = a.read(&mut from_a)?;
        if count == 0 {
            return Ok(b.read(&mut from_b)? == 0);
        }
        match b.read_exact(&mut from_b[..count]) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            done => done?,
        }
        if from_a[..count] != from_b[..count] {
            return Ok(false);
        }
    }
}
