//! Arc's Iceberg warehouse, where that is a folder outside of the storage root.

use std::path::PathBuf;
use std::sync::Arc;

use arc_backup_core::{
    Activity, Body, Discard, Discarded, Entry, EntryStream, Error, ErrorKind, ExtraFiles, Restore,
    Result, Scope, Sink, Snapshot, SnapshotRequest, Source, SourceReport, Staging,
};
use async_trait::async_trait;
use futures::{StreamExt, stream};

use super::parquet::ParquetSource;

/// The section of the warehouse, as Arc names its folder in a backup.
pub(crate) const ICEBERG: &str = "iceberg";

/// The files of the warehouse. They are backed up and restored as those of the data are, but extra
/// files stay: the folder may be shared.
#[derive(Debug, Clone)]
pub struct WarehouseSource {
    files: ParquetSource,
    folder: PathBuf,
}

impl WarehouseSource {
    /// The warehouse in `folder`, which `files` reads and writes.
    #[must_use]
    pub fn new(files: ParquetSource, folder: PathBuf) -> Self {
        Self {
            files: files.in_section(ICEBERG),
            folder,
        }
    }
}

#[async_trait]
impl Source for WarehouseSource {
    fn section(&self) -> &str {
        ICEBERG
    }

    fn files(&self) -> Option<Arc<dyn Sink>> {
        self.files.files()
    }

    async fn snapshot(&self, request: SnapshotRequest) -> Result<Box<dyn Snapshot>> {
        // No part of it belongs to a database, by which a scope limits the data.
        let request = SnapshotRequest {
            scope: Scope::whole(),
            ..request
        };
        // Arc makes the folder with the first table.
        match self.folder.is_dir() {
            true => self.files.snapshot(request).await,
            false => Ok(Box::new(Absent {
                folder: self.folder.display().to_string(),
                why: match self.folder.exists() {
                    true => "is not a folder",
                    false => "does not exist",
                },
            })),
        }
    }

    async fn restore(&self, staging: Staging) -> Result<Box<dyn Restore>> {
        let staging = Staging {
            scope: Scope::whole(),
            // Other programs may keep their files in the folder: they are not Arc's to move.
            extra_files: ExtraFiles::Keep,
            ..staging
        };
        self.files.restore(staging).await
    }

    async fn discard_snapshots(&self, discard: Discard, activity: &Activity) -> Result<Discarded> {
        self.files.discard_snapshots(discard, activity).await
    }

    async fn discard_unfinished(&self, discard: Discard) -> Result<Discarded> {
        match self.folder.is_dir() {
            true => self.files.discard_unfinished(discard).await,
            false => Ok(Discarded::default()),
        }
    }
}

/// The snapshot of a warehouse that does not exist.
struct Absent {
    folder: String,
    why: &'static str,
}

#[async_trait]
impl Snapshot for Absent {
    fn entries(&self) -> EntryStream<'_> {
        stream::empty().boxed()
    }

    async fn open(&self, entry: &Entry) -> Result<Body> {
        let detail = "the warehouse has no files";
        Err(Error::new(
            ErrorKind::NotFound,
            "read",
            entry.key.as_str(),
            detail,
        ))
    }

    fn report(&self) -> SourceReport {
        let mut report = SourceReport::default();
        let Self { folder, why } = self;
        report
            .not_included
            .push(format!("iceberg.warehouse: `{folder}` {why}"));
        report
    }

    async fn release(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
