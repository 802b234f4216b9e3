//! Writing: a temporary file beside the final place, then a rename.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use arc_backup_core::{Error, ErrorKind, Key, Meta, OperationId, Result, Upload, WriteOptions};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use rustix::io::Errno;

use crate::durability::HAS_SYNCFS;
use crate::error::{DiskFault, blocking};
use crate::folder::{Folder, give};
use crate::paths::{is_temporary, random_name, split, staged_name};
use crate::root::{NewFolders, OpenRoot, Root};
use crate::status::Status;
use crate::unsupported::{give_attributes, sync_file};

/// How many bytes are gathered before a thread is asked to write them.
const BUFFER_BYTES: usize = 1 << 20;

/// A file being written.
pub(crate) struct LocalUpload {
    key: Key,
    options: WriteOptions,
    temporary: Temporary,
    buffer: BytesMut,
    /// A write has failed or was given up half-way: what is in the file is not what was asked for.
    broken: bool,
}

impl LocalUpload {
    /// Begins to write `key`, in its place or in a stage.
    pub(crate) async fn begin(
        root: Root,
        key: Key,
        stage: Option<OperationId>,
        mut options: WriteOptions,
    ) -> Result<Self> {
        options.durable |= !HAS_SYNCFS;
        let at = key.clone();
        let temporary = blocking("write", &key, move || {
            Temporary::create(&root.open_or_create()?, &at, stage.as_ref())
        })
        .await?;
        Ok(Self {
            key,
            options,
            temporary,
            buffer: BytesMut::new(),
            broken: false,
        })
    }

    fn check_whole(&self) -> Result<()> {
        if self.broken {
            let detail = "an earlier write to it did not succeed";
            return Err(Error::new(
                ErrorKind::Other,
                "write",
                self.key.as_str(),
                detail,
            ));
        }
        Ok(())
    }
}

#[async_trait]
impl Upload for LocalUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.check_whole()?;
        if self.buffer.len() + bytes.len() <= BUFFER_BYTES {
            self.buffer.extend_from_slice(&bytes);
            return Ok(());
        }
        self.broken = true;
        let file = Arc::clone(&self.temporary.file);
        let mut buffer = std::mem::take(&mut self.buffer);
        self.buffer = blocking("write", &self.key, move || {
            (&*file).write_all(&buffer)?;
            (&*file).write_all(&bytes)?;
            buffer.clear();
            Ok(buffer)
        })
        .await?;
        self.broken = false;
        Ok(())
    }

    fn local_file(&mut self) -> Result<Option<File>> {
        self.check_whole()?;
        let mut flush_and_clone = || -> std::io::Result<File> {
            (&*self.temporary.file).write_all(&self.buffer)?;
            self.buffer.clear();
            self.temporary.file.try_clone()
        };
        match flush_and_clone() {
            Ok(file) => Ok(Some(file)),
            Err(error) => {
                self.broken = true;
                Err(Error::from_io("write", self.key.as_str(), error))
            }
        }
    }

    async fn commit(self: Box<Self>) -> Result<Meta> {
        self.check_whole()?;
        let Self {
            key,
            options,
            temporary,
            buffer,
            ..
        } = *self;
        let subject = key.clone();
        blocking("write", &subject, move || {
            (&*temporary.file).write_all(&buffer)?;
            Ok(temporary.commit(&key, &options)?.meta(key))
        })
        .await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let Self { key, temporary, .. } = *self;
        blocking("discard", &key, move || {
            drop(temporary);
            Ok(())
        })
        .await
    }
}

/// A file under a temporary name. Dropping it removes the file, unless it was committed.
struct Temporary {
    root: OpenRoot,
    folder: Folder,
    name: String,
    temporary_name: String,
    file: Arc<File>,
    new_folders: NewFolders,
    is_staged: bool,
    committed: bool,
}

impl Temporary {
    fn create(root: &OpenRoot, key: &Key, stage: Option<&OperationId>) -> Result<Self, DiskFault> {
        let (above, name) = split(key);
        check_name(name)?;
        // Until the file is there, nothing keeps somebody else from pruning its folder.
        for _ in 0..100 {
            let (folder, new_folders) = root.ensure(above)?;
            folder.check_replaceable(name, key)?;
            let temporary_name = match stage {
                Some(stage) => staged_name(stage, name),
                None => random_name(),
            };
            if stage.is_some() {
                folder.unlink(&temporary_name)?;
            }
            match folder.create_file(&temporary_name) {
                Ok(file) => {
                    return Ok(Self {
                        root: root.clone(),
                        folder,
                        name: name.to_owned(),
                        temporary_name,
                        file: Arc::new(file),
                        new_folders,
                        is_staged: stage.is_some(),
                        committed: false,
                    });
                }
                Err(Errno::NOENT | Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(DiskFault::Absent)
    }

    fn commit(mut self, key: &str, options: &WriteOptions) -> Result<Status, DiskFault> {
        if let Some(owner) = self.root.owner_to_give() {
            give(&*self.file, owner);
        }
        give_attributes(&self.file, options.mode, options.modified);
        // A mark of durability covers the file system of the root; what is mounted below it is
        // another.
        let durable =
            options.durable || self.folder.own_status()?.device != self.root.status.device;
        if durable {
            sync_file(&self.file)?;
        }
        let status = Status::from(rustix::fs::fstat(&*self.file)?);
        if !self.is_staged {
            self.folder.check_replaceable(&self.name, key)?;
            let (from, to) = (self.temporary_name.as_str(), self.name.as_str());
            if options.create_new {
                match self.folder.rename_new(from, &self.folder, to) {
                    Err(Errno::EXIST) => return Err(DiskFault::Exists),
                    done => done?,
                }
            } else {
                self.folder.rename(from, &self.folder, to)?;
            }
        }
        self.committed = true;
        self.new_folders.keep();
        if durable {
            self.folder.sync()?;
        }
        Ok(status)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.committed {
            let _ = self.folder.unlink(&self.temporary_name);
        }
    }
}

/// Checks that `name` is none of those that listings leave out.
fn check_name(name: &str) -> Result<(), DiskFault> {
    if is_temporary(name.as_bytes()) {
        return Err(DiskFault::Invalid(format!(
            "`{name}` is a name for temporary files"
        )));
    }
    Ok(())
}
