//! An open folder. Nothing here follows a symbolic link, but for opening a root.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::error::DiskFault;
use crate::paths::{random_name, split};
use crate::status::{Kind, Owner, Status};
use crate::unsupported::is_unsupported;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
const NO_LINK: OFlags = OFlags::NOFOLLOW;

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Folder {
    /// Opens the folder at `path`, which may itself be a symbolic link to one.
    pub(crate) fn open(path: &Path) -> Result<Self, Errno> {
        rustix::fs::openat(CWD, path, FOLDER, Mode::empty()).map(Self)
    }

    /// Another handle on the same folder.
    pub(crate) fn duplicate(&self) -> Result<Self, DiskFault> {
        Ok(Self(self.0.try_clone()?))
    }

    /// Opens the folder `name` in this one.
    pub(crate) fn child(&self, name: impl Arg) -> Result<Self, Errno> {
        rustix::fs::openat(self, name, FOLDER | NO_LINK, Mode::empty()).map(Self)
    }

    /// Opens the folder `path`, any number of levels below this one, itself for an empty path.
    pub(crate) fn beneath(&self, path: &str) -> Result<Self, DiskFault> {
        if path.is_empty() {
            return self.duplicate();
        }
        let mut last = Errno::LOOP;
        // What is a link or a file when it is opened, and a folder when it is looked at, has been
        // replaced in between: look again.
        for _ in 0..10 {
            let errno = match open_beneath(self, path) {
                Ok(folder) => return Ok(folder),
                Err(errno) => errno,
            };
            match self.explain(path, errno) {
                DiskFault::Io(_) if matches!(errno, Errno::LOOP | Errno::NOTDIR) => last = errno,
                fault => return Err(fault),
            }
        }
        Err(last.into())
    }

    /// Why the folder `path` can't be opened, naming what is in the way.
    pub(crate) fn explain(&self, path: &str, errno: Errno) -> DiskFault {
        if !matches!(errno, Errno::LOOP | Errno::NOTDIR | Errno::MLINK) {
            return errno.into();
        }
        let ends = path.match_indices('/').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            let above = &path[..end];
            match self.status(above) {
                Ok(Some(status)) => match status.kind {
                    Kind::Folder => {}
                    Kind::Symlink => {
                        return DiskFault::Obstacle {
                            path: above.to_owned(),
                            what: Kind::Symlink.as_str(),
                        };
                    }
                    kind => {
                        return DiskFault::NotFolder {
                            path: above.to_owned(),
                            what: kind.as_str(),
                        };
                    }
                },
                Ok(None) => return DiskFault::Absent,
                Err(errno) => return errno.into(),
            }
        }
        errno.into()
    }

    /// The status of this folder.
    pub(crate) fn own_status(&self) -> Result<Status, Errno> {
        rustix::fs::fstat(self).map(Status::from)
    }

    /// The status of `name` in this folder; `None` when it is absent.
    pub(crate) fn status(&self, name: impl Arg) -> Result<Option<Status>, Errno> {
        match rustix::fs::statat(self, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// The status of the regular file `name`, `None` when there is none; whatever else is there but
    /// a folder is an error that names it by `path`.
    pub(crate) fn file_status(&self, name: &str, path: &str) -> Result<Option<Status>, DiskFault> {
        match self.status(name)? {
            Some(status) => match status.kind {
                Kind::File => Ok(Some(status)),
                Kind::Folder => Ok(None),
                kind => Err(DiskFault::Obstacle {
                    path: path.to_owned(),
                    what: kind.as_str(),
                }),
            },
            None => Ok(None),
        }
    }

    /// Checks that a file may be renamed to `name`: that nothing but a regular file is there.
    pub(crate) fn check_replaceable(&self, name: &str, path: &str) -> Result<(), DiskFault> {
        match self.status(name)? {
            Some(status) if status.kind != Kind::File => Err(DiskFault::Obstacle {
                path: path.to_owned(),
                what: status.kind.as_str(),
            }),
            _ => Ok(()),
        }
    }

    /// Opens the regular file `name` for reading, without ever waiting for anything else.
    pub(crate) fn open_file(&self, name: &str, path: &str) -> Result<(File, Status), DiskFault> {
        // Looked at before it is opened: opening a FIFO or a device can be felt by others.
        if self.file_status(name, path)?.is_none() {
            return Err(DiskFault::Absent);
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | NO_LINK | OFlags::CLOEXEC;
        self.open_checked(name, path, flags)
    }

    /// Opens the regular file `name` for reading and writing, and creates it when it is absent.
    pub(crate) fn open_or_create_file(
        &self,
        name: &str,
        path: &str,
    ) -> Result<(File, Status), DiskFault> {
        self.check_replaceable(name, path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK | NO_LINK | OFlags::CLOEXEC;
        self.open_checked(name, path, flags)
    }

    fn open_checked(
        &self,
        name: &str,
        path: &str,
        flags: OFlags,
    ) -> Result<(File, Status), DiskFault> {
        let file = match rustix::fs::openat(self, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => file,
            Err(Errno::LOOP | Errno::MLINK) => {
                return Err(DiskFault::Obstacle {
                    path: path.to_owned(),
                    what: Kind::Symlink.as_str(),
                });
            }
            Err(errno) => return Err(errno.into()),
        };
        let status = Status::from(rustix::fs::fstat(&file)?);
        match status.kind {
            Kind::File => Ok((file.into(), status)),
            kind => Err(DiskFault::Obstacle {
                path: path.to_owned(),
                what: kind.as_str(),
            }),
        }
    }

    /// Creates the file `name`, private to the owner, for writing; it must not exist.
    pub(crate) fn create_file(&self, name: &str) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | NO_LINK | OFlags::CLOEXEC;
        rustix::fs::openat(self, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
    }

    /// Makes the folder `name` of this mode. Returns whether it was missing.
    pub(crate) fn make_folder(
        &self,
        name: &str,
        owner: Option<Owner>,
        mode: u32,
    ) -> Result<bool, Errno> {
        match rustix::fs::mkdirat(self, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(false),
            Err(errno) => return Err(errno),
        }
        let folder = self.child(name)?;
        let status = folder.own_status()?;
        if let Some(owner) = owner
            && status.owner != owner
        {
            give(&folder, owner);
        }
        // The process's mask has no say in it.
        if status.mode != mode {
            let _ = rustix::fs::fchmod(&folder, Mode::from_raw_mode(mode));
        }
        Ok(true)
    }

    /// Removes what is not a folder. Answers whether it was there.
    pub(crate) fn unlink(&self, name: impl Arg) -> Result<bool, Errno> {
        match rustix::fs::unlinkat(self, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Removes the folder `name`, which has to be empty. Returns whether it was there.
    pub(crate) fn remove_folder(&self, name: impl Arg) -> Result<bool, Errno> {
        match rustix::fs::unlinkat(self, name, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Removes the folder `path`, any number of levels below this one, which has to be empty.
    pub(crate) fn remove_folder_beneath(&self, path: &str) -> Result<bool, DiskFault> {
        let (above, name) = split(path);
        Ok(self.beneath(above)?.remove_folder(name)?)
    }

    /// Renames `name` to `to_name` in the folder `to`, over what is there.
    pub(crate) fn rename(&self, name: &str, to: &Self, to_name: &str) -> Result<(), Errno> {
        match rustix::fs::renameat(self, name, to, to_name) {
            Err(Errno::EXIST) if to.is_file(to_name) => self.rename_by_steps(name, to, to_name),
            done => done,
        }
    }

    /// The same on a file system that renames nothing over a file: for a moment, nothing is there.
    fn rename_by_steps(&self, name: &str, to: &Self, to_name: &str) -> Result<(), Errno> {
        let old = random_name();
        rustix::fs::renameat(to, to_name, to, &old)?;
        match rustix::fs::renameat(self, name, to, to_name) {
            Ok(()) => to.unlink(&old).map(drop),
            Err(errno) => {
                rustix::fs::renameat(to, &old, to, to_name)?;
                Err(errno)
            }
        }
    }

    fn is_file(&self, name: &str) -> bool {
        matches!(self.status(name), Ok(Some(status)) if status.kind == Kind::File)
    }

    /// Renames `name` to `to_name` in the folder `to`, where nothing may be ([`Errno::EXIST`]).
    pub(crate) fn rename_new(&self, name: &str, to: &Self, to_name: &str) -> Result<(), Errno> {
        #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
        {
            use rustix::fs::{RenameFlags, renameat_with};
            match renameat_with(self, name, to, to_name, RenameFlags::NOREPLACE) {
                // The kernel or this file system does not know the flag, or a sandbox does not know
                // the call.
                Err(Errno::PERM) => {}
                Err(errno) if is_unsupported(errno) => {}
                done => return done,
            }
        }
        match self.link(name, to, to_name) {
            Ok(()) => self.unlink(name).map(drop),
            // No hard links either. Between the look and the rename another writer may come: the
            // lock keeps those away.
            Err(Errno::PERM | Errno::MLINK | Errno::ACCESS | Errno::NOSYS | Errno::OPNOTSUPP) => {
                match to.status(to_name)? {
                    Some(_) => Err(Errno::EXIST),
                    None => rustix::fs::renameat(self, name, to, to_name),
                }
            }
            Err(errno) => Err(errno),
        }
    }

    /// Makes `to_name` in the folder `to` a second name of the file `name`.
    pub(crate) fn link(&self, name: &str, to: &Self, to_name: &str) -> Result<(), Errno> {
        rustix::fs::linkat(self, name, to, to_name, AtFlags::empty())
    }

    /// Everything in this folder by name, in no order, with its kind where the file system says
    /// it.
    fn names(&self) -> Result<Vec<Name>, Errno> {
        let mut names = Vec::new();
        for entry in Dir::read_from(self)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push((name.to_owned(), Kind::from_type(entry.file_type())));
            }
        }
        Ok(names)
    }

    /// Everything in this folder by name, in no order, with its kind; without entries that
    /// vanish while it is read.
    pub(crate) fn kinds(
        &self,
    ) -> Result<impl Iterator<Item = Result<(Vec<u8>, Kind), Errno>>, Errno> {
        let known = self.names()?.into_iter().map(|(name, kind)| match kind {
            Some(kind) => Ok(Some((name, kind))),
            None => Ok(self.status(&name)?.map(|status| (name, status.kind))),
        });
        Ok(known.filter_map(Result::transpose))
    }

    /// Waits until the names in this folder are on disk.
    pub(crate) fn sync(&self) -> Result<(), Errno> {
        match rustix::fs::fsync(self) {
            // Nothing more can be done on a file system whose folders can't be synced.
            Err(errno) if is_unsupported(errno) => Ok(()),
            done => done,
        }
    }
}

/// A name, and the kind of what it names where that is known.
type Name = (Vec<u8>, Option<Kind>);

/// Gives a file or folder to `owner`.
///
/// Where even the superuser may not do so (a network file system that squashes it, a file system
/// without owners, an owner that a user namespace does not know), the file stays whose it is.
pub(crate) fn give(file: impl AsFd, owner: Owner) {
    use rustix::fs::{Gid, Uid};
    let (user, group) = (Uid::from_raw(owner.user), Gid::from_raw(owner.group));
    let _ = rustix::fs::fchown(file, Some(user), Some(group));
}

/// Opens the folder `path` below `folder` in one call, where the kernel can promise that no link is
/// followed.
#[cfg(target_os = "linux")]
fn open_beneath(folder: &Folder, path: &str) -> Result<Folder, Errno> {
    use rustix::fs::ResolveFlags;
    use std::sync::atomic::{AtomicBool, Ordering};

    static MISSING: AtomicBool = AtomicBool::new(false);
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    if !MISSING.load(Ordering::Relaxed) {
        match rustix::fs::openat2(folder, path, FOLDER | NO_LINK, Mode::empty(), resolve) {
            // An old kernel, or a sandbox that forbids the call.
            Err(Errno::NOSYS | Errno::PERM) => MISSING.store(true, Ordering::Relaxed),
            // The tree was renamed in between.
            Err(Errno::AGAIN) => {}
            opened => return opened.map(Folder),
        }
    }
    open_stepwise(folder, path)
}

/// Opens the folder `path` below `folder`.
#[cfg(not(target_os = "linux"))]
fn open_beneath(folder: &Folder, path: &str) -> Result<Folder, Errno> {
    open_stepwise(folder, path)
}

/// Opens the folder `path` below `folder`, level by level.
fn open_stepwise(folder: &Folder, path: &str) -> Result<Folder, Errno> {
    let mut segments = path.split('/');
    let first = folder.child(segments.next().unwrap_or_default())?;
    segments.try_fold(first, |current, segment| current.child(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_by_level_opens_and_refuses_the_same() {
        let top = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(top.path().join("a/b")).expect("made");
        std::os::unix::fs::symlink("a", top.path().join("link")).expect("linked");
        let folder = Folder::open(top.path()).expect("opened");
        assert!(open_stepwise(&folder, "a/b").is_ok());
        for open in [open_beneath, open_stepwise] {
            assert_eq!(open(&folder, "a/c").err(), Some(Errno::NOENT));
            let errno = open(&folder, "link/b").expect_err("refused");
            let DiskFault::Obstacle { path, .. } = folder.explain("link/b", errno) else {
                panic!("{errno}");
            };
            assert_eq!(path, "link");
        }
    }
}
