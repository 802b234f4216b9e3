//! Arc's data: Parquet files and their companions.

use std::sync::{Arc, Mutex, PoisonError};

use arc_backup_core::{
    Body, Entry, EntryStream, Error, ErrorKind, Freeze, Frozen, GetOptions, Key, ListOptions,
    Listed, Origin, OtherKind, Restore, Result, Sink, Source, SourceReport, Staging,
};
use async_trait::async_trait;
use futures::StreamExt;

use super::parquet_restore::ParquetRestore;
use super::{DATA, Exclusions, SAMPLE};

/// The longest key that still is one in a backup, behind `{backup_id}/data/`, and in the target's
/// `.arc-backup/before-restore/{operation_id}/`.
pub(super) const LONGEST_KEY: usize = Key::MAX_BYTES - 64;

/// Everything that belongs to the data in Arc's data storage, which is a [`Sink`] too.
#[derive(Debug, Clone)]
pub struct ParquetSource {
    storage: Arc<dyn Sink>,
    kind: String,
    exclusions: Exclusions,
}

impl ParquetSource {
    /// The data in `storage`, of the kind that the configuration names.
    #[must_use]
    pub fn new(storage: Arc<dyn Sink>, kind: impl Into<String>, exclusions: Exclusions) -> Self {
        Self {
            storage,
            kind: kind.into(),
            exclusions,
        }
    }
}

#[async_trait]
impl Source for ParquetSource {
    fn section(&self) -> &str {
        DATA
    }

    async fn freeze(&self, _freeze: Freeze) -> Result<Box<dyn Frozen>> {
        if let Some(root) = self.storage.capabilities().local_root
            && !root.is_dir()
        {
            // A volume that is not mounted must not become a backup of nothing.
            return Err(Error::new(
                ErrorKind::NotFound,
                "read",
                root.display().to_string(),
                "the storage root (`storage.local_path`) is no folder: is its volume mounted, and the working directory Arc's (-C)?",
            ));
        }
        let mut report = SourceReport::default();
        report.origin = Some(Origin {
            kind: self.kind.clone(),
            location: self.storage.location(),
        });
        Ok(Box::new(ParquetListing {
            source: self.clone(),
            report: Mutex::new(report),
        }))
    }

    async fn restore(&self, staging: Staging) -> Result<Box<dyn Restore>> {
        Ok(Box::new(ParquetRestore::new(
            self.storage.clone(),
            self.exclusions.clone(),
            staging,
        )))
    }

    async fn discard_unfinished(&self) -> Result<()> {
        // In a store, unfinished uploads may be Arc's own: only those of an object that is restored anew are removed, then.
        if !self.storage.capabilities().staging {
            return Ok(());
        }
        self.storage.discard_unfinished(None).await.map(drop)
    }
}

/// A listing of the data; a file that changed after it was listed is an error when it is opened.
struct ParquetListing {
    source: ParquetSource,
    report: Mutex<SourceReport>,
}

impl ParquetListing {
    fn other(&self, path: String, kind: OtherKind) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let report = &mut *report;
        let (count, sample) = match kind {
            OtherKind::Unaddressable => (
                &mut report.unaddressable_files,
                &mut report.unaddressable_sample,
            ),
            _ => (&mut report.special_files, &mut report.special_sample),
        };
        *count += 1;
        if sample.len() < SAMPLE {
            sample.push(path);
        }
    }
}

#[async_trait]
impl Frozen for ParquetListing {
    fn entries(&self) -> EntryStream<'_> {
        let options = ListOptions {
            skip: self.source.exclusions.keys.clone(),
            ..ListOptions::default()
        };
        self.source
            .storage
            .list(options)
            .filter_map(async move |item| match item {
                Ok(Listed::Object(meta)) if self.source.exclusions.exclude(&meta.key) => None,
                Ok(Listed::Object(meta)) if meta.key.len() > LONGEST_KEY => {
                    self.other(meta.key.to_string(), OtherKind::Unaddressable);
                    None
                }
                Ok(Listed::Object(meta)) => Some(Ok(Entry {
                    key: meta.key,
                    size: meta.size,
                    sha256: None,
                    modified: meta.modified,
                    mode: meta.mode,
                    etag: meta.etag,
                })),
                Ok(Listed::Other { path, kind }) => {
                    if !self.source.exclusions.exclude(&path) {
                        self.other(path, kind);
                    }
                    None
                }
                Err(error) => Some(Err(error)),
            })
            .boxed()
    }

    async fn open(&self, entry: &Entry) -> Result<Body, Error> {
        let options = GetOptions {
            range: None,
            if_match: entry.etag.clone(),
        };
        Ok(self.source.storage.get(&entry.key, options).await?.body)
    }

    fn report(&self) -> SourceReport {
        self.report
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn release(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
