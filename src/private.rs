//! Files and folders that only their owner may read: what lies in them may hold secrets.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a file of mode 0600, for writing and reading; one that is there is emptied. Made by root, it is given to the
/// owner of its folder: the next one who comes may be Arc's own user.
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

/// Makes a folder of mode 0700, and those above it, where they are missing. Made by root, each is given to the owner of
/// the one above.
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

/// As [`give_to_owner_of`]; a file system that knows no owners is no reason to do without a file.
pub(crate) fn give_if_possible(like: &Path, path: &Path) {
    if let Err(error) = give_to_owner_of(like, path) {
        tracing::debug!(%error, path = %path.display(), "the owner stays as it is");
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// Gives the file at `path` to the owner of `like`, where this runs as root: Arc itself seldom does.
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

/// Whether an error says that a file system, or a sandbox, lacks what was asked of it, and not that it went wrong.
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
pub(crate) struct Scratch(std::path::PathBuf);

impl Scratch {
    /// Makes the folder `path`, empty.
    pub(crate) fn create(path: std::path::PathBuf) -> io::Result<Self> {
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
        // What stays is removed by the next operation: the folder's name says whose it was.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
