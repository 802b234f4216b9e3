//! Writing files of a backup below a folder. A file has its name only when its bytes are right.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use arc_backup_core::{Entry, Error as CoreError, ErrorKind, Key, Meta, Section, Upload};
use async_trait::async_trait;
use bytes::Bytes;

use crate::files::{create_file, create_folder, file_error, folder_of};
use crate::pipeline::Writer;
use crate::random::random_hex;

/// Writes the files of one section.
pub(super) struct FolderWriter<'a> {
    /// The folder of the section.
    pub(super) folder: PathBuf,
    pub(super) section: &'a Section,
}

#[async_trait]
impl Writer for FolderWriter<'_> {
    async fn begin(&self, entry: &Entry) -> Result<Option<Box<dyn Upload>>, CoreError> {
        let path = self.folder.join(&*entry.key);
        // As short as it is, a file may have the longest name.
        let random = random_hex::<8>().map_err(|e| {
            CoreError::new(ErrorKind::Other, "write", entry.key.as_str(), e.to_string())
        })?;
        let temporary = folder_of(&path).join(format!(".arc-backup-{random}.tmp"));
        create_folder(folder_of(&path)).map_err(|e| file_error("create", folder_of(&path), e))?;
        let file = create_file(&temporary).map_err(|e| file_error("write", &temporary, e))?;
        Ok(Some(Box::new(FolderUpload {
            file,
            path,
            temporary: Some(temporary),
            // Databases and arc.toml hold secrets: they stay private.
            mode: entry.mode.filter(|_| *self.section == Section::Data),
            entry: entry.clone(),
        })))
    }
}

/// One file that is being written.
struct FolderUpload {
    file: File,
    path: PathBuf,
    /// `None` once it has its name.
    temporary: Option<PathBuf>,
    mode: Option<u32>,
    entry: Entry,
}

impl FolderUpload {
    fn publish(&mut self, temporary: &Path) -> std::io::Result<()> {
        if let Some(modified) = self.entry.modified {
            self.file.set_modified(modified)?;
        }
        if let Some(mode) = self.mode {
            self.file
                .set_permissions(Permissions::from_mode(mode & 0o777))?;
        }
        std::fs::rename(temporary, &self.path)
    }
}

#[async_trait]
impl Upload for FolderUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), CoreError> {
        let written = self.file.write_all(&bytes);
        written.map_err(|e| file_error("write", &self.path, e))
    }

    fn local_file(&mut self) -> Result<Option<File>, CoreError> {
        let file = self.file.try_clone();
        Ok(Some(file.map_err(|e| file_error("write", &self.path, e))?))
    }

    async fn commit(mut self: Box<Self>) -> Result<Meta, CoreError> {
        if let Some(temporary) = self.temporary.clone() {
            let published = self.publish(&temporary);
            published.map_err(|e| file_error("write", &self.path, e))?;
            self.temporary = None;
        }
        let key: Key = self.entry.key.clone();
        Ok(Meta::new(key, self.entry.size))
    }

    async fn abort(self: Box<Self>) -> Result<(), CoreError> {
        Ok(())
    }
}

impl Drop for FolderUpload {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = std::fs::remove_file(temporary);
        }
    }
}
