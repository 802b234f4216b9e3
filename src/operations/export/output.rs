//! Where the bytes of an archive go.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::files::{folder_of, sync_file, sync_folder};
use crate::operations::export::options::{ExportTo, exists};
use crate::random::random_hex;
use crate::{Error, Result};

/// How much is written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// The output of an export. A file has no name, or a temporary one, until it is whole; dropped
/// before, it goes.
pub(super) enum Output {
    File {
        out: BufWriter<File>,
        /// `None` where it has no name.
        temporary: Option<Temporary>,
    },
    Stdout(io::Stdout),
}

/// A file that is removed when this is dropped.
pub(super) struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It is gone once it has its name.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Output {
    pub(super) fn create(to: &ExportTo) -> Result<Self> {
        let ExportTo::File(path) = to else {
            return Ok(Self::Stdout(io::stdout()));
        };
        match Self::unnamed(path) {
            Some(output) => Ok(output),
            None => Self::named(path),
        }
    }

    /// A file without a name: nothing is left of it when this process is killed. `None` where the
    /// file system has no such files.
    #[cfg(target_os = "linux")]
    fn unnamed(path: &Path) -> Option<Self> {
        use rustix::fs::{Mode, OFlags, open};

        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let opened = open(folder_of(path), flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(opened.ok()?);
        let can_be_named = name_of(&file).exists();
        can_be_named.then(|| Self::of(file, None))
    }

    #[cfg(not(target_os = "linux"))]
    fn unnamed(_: &Path) -> Option<Self> {
        None
    }

    fn named(path: &Path) -> Result<Self> {
        // A name that nobody has put a link at, and that is not longer than a name may be.
        let name = format!(".arc-backup-{}.tmp", random_hex::<8>()?);
        let temporary = folder_of(path).join(name);
        let file = (OpenOptions::new().write(true).create_new(true).mode(0o600)).open(&temporary);
        let file = file.map_err(|e| Error::io("write", &temporary, e))?;
        Ok(Self::of(file, Some(Temporary(temporary))))
    }

    fn of(file: File, temporary: Option<Temporary>) -> Self {
        let out = BufWriter::with_capacity(BUFFER_BYTES, file);
        Self::File { out, temporary }
    }

    /// Makes the file durable and gives it its name.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is a file of that name by now.
    pub(super) fn publish(self, to: &ExportTo) -> Result<()> {
        let (Self::File { mut out, temporary }, ExportTo::File(path)) = (self, to) else {
            return Ok(());
        };
        let written = out.flush().and_then(|()| sync_file(out.get_ref()));
        written.map_err(|e| Error::io("write", path, e))?;
        match temporary {
            Some(temporary) => rename_new(&temporary.0, path)?,
            None => match link(out.get_ref(), path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(exists(path));
                }
                Err(_) => Self::named(path)?.take(out.get_mut(), path)?,
            },
        }
        Ok(sync_folder(path)?)
    }

    /// Copies the bytes of a file to this one, which then has the name `path`.
    fn take(mut self, from: &mut File, path: &Path) -> Result<()> {
        let copied = from.rewind().and_then(|()| io::copy(from, &mut self));
        copied.map_err(|e| Error::io("write", path, e))?;
        self.publish(&ExportTo::File(path.to_owned()))
    }
}

/// A name by which this process finds an open file that has none (proc(5)).
fn name_of(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Gives a file without a name one that is free.
fn link(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};

    Ok(linkat(
        CWD,
        name_of(file),
        CWD,
        path,
        AtFlags::SYMLINK_FOLLOW,
    )?)
}

/// A link never replaces a file; where there are no links, a rename is the next best.
fn rename_new(from: &Path, to: &Path) -> Result<()> {
    match std::fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(to)),
        Err(_) => std::fs::rename(from, to).map_err(|e| Error::io("rename", from, e)),
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File { out, .. } => out.write(bytes),
            Self::Stdout(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File { out, .. } => out.flush(),
            Self::Stdout(out) => out.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Guards against: an archive that others can read while it is written, one whose temporary
    /// name is known before, and one that replaces another file.
    #[test]
    fn what_is_written_is_private_from_the_beginning() {
        for create in [
            |to: &ExportTo| Output::create(to),
            |to: &ExportTo| Output::named(place(to)),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            // As long as a name may be.
            let path = folder.path().join("x".repeat(255));
            let to = ExportTo::File(path.clone());
            let [first, second] = [0, 1].map(|_| create(&to).expect("a file"));
            for output in [&first, &second] {
                let Output::File { out, .. } = output else {
                    panic!("no file");
                };
                let mode = out.get_ref().metadata().expect("there").permissions();
                assert_eq!(mode.mode() & 0o777, 0o600);
            }
            first.publish(&to).expect("published");
            let error = second.publish(&to).expect_err("it was overwritten");
            assert!(matches!(error, Error::Invalid(_)), "{error}");
            let names = std::fs::read_dir(folder.path()).expect("listed").count();
            assert_eq!(names, 1);
            let mode = path.metadata().expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    fn place(to: &ExportTo) -> &Path {
        match to {
            ExportTo::File(path) => path,
            ExportTo::Stdout => panic!("no file"),
        }
    }

    /// Guards against: a file that a kill leaves, where the file system can do without.
    #[test]
    fn what_is_written_has_no_name_before_it_is_whole() {
        // `O_TMPFILE` of Linux (open(2)), on its most common machines.
        const TMPFILE: i32 = 0o20_200_000;
        let folder = tempfile::tempdir().expect("a folder");
        let tried = (OpenOptions::new().write(true).custom_flags(TMPFILE)).open(folder.path());
        let to = ExportTo::File(folder.path().join("a"));
        let output = Output::create(&to).expect("a file");
        let names = || std::fs::read_dir(folder.path()).expect("listed").count();
        assert_eq!(names(), usize::from(tried.is_err()));
        drop(output);
        assert_eq!(names(), 0);
    }

    /// Guards against: an export that is lost in the end, as its file gets no name.
    #[test]
    fn where_no_link_can_be_made_the_bytes_are_copied() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let mut from = tempfile::tempfile().expect("a file");
        from.write_all(b"an archive").expect("written");
        let named = Output::named(&path).expect("a file");
        named.take(&mut from, &path).expect("copied");
        assert_eq!(std::fs::read(&path).expect("there"), b"an archive");
        let again = Output::named(&path).expect("a file").take(&mut from, &path);
        assert!(matches!(again, Err(Error::Invalid(_))), "{again:?}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
    }
}
