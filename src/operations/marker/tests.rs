//! A restore that ends between two sections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_backup_core::{
    Body, Entry, EntryStream, Error, ErrorKind, Freeze, Frozen, Key, MemorySink, Restore,
    RestoreSummary, Result, Sink, Source, SourceReport, Staging, Upload, WriteOptions,
};
use async_trait::async_trait;
use futures::{StreamExt, stream};

use crate::Registry;
use crate::config::{Overrides, Settings};
use crate::manifest::BackupId;
use crate::operations::{ArcBackup, Operation, Request, RestoreOptions, Who};

/// A section of one file, which can't be put into force when it is told so.
#[derive(Clone, Default)]
struct Stubborn(Arc<AtomicBool>);

fn entry() -> Entry {
    Entry::new(Key::parse("file").expect("a fixed name"), 4)
}

#[async_trait]
impl Source for Stubborn {
    fn section(&self) -> &str {
        "extra"
    }
    async fn freeze(&self, _freeze: Freeze) -> Result<Box<dyn Frozen>> {
        Ok(Box::new(self.clone()))
    }
    async fn restore(&self, _staging: Staging) -> Result<Box<dyn Restore>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Frozen for Stubborn {
    fn entries(&self) -> EntryStream<'_> {
        stream::iter([Ok(entry())]).boxed()
    }
    async fn open(&self, _entry: &Entry) -> Result<Body> {
        Ok(Body::from_bytes(&b"rows"[..]))
    }
    fn report(&self) -> SourceReport {
        SourceReport::default()
    }
    async fn release(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Restore for Stubborn {
    async fn plan(&self, mut entries: EntryStream<'_>) -> Result<RestoreSummary> {
        while entries.next().await.transpose()?.is_some() {}
        Ok(RestoreSummary::default())
    }
    fn needed(&self) -> EntryStream<'_> {
        stream::iter([Ok(entry())]).boxed()
    }
    async fn begin(&self, entry: &Entry) -> Result<Box<dyn Upload>> {
        let sink = MemorySink::new();
        sink.begin(&entry.key, WriteOptions::default()).await
    }
    async fn staged(&self, _entry: &Entry) -> Result<()> {
        Ok(())
    }
    async fn ready(&self) -> Result<()> {
        Ok(())
    }
    async fn apply(&self) -> Result<()> {
        match self.0.load(Ordering::SeqCst) {
            true => Err(Error::new(
                ErrorKind::Other,
                "put into force",
                "file",
                "as told",
            )),
            false => Ok(()),
        }
    }
    async fn finish(&self) -> Result<RestoreSummary> {
        Ok(RestoreSummary::default())
    }
    async fn abort(&self) -> Result<()> {
        Ok(())
    }
}

async fn run(engine: &Arc<ArcBackup>, request: Request) -> Operation {
    let who = Who {
        actor: "test".to_owned(),
        origin: "cli",
        fingerprint: None,
        token: None,
    };
    let running = engine.start(request, who).await.expect("a free slot");
    running.wait().await
}

/// Lost otherwise: after a restore that ended half-way, which part of what Arc serves is old and which is new.
#[tokio::test]
async fn the_marker_says_which_sections_are_restored() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().display();
    std::fs::create_dir(folder.path().join("data")).expect("room");
    let live = folder.path().join("data/a.parquet");
    std::fs::write(&live, b"old").expect("room");
    let config = folder.path().join("arc.toml");
    let text = format!(
        "[storage]\nlocal_path = \"{root}/data\"\n[auth]\ndb_path = \"{root}/arc.db\"\n[backup]\nlocal_path = \"{root}/backups\"\n"
    );
    std::fs::write(&config, text).expect("room");
    let settings = Settings::load(&Overrides {
        config: Some(config),
        ignore_environment: true,
    })
    .expect("a valid configuration");
    let source = Stubborn::default();
    let mut registry = Registry::new();
    let made = source.clone();
    registry.add_source(move |_| Ok(Some(Arc::new(made.clone()) as Arc<dyn Source>)));
    let engine = ArcBackup::new(settings, &registry).expect("a valid configuration");
    let backup = Request::Backup {
        metadata: false,
        config: false,
        target: None,
        id: None,
    };
    let made = run(&engine, backup).await;
    let id = BackupId::parse(&made.backup_id).expect("an id");
    std::fs::write(&live, b"newer").expect("room");

    source.0.store(true, Ordering::SeqCst);
    let restore = Request::Restore(id, RestoreOptions::default(), None);
    let ended = run(&engine, restore.clone()).await;
    assert!(ended.error.expect("a fault").contains("as told"));
    assert_eq!(std::fs::read(&live).expect("a file"), b"old");
    let status = engine.status().expect("a history").expect("an operation");
    let marker = status.restore_in_progress.expect("a marker");
    assert_eq!(
        (&marker.sections[..], &marker.done[..]),
        (
            &["data".to_owned(), "extra".to_owned()][..],
            &["data".to_owned()][..]
        )
    );
    assert!(
        marker.words().contains("data is restored, extra is not"),
        "{}",
        marker.words()
    );

    source.0.store(false, Ordering::SeqCst);
    let ended = run(&engine, restore).await;
    assert_eq!(ended.error, None);
    assert_eq!(engine.restore_in_progress(), None);
}
