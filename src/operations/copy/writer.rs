//! Writing the files of a copy.

use arc_backup_core::{Entry, Error as CoreError, ErrorKind, Key, Section, Upload, WriteOptions};
use async_trait::async_trait;

use crate::pipeline::Writer;
use crate::repository::Repository;

/// Writes the files of one section of a copy.
pub(crate) struct CopyWriter<'a> {
    pub(crate) repository: &'a Repository,
    /// The folder of the section.
    pub(crate) folder: String,
    pub(crate) section: &'a Section,
}

#[async_trait]
impl Writer for CopyWriter<'_> {
    async fn begin(&self, entry: &Entry) -> Result<Option<Box<dyn Upload>>, CoreError> {
        let path = format!("{}/{}", self.folder, entry.key);
        let key = Key::parse(&path)
            .map_err(|e| CoreError::new(ErrorKind::Invalid, "write", &path, e.reason()))?;
        let options = WriteOptions {
            size_hint: Some(entry.size),
            modified: entry.modified,
            // Databases and arc.toml hold secrets: their copies stay private. The inventory records
            // their modes.
            mode: entry.mode.filter(|_| *self.section == Section::Data),
            ..WriteOptions::default()
        };
        self.repository.sink().begin(&key, options).await.map(Some)
    }
}
