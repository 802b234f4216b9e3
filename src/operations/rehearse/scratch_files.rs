//! The scratch folder as the place that files are restored to.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use arc_backup_core::{Digest, Entry, Error as CoreError, ErrorKind, Key, Meta, Upload};
use async_trait::async_trait;
use bytes::Bytes;

use crate::Error;
use crate::files::create_file;
use crate::pipeline::Writer;

/// The folder that files are restored to.
pub(super) struct ScratchFiles(pub(super) PathBuf);

impl ScratchFiles {
    /// Where the file at `path` in the backup is restored to: a name of fixed length, as paths in
    /// a store may be longer than those of a file system.
    pub(super) fn place(&self, path: &str) -> PathBuf {
        self.0.join(Digest::of(path.as_bytes()).to_string())
    }

    /// The error for a file that can't be kept there, which says nothing of the backup.
    pub(super) fn failed(&self, error: &CoreError) -> Error {
        let what = match error.kind() {
            ErrorKind::NoSpace => "no room to rehearse in",
            _ => "can't rehearse in",
        };
        Error::Failed(format!(
            "{what} {}: {error}; free some, or set backup.state_path to a folder with more room",
            self.0.display()
        ))
    }
}

#[async_trait]
impl Writer for ScratchFiles {
    async fn begin(&self, entry: &Entry) -> Result<Option<Box<dyn Upload>>, CoreError> {
        let place = self.place(&entry.key);
        let file = create_file(&place).map_err(|e| fault(&place, e))?;
        Ok(Some(Box::new(ScratchFile {
            key: entry.key.clone(),
            place,
            file,
            size: entry.size,
        })))
    }
}

fn fault(place: &Path, error: std::io::Error) -> CoreError {
    CoreError::from_io("write", place.display().to_string(), error)
}

struct ScratchFile {
    key: Key,
    place: PathBuf,
    file: File,
    size: u64,
}

#[async_trait]
impl Upload for ScratchFile {
    async fn write(&mut self, bytes: Bytes) -> Result<(), CoreError> {
        let written = self.file.write_all(&bytes);
        written.map_err(|e| fault(&self.place, e))
    }

    fn local_file(&mut self) -> Result<Option<File>, CoreError> {
        let file = self.file.try_clone();
        file.map(Some).map_err(|e| fault(&self.place, e))
    }

    /// Not made durable: it is removed in a moment.
    async fn commit(self: Box<Self>) -> Result<Meta, CoreError> {
        Ok(Meta::new(self.key, self.size))
    }

    async fn abort(self: Box<Self>) -> Result<(), CoreError> {
        std::fs::remove_file(&self.place).map_err(|e| fault(&self.place, e))
    }
}
