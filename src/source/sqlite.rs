//! Arc's SQLite databases.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use arc_backup_core::{
    Body, Discard, Discarded, Entry, EntryStream, Error, ErrorKind, Key, Restore, Result, Section,
    Snapshot, SnapshotRequest, Source, SourceReport, Staging,
};
use async_trait::async_trait;
use futures::{StreamExt, stream};

use super::snapshot::snapshot;
use super::sqlite_restore::SqliteRestore;
use super::staged_file::discard_staged;
use crate::config::Database;
use crate::files::file_error;

/// Every database that the configuration names, each once.
#[derive(Debug, Clone)]
pub struct SqliteSource {
    databases: Vec<Database>,
}

impl SqliteSource {
    /// The source of these databases.
    #[must_use]
    pub fn new(mut databases: Vec<Database>) -> Self {
        databases.sort_by(|a, b| a.file.cmp(&b.file));
        Self { databases }
    }
}

#[async_trait]
impl Source for SqliteSource {
    fn section(&self) -> &str {
        Section::Metadata.as_str()
    }

    async fn snapshot(&self, request: SnapshotRequest) -> Result<Box<dyn Snapshot>> {
        let mut snapshots = Snapshots {
            entries: Vec::new(),
            folder: request.scratch.clone(),
            report: SourceReport::default(),
        };
        for database in &self.databases {
            let (modified, mode) = match std::fs::metadata(&database.path) {
                Ok(meta) if !meta.is_file() => {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        "snapshot",
                        database.path.display().to_string(),
                        format!("`{}` does not name a regular file", database.setting),
                    ));
                }
                Ok(meta) if meta.len() == 0 => {
                    let text = format!(
                        "{} (`{}`) is an empty file, not a database yet",
                        database.path.display(),
                        database.setting
                    );
                    snapshots.report.not_included.push(text);
                    continue;
                }
                Ok(meta) => (meta.modified().ok(), meta.mode() & 0o777),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    if let Some(setting) = &database.needed_by {
                        let path = database.path.display();
                        let text = format!("{path} (`{setting}`) does not exist");
                        snapshots.report.not_included.push(text);
                    }
                    continue;
                }
                Err(error) => {
                    return Err(file_error("read", &database.path, error));
                }
            };
            let (live, to) = (database.path.clone(), request.scratch.join(&database.file));
            let (cancel, activity) = (request.cancel.clone(), request.activity.clone());
            let file = to.clone();
            tokio::task::spawn_blocking(move || snapshot(&live, &to, &cancel, &activity))
                .await
                .map_err(|e| {
                    Error::new(ErrorKind::Other, "snapshot", &database.file, e.to_string())
                })??;
            let meta = std::fs::metadata(&file).map_err(|e| file_error("read", &file, e))?;
            let key = Key::parse(&database.file).map_err(|e| {
                Error::new(
                    ErrorKind::Invalid,
                    "snapshot",
                    &database.file,
                    e.to_string(),
                )
            })?;
            snapshots.entries.push(Entry {
                modified,
                mode: Some(mode),
                ..Entry::new(key, meta.len())
            });
            snapshots
                .report
                .settings
                .insert(database.file.clone(), database.setting.clone());
        }
        Ok(Box::new(snapshots))
    }

    async fn restore(&self, staging: Staging) -> Result<Box<dyn Restore>> {
        Ok(Box::new(SqliteRestore::new(
            self.databases.clone(),
            staging,
        )))
    }

    async fn discard_unfinished(&self, discard: Discard) -> Result<Discarded> {
        let mut discarded = Discarded::default();
        for database in &self.databases {
            discarded.add(Ok(discard_staged(&database.path, &database.file, discard)));
        }
        Ok(discarded)
    }
}

struct Snapshots {
    entries: Vec<Entry>,
    folder: PathBuf,
    report: SourceReport,
}

#[async_trait]
impl Snapshot for Snapshots {
    fn entries(&self) -> EntryStream<'_> {
        stream::iter(self.entries.iter().cloned().map(Ok)).boxed()
    }

    async fn open(&self, entry: &Entry) -> Result<Body> {
        let path = self.folder.join(entry.key.as_str());
        let file = File::open(&path).map_err(|e| file_error("read", &path, e))?;
        Ok(Body::File {
            file,
            len: entry.size,
        })
    }

    fn report(&self) -> SourceReport {
        self.report.clone()
    }

    async fn release(self: Box<Self>) -> Result<()> {
        for entry in &self.entries {
            // The whole folder is removed with the operation; this only frees the space early.
            let _ = std::fs::remove_file(self.folder.join(entry.key.as_str()));
        }
        Ok(())
    }
}
