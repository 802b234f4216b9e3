//! Files and folders on local disk: private, durable, whole.
//!
//! What this program writes may hold secrets, and is readable by its owner alone.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use arc_backup_core::Error as CoreError;

/// The error of a file operation, naming the path.
pub(crate) fn file_error(operation: &'static str, path: &Path, error: io::Error) -> CoreError {
    CoreError::from_io(operation, path.display().to_string(), error)
}

/// `path` with `suffix` behind its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// The folder that `path` is in; that of `/` is itself.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// Makes durable what became of the name `path`: a new file, a rename, a removal.
pub(crate) fn sync_folder(path: &Path) -> Result<(), CoreError> {
    let folder = folder_of(path);
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // A file system whose folders can't be synced: nothing more can be done there.
        Err(error) if is_lacking(&error) => Ok(()),
        synced => synced.map_err(|error| file_error("sync", folder, error)),
    }
}

/// Where [`write_atomically`] writes before the file has its name.
pub(crate) fn temporary_of(path: &Path) -> PathBuf {
    with_suffix(path, ".tmp")
}

/// Writes `text` to the private file `path`, durably: a reader sees all of it or what was there
/// before.
pub(crate) fn write_atomically(path: &Path, text: &[u8]) -> Result<(), CoreError> {
    let temporary = temporary_of(path);
    let write = || {
        let mut file = create_file(&temporary)?;
        file.write_all(text)?;
        sync_file(&file)?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        // It is of no use, and a full disk needs the room.
        let _ = std::fs::remove_file(&temporary);
        file_error("write", path, error)
    })?;
    sync_folder(path)
}

/// Writes `text` to the new private file `path`, durably. Returns `false` where there is one
/// already, which stays: of two processes that write it at the same time, one wins.
pub(crate) fn create_atomically(path: &Path, text: &[u8]) -> io::Result<bool> {
    let temporary = with_suffix(path, &format!("-{}.tmp", std::process::id()));
    let create = || {
        // One that a process of the same number has left, or is writing in another container: its
        // bytes must not change.
        let _ = std::fs::remove_file(&temporary);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        give_if_possible(folder_of(&temporary), &temporary);
        file.write_all(text)?;
        sync_file(&file)?;
        // A link never replaces an existing file; where there are no links, a rename is the next
        // best.
        match std::fs::hard_link(&temporary, path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(_) => std::fs::rename(&temporary, path).map(|()| true),
        }
    };
    let created = create();
    // It is gone after a rename.
    let _ = std::fs::remove_file(&temporary);
    if matches!(created, Ok(true)) {
        sync_file(&File::open(folder_of(path))?)?;
    }
    created
}

/// Makes a file of mode 0600, for writing and reading; one that is there is emptied. Made by root,
/// it is given to the owner of its folder: the next operation may be run by Arc's own user.
pub(crate) fn create_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    give_if_possible(folder_of(path), path);
    Ok(file)
}

/// Makes a folder of mode 0700, and those above it, where they are missing. Made by root, each is
/// given to the owner of the one above.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = folder_of(path);
    if above != path {
        create_folder(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            give_if_possible(above, path);
            Ok(())
        }
    }
}

/// As [`give_to_owner_of`]; a file system without owners only costs a line in the log.
pub(crate) fn give_if_possible(like: &Path, path: &Path) {
    if let Err(error) = give_to_owner_of(like, path) {
        tracing::debug!(%error, path = %path.display(), "the owner stays as it is");
    }
}

/// Gives the file at `path` to the owner of `like`, where this runs as root: Arc itself seldom
/// does.
pub(crate) fn give_to_owner_of(like: &Path, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = std::fs::metadata(like)?;
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))
}

/// Whether something is mounted at `path`: it can't be renamed, and nothing can be renamed over it.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
        let attribute = StatxAttributes::MOUNT_ROOT;
        if let Ok(found) = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::empty())
            && found.stx_attributes_mask.contains(attribute)
        {
            return found.stx_attributes.contains(attribute);
        }
    }
    // Kernels that do not say so: a mount of the same file system is not found.
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev()).ok();
    let own = device(path);
    own.is_some() && own != device(folder_of(path))
}

/// Whether an error says that a file system, or a sandbox, does not support the call, and not that
/// the call failed.
pub(crate) fn is_lacking(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let lacks = [Errno::NOSYS, Errno::OPNOTSUPP, Errno::INVAL, Errno::NOTTY];
    Errno::from_io_error(error).is_some_and(|errno| lacks.contains(&errno))
}

/// Waits until a file's bytes are on disk, where its file system can say so.
pub(crate) fn sync_file(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if is_lacking(&error) => Ok(()),
        synced => synced,
    }
}

/// A folder that is removed, with all that is in it, when this is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes the folder `path`, empty.
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        create_folder(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that stays is removed by the next operation: its name says whose it was.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a file of a faster process that is replaced, and temporary files that stay.
    #[test]
    fn a_new_file_never_replaces_one_and_an_atomic_one_always_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let read = || std::fs::read_to_string(&path).expect("a file");
        assert!(create_atomically(&path, b"first").expect("written"));
        assert!(!create_atomically(&path, b"second").expect("nothing to write"));
        assert_eq!(read(), "first");
        write_atomically(&path, b"third").expect("written");
        assert_eq!(read(), "third");
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
        std::fs::create_dir(temporary_of(&path)).expect("in the way");
        assert!(write_atomically(&path, b"fourth").is_err());
        assert_eq!(read(), "third");
    }
}
