//! A source of one's own: a note for whoever restores, kept in a file beside Arc.
//!
//! ```toml
//! [runbook]
//! path = "./runbook.md"
//! ```
//!
//! It gets its own section, `runbook/`, in every backup. A restore of data brings it back.
//!
//! `cargo run --example own_source -- backup`

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use arc_backup::Registry;
use arc_backup_core::{
    Body, Entry, EntryStream, Error, ErrorKind, Key, OperationId, Restore, RestoreSummary, Result,
    Sink, Snapshot, SnapshotRequest, Source, SourceReport, Staging, StagingArea, Upload,
    WriteOptions,
};
use arc_backup_local::{LocalConfig, LocalSink};
use async_trait::async_trait;
use futures::{StreamExt, stream};

/// One file.
#[derive(Clone)]
struct RunbookSource {
    path: PathBuf,
}

impl RunbookSource {
    fn fault(&self, operation: &'static str, error: std::io::Error) -> Error {
        Error::from_io(operation, self.path.display().to_string(), error)
    }
}

#[async_trait]
impl Source for RunbookSource {
    fn section(&self) -> &str {
        "runbook"
    }

    async fn snapshot(&self, request: SnapshotRequest) -> Result<Box<dyn Snapshot>> {
        // A copy is a snapshot that does not change. The folder is removed with the operation.
        let copy = request.scratch.join("runbook");
        let size = std::fs::copy(&self.path, &copy).map_err(|e| self.fault("read", e))?;
        let mut entry = Entry::new(Key::parse("runbook.md").expect("a fixed name"), size);
        entry.modified = std::fs::metadata(&self.path)
            .and_then(|meta| meta.modified())
            .ok();
        Ok(Box::new(RunbookView { copy, entry }))
    }

    async fn restore(&self, staging: Staging) -> Result<Box<dyn Restore>> {
        let folder = self.path.parent().unwrap_or(&self.path).to_owned();
        let name = self
            .path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("runbook.md");
        let key = Key::parse(name)
            .map_err(|e| Error::new(ErrorKind::Invalid, "restore", name, e.to_string()))?;
        Ok(Box::new(RunbookRestore {
            folder: LocalSink::new(LocalConfig::new(folder)),
            key,
            stage: staging.operation_id,
            needed: Mutex::default(),
        }))
    }
}

struct RunbookView {
    copy: PathBuf,
    entry: Entry,
}

#[async_trait]
impl Snapshot for RunbookView {
    fn entries(&self) -> EntryStream<'_> {
        stream::iter([Ok(self.entry.clone())]).boxed()
    }

    async fn open(&self, entry: &Entry) -> Result<Body> {
        let fault = |e| Error::from_io("read", self.copy.display().to_string(), e);
        let file = File::open(&self.copy).map_err(fault)?;
        Ok(Body::File {
            file,
            len: entry.size,
        })
    }

    fn report(&self) -> SourceReport {
        SourceReport::default()
    }

    async fn release(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Stages the file beside its destination. The rename follows when the whole restore is staged.
struct RunbookRestore {
    folder: LocalSink,
    key: Key,
    stage: OperationId,
    needed: Mutex<Option<Entry>>,
}

impl RunbookRestore {
    fn staging(&self) -> &dyn StagingArea {
        self.folder.staging().expect("local disk has one")
    }

    fn entry(&self) -> Option<Entry> {
        self.needed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn summary(&self) -> RestoreSummary {
        let mut summary = RestoreSummary::default();
        if let Some(entry) = self.entry() {
            summary.needed_files = 1;
            summary.needed_bytes = entry.size;
        }
        summary
    }
}

#[async_trait]
impl Restore for RunbookRestore {
    async fn plan(&self, mut entries: EntryStream<'_>) -> Result<RestoreSummary> {
        while let Some(entry) = entries.next().await {
            *self.needed.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry?);
        }
        Ok(self.summary())
    }

    fn needed(&self) -> EntryStream<'_> {
        stream::iter(self.entry().map(Ok)).boxed()
    }

    async fn begin(&self, entry: &Entry) -> Result<Box<dyn Upload>> {
        let options = WriteOptions {
            modified: entry.modified,
            durable: true,
            ..WriteOptions::default()
        };
        self.staging().begin(&self.key, &self.stage, options).await
    }

    async fn staged(&self, _entry: &Entry) -> Result<()> {
        Ok(())
    }

    async fn ready(&self) -> Result<()> {
        Ok(())
    }

    async fn apply(&self) -> Result<()> {
        match self.entry() {
            Some(_) => self.staging().promote(&self.key, &self.stage).await,
            None => Ok(()),
        }
    }

    async fn finish(&self) -> Result<RestoreSummary> {
        Ok(self.summary())
    }

    async fn abort(&self) -> Result<()> {
        self.staging().discard(&self.key, &self.stage).await
    }
}

fn main() -> ExitCode {
    let mut registry = Registry::new();
    registry.add_source(|settings| {
        let path = settings.values.text("runbook.path")?;
        Ok(path.map(|path| Arc::new(RunbookSource { path: path.into() }) as Arc<dyn Source>))
    });
    arc_backup::main(registry)
}
