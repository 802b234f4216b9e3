//! Where the bytes of an archive go.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::files::{folder_of, sync_file, sync_folder};
use crate::operations::export::options::{ExportTo, exists};
use crate::random::random_hex;
use crate::{Error, Result};

/// How much is written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// The output of an export. A file has a temporary name until it is whole; dropped before, it goes.
pub(super) enum Output {
    File {
        out: BufWriter<File>,
        temporary: Temporary,
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
        // A name that nobody has put a link at, and that is not longer than a name may be.
        let name = format!(".arc-backup-{}.tmp", random_hex::<8>()?);
        let temporary = folder_of(path).join(name);
        let file = (OpenOptions::new().write(true).create_new(true).mode(0o600)).open(&temporary);
        let file = file.map_err(|e| Error::io("write", &temporary, e))?;
        Ok(Self::File {
            out: BufWriter::with_capacity(BUFFER_BYTES, file),
            temporary: Temporary(temporary),
        })
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
        rename_new(&temporary.0, path)?;
        Ok(sync_folder(path)?)
    }
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

    /// Guards against: an archive that others can read while it is written, or whose temporary
    /// name is known before.
    #[test]
    fn what_is_written_is_private_from_the_beginning() {
        let folder = tempfile::tempdir().expect("a folder");
        // As long as a name may be.
        let to = ExportTo::File(folder.path().join("x".repeat(255)));
        let [first, second] = [0, 1].map(|_| Output::create(&to).expect("a file"));
        let names = || {
            let children = std::fs::read_dir(folder.path()).expect("listed");
            children
                .map(|child| child.expect("listed"))
                .collect::<Vec<_>>()
        };
        assert_eq!(names().len(), 2);
        for child in names() {
            let mode = child.metadata().expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", child.file_name());
        }
        first.publish(&to).expect("published");
        assert!(second.publish(&to).is_err(), "it was overwritten");
        assert_eq!(names().len(), 1);
    }
}
