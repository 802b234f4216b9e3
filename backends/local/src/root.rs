//! The root folder: a path that is opened for each operation.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::DiskFault;
use crate::folder::Folder;
use crate::status::{Owner, Status};

/// The path of a root folder. It is not held open, so that a root which is deleted and made again,
/// or an unmounted disk that is mounted again, is found by the next operation.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    path: Arc<Path>,
    /// Whether new folders get the mode of the root.
    like_root: bool,
}

/// The mode of folders that may hold secrets.
const PRIVATE: u32 = 0o700;

impl Root {
    /// The root at `path`, made absolute: a later change of the working directory must not move it.
    pub(crate) fn new(path: PathBuf) -> Self {
        let path = std::path::absolute(&path).unwrap_or(path);
        // Without a trailing slash, so that a name beside it can be made by appending.
        let path: PathBuf = path.components().collect();
        Self {
            path: path.into(),
            like_root: false,
        }
    }

    /// The same, with new folders of the mode of the root.
    pub(crate) fn like_root(mut self, like_root: bool) -> Self {
        self.like_root = like_root;
        self
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn text(&self) -> String {
        self.path.display().to_string()
    }

    /// Opens the folder; [`DiskFault::Absent`] when it is not there.
    pub(crate) fn open(&self) -> Result<OpenRoot, DiskFault> {
        let attempt = || {
            let folder = Folder::open(&self.path)?;
            let status = folder.own_status()?;
            Ok(OpenRoot {
                folder: Arc::new(folder),
                folder_mode: if self.like_root { status.mode } else { PRIVATE },
                status,
            })
        };
        attempt().map_err(|fault: DiskFault| fault.at(self.text()))
    }

    /// Opens the folder, and creates it, private to the owner, when it is not there.
    pub(crate) fn open_or_create(&self) -> Result<OpenRoot, DiskFault> {
        match self.open() {
            Err(DiskFault::Absent) => {
                self.create(&self.path).map_err(|error| self.named(error))?;
                match self.open() {
                    Err(DiskFault::Absent) => Err(self.named(io::ErrorKind::NotFound.into())),
                    other => other,
                }
            }
            other => other,
        }
    }

    /// Makes the folder and those above it. Made by the superuser, each is given to the owner of
    /// the one above.
    fn create(&self, path: &Path) -> io::Result<()> {
        let above = match path.parent() {
            Some(above) if !above.as_os_str().is_empty() => above,
            _ => Path::new("."),
        };
        if !above.exists() {
            self.create(above)?;
        }
        let like = std::fs::metadata(above)?;
        match DirBuilder::new().mode(PRIVATE).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
                return Ok(());
            }
            created => created?,
        }
        if rustix::process::geteuid().is_root() {
            // A file system without owners leaves it whose it is.
            let _ = std::os::unix::fs::chown(path, Some(like.uid()), Some(like.gid()));
        }
        if self.like_root {
            // Without the bits that are a shared folder's own: sticky, set-group-id.
            let mode = std::fs::Permissions::from_mode(like.mode() & 0o777 | PRIVATE);
            let _ = std::fs::set_permissions(path, mode);
        }
        Ok(())
    }

    /// An error about the root itself, whatever key was asked for.
    fn named(&self, error: io::Error) -> DiskFault {
        DiskFault::At {
            subject: self.text(),
            error,
        }
    }
}

/// A root folder that is open for one operation.
#[derive(Debug, Clone)]
pub(crate) struct OpenRoot {
    pub(crate) folder: Arc<Folder>,
    pub(crate) status: Status,
    /// The mode of new folders.
    folder_mode: u32,
}

impl OpenRoot {
    /// The folder `path` below the root; the root itself for an empty path.
    pub(crate) fn beneath(&self, path: &str) -> Result<Folder, DiskFault> {
        self.folder.beneath(path)
    }

    /// Whom new files and folders are given to: the owner of the root, where this process has the
    /// power to do so. A restore run by the superuser must leave files that the service which owns
    /// the root can read.
    pub(crate) fn owner_to_give(&self) -> Option<Owner> {
        rustix::process::geteuid()
            .is_root()
            .then_some(self.status.owner)
    }

    /// The folder `path` below the root, made where it is missing, and what had to be made for it.
    pub(crate) fn ensure(&self, path: &str) -> Result<(Folder, NewFolders), DiskFault> {
        let mut made = NewFolders {
            top: Arc::clone(&self.folder),
            paths: Vec::new(),
        };
        let owner = self.owner_to_give();
        // Somebody else may prune a folder while it is still empty: then make it again.
        for _ in 0..100 {
            match self.beneath(path) {
                Err(DiskFault::Absent) => {}
                other => return other.map(|folder| (folder, made)),
            }
            match self.make(path, owner, &mut made.paths) {
                Err(DiskFault::Absent) => {}
                other => return other.map(|folder| (folder, made)),
            }
        }
        Err(DiskFault::Absent)
    }

    fn make(
        &self,
        path: &str,
        owner: Option<Owner>,
        made: &mut Vec<String>,
    ) -> Result<Folder, DiskFault> {
        let mut current = self.folder.duplicate()?;
        let mut end = 0;
        for segment in path.split('/') {
            end += segment.len();
            current = match current.child(segment) {
                Err(rustix::io::Errno::NOENT) => {
                    if current.make_folder(segment, owner, self.folder_mode)? {
                        made.push(path[..end].to_owned());
                    }
                    current.child(segment)?
                }
                Ok(folder) => folder,
                Err(errno) => return Err(self.folder.explain(path, errno)),
            };
            end += 1;
        }
        Ok(current)
    }
}

/// Folders that were made for a file which may yet be given up. Dropping this removes those still
/// empty.
#[derive(Debug)]
pub(crate) struct NewFolders {
    top: Arc<Folder>,
    paths: Vec<String>,
}

impl NewFolders {
    /// The file is there: the folders stay.
    pub(crate) fn keep(&mut self) {
        self.paths.clear();
    }
}

impl Drop for NewFolders {
    fn drop(&mut self) {
        for path in self.paths.iter().rev() {
            // A folder that somebody else uses by now is not empty, and stays.
            let _ = self.top.remove_folder_beneath(path);
        }
    }
}
