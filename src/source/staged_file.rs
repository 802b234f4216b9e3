//! Files that a restore stages beside their places: databases and `arc.toml`.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use arc_backup_core::{Discard, Discarded, Entry, Meta, Result, Upload, Version};
use async_trait::async_trait;
use bytes::Bytes;

use super::companions::{remove_all_of, remove_database};
use super::replace::{is_elsewhere, probes, real_place};
use crate::files::{create_file, file_error, folder_of, sync_file};

/// How the names of staged files begin.
const PREFIX: &str = ".arc-backup-";

/// A live file beside which one is staged.
pub(super) fn version_of(meta: &std::fs::Metadata) -> Version {
    Version {
        size: meta.len(),
        modified: meta.modified().ok(),
        ..Version::default()
    }
}

/// The name of the file that an operation stages for `name`.
pub(super) fn staged_name(operation_id: impl fmt::Display, name: &str) -> String {
    format!("{PREFIX}{operation_id}-{name}.tmp")
}

/// Removes, or counts, the files that interrupted restores staged beside `live`, and beside the
/// file that it is a link to.
pub(super) fn discard_staged(live: &Path, name: &str, discard: Discard) -> Discarded {
    let mut discarded = Discarded::default();
    discarded.add(discard_beside(live, name, discard));
    let real = real_place(live).ok();
    if let Some(real) = real.filter(|real| is_elsewhere(real, live)) {
        discarded.add(discard_beside(&real, name, discard));
    }
    discarded
}

fn discard_beside(live: &Path, name: &str, discard: Discard) -> Result<Discarded> {
    let folder = folder_of(live);
    let ending = format!("-{name}.tmp");
    let children = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Discarded::default());
        }
        other => other.map_err(|e| file_error("list", folder, e))?,
    };
    let mut discarded = Discarded::default();
    for child in children {
        let child = child.map_err(|e| file_error("list", folder, e))?;
        let found = child.file_name();
        let is_staged = (found.to_str())
            .is_some_and(|found| found.starts_with(PREFIX) && found.ends_with(&ending));
        if is_staged || probes(live).contains(&child.path()) {
            let removed = match discard {
                Discard::Count => Ok(()),
                Discard::Remove => remove_all_of(&child.path()),
            };
            discarded.add(removed.map(|()| Discarded::of(1)));
        }
    }
    Ok(discarded)
}

/// A private file that is staged: it stays where it is written when it is committed.
pub(super) struct StagedFile {
    path: PathBuf,
    file: File,
    entry: Entry,
    committed: bool,
}

impl StagedFile {
    pub(super) fn create(path: PathBuf, entry: &Entry) -> Result<Box<dyn Upload>> {
        remove_database(&path);
        let file = create_file(&path).map_err(|e| file_error("write", &path, e))?;
        Ok(Box::new(Self {
            path,
            file,
            entry: entry.clone(),
            committed: false,
        }))
    }
}

#[async_trait]
impl Upload for StagedFile {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.file
            .write_all(&bytes)
            .map_err(|e| file_error("write", &self.path, e))
    }

    fn local_file(&mut self) -> Result<Option<File>> {
        self.file
            .try_clone()
            .map(Some)
            .map_err(|e| file_error("write", &self.path, e))
    }

    async fn commit(mut self: Box<Self>) -> Result<Meta> {
        sync_file(&self.file).map_err(|e| file_error("write", &self.path, e))?;
        self.committed = true;
        Ok(Meta {
            key: self.entry.key.clone(),
            size: self.entry.size,
            modified: self.entry.modified,
            mode: Some(0o600),
            etag: None,
            archived: false,
            file_id: None,
        })
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.committed {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
