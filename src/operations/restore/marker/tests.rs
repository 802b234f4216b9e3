//! A restore that ends between two sections.

use arc_backup_core::Scope;
use arc_backup_core::Section;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arc_backup_core::{
    Body, Entry, EntryStream, Error, ErrorKind, Key, MemorySink, Restore, RestoreSummary, Result,
    Sink, Snapshot, SnapshotRequest, Source, SourceReport, Staging, Upload, WriteOptions,
};
use async_trait::async_trait;
use futures::{StreamExt, stream};

use crate::Registry;
use crate::config::Overrides;
use crate::manifest::BackupId;
use crate::operations::Origin;
use crate::operations::{
    ArcBackup, BackupOptions, ExtraFilesPolicy, Operation, Request, RestoreOptions, Who,
};

/// A section of one file, which can't be applied when it is asked to refuse.
#[derive(Clone, Default)]
struct Stubborn {
    refuses: Arc<AtomicBool>,
    at_ready: Arc<Mutex<Option<Work>>>,
}

type Work = Box<dyn FnOnce() + Send>;

fn entry() -> Entry {
    Entry::new(Key::parse("file").expect("a fixed name"), 4)
}

#[async_trait]
impl Source for Stubborn {
    fn section(&self) -> &str {
        "extra"
    }
    async fn snapshot(&self, _request: SnapshotRequest) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(self.clone()))
    }
    async fn restore(&self, _staging: Staging) -> Result<Box<dyn Restore>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Snapshot for Stubborn {
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
        let work = self.at_ready.lock().expect("nobody panics with it").take();
        work.into_iter().for_each(|work| work());
        Ok(())
    }
    async fn apply(&self) -> Result<()> {
        match self.refuses.load(Ordering::SeqCst) {
            true => Err(Error::new(
                ErrorKind::Other,
                "put into force",
                "file",
                "on request",
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
        origin: Origin::Cli,
        fingerprint: None,
        token: None,
    };
    let running = engine.start(request, who).await.expect("a free slot");
    running.wait().await
}

/// An instance with one file and a stubborn source, its backup, and a change since then.
struct Scene {
    folder: tempfile::TempDir,
    live: PathBuf,
    source: Stubborn,
    engine: Arc<ArcBackup>,
    id: BackupId,
    policy: ExtraFilesPolicy,
}

impl Scene {
    async fn new() -> Self {
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
        let settings = Registry::new()
            .settings(&Overrides {
                config: Some(config),
                ignore_environment: true,
            })
            .expect("a valid configuration");
        let source = Stubborn::default();
        let mut registry = Registry::new();
        let made = source.clone();
        registry.add_source(move |_| Ok(Some(Arc::new(made.clone()) as Arc<dyn Source>)));
        let engine = ArcBackup::new(settings, &registry).expect("a valid configuration");
        let backup = Request::Backup(BackupOptions::of(Scope::of_sections([Section::Data])));
        let made = run(&engine, backup).await;
        let id = BackupId::parse(&made.backup_id).expect("an id");
        std::fs::write(&live, b"newer").expect("room");
        Self {
            folder,
            live,
            source,
            engine,
            id,
            policy: ExtraFilesPolicy::SetAside,
        }
    }

    async fn restore(&self) -> Operation {
        let options = RestoreOptions {
            extra_files: self.policy,
            ..RestoreOptions::default()
        };
        let restore = Request::Restore(self.id.clone(), options, None);
        run(&self.engine, restore).await
    }

    /// A restore at whose last check, when all is staged, `work` is done.
    async fn restore_until(&self, work: impl FnOnce(&ArcBackup) + Send + 'static) -> Operation {
        let engine = self.engine.clone();
        let work = Box::new(move || work(&engine));
        *self.source.at_ready.lock().expect("nobody panics with it") = Some(work);
        self.restore().await
    }

    fn live(&self) -> Vec<u8> {
        std::fs::read(&self.live).expect("a file")
    }

    fn marker_path(&self) -> PathBuf {
        super::marker_path(self.engine.settings())
    }

    /// What lies in the storage beside the file.
    fn staged(&self) -> usize {
        let data = std::fs::read_dir(self.folder.path().join("data"));
        data.expect("a folder").count() - 1
    }
}

/// Guards against: a restore that ended between two sections, and does not say which part of the
/// live data is old and which is new.
#[tokio::test]
async fn the_marker_says_which_sections_are_restored() {
    let scene = Scene::new().await;
    scene.source.refuses.store(true, Ordering::SeqCst);
    let ended = scene.restore().await;
    assert!(ended.error.expect("a fault").contains("on request"));
    assert_eq!(scene.live(), b"old");
    let status = scene
        .engine
        .status()
        .await
        .expect("a history")
        .expect("an operation");
    let marker = status.restore_in_progress.expect("a marker");
    assert_eq!(
        (&marker.sections[..], &marker.done[..]),
        (
            &["data".to_owned(), "extra".to_owned()][..],
            &["data".to_owned()][..]
        )
    );
    assert!(
        marker
            .to_string()
            .contains("restored: data; incomplete: extra"),
        "{}",
        marker.to_string()
    );
    // Once more, and not as far: the marker is still there.
    let ended = scene.restore_until(cancel).await;
    let error = ended.error.expect("a fault");
    assert!(error.contains("nothing more was changed"), "{error}");
    assert!(scene.engine.restore_in_progress().await.is_some());

    scene.source.refuses.store(false, Ordering::SeqCst);
    let ended = scene.restore().await;
    assert_eq!(ended.error, None);
    assert_eq!(scene.engine.restore_in_progress().await, None);
}

/// Guards against: files that the first of two runs has set aside, and that are neither reported
/// nor removed.
#[tokio::test]
async fn files_set_aside_by_an_interrupted_run_are_reported_or_removed_by_the_next() {
    for policy in [ExtraFilesPolicy::SetAside, ExtraFilesPolicy::Remove] {
        let mut scene = Scene::new().await;
        scene.policy = policy;
        scene.source.refuses.store(true, Ordering::SeqCst);
        let first = scene.restore().await;
        let second = scene.restore().await;
        assert!(second.error.expect("a fault").contains("on request"));
        let marker = scene.engine.restore_in_progress().await.expect("a marker");
        let earlier: Vec<_> = marker.earlier.iter().map(|run| &run.operation_id).collect();
        assert_eq!(earlier, [&first.operation_id]);
        let extra = match policy {
            ExtraFilesPolicy::Remove => " --extra-files remove",
            _ => "",
        };
        let command = format!(
            "arc-backup restore {} --target local{extra} --no-metadata",
            scene.id
        );
        assert_eq!(marker.command(), command);
        scene.source.refuses.store(false, Ordering::SeqCst);
        let last = scene.restore().await;
        assert_eq!(last.error, None);
        let aside = scene
            .folder
            .path()
            .join("data.before-restore")
            .join(&first.operation_id);
        let is_reported =
            (last.warnings.iter()).any(|text| text.contains(&aside.display().to_string()));
        let is_there = aside.join("a.parquet").exists();
        let stays = policy == ExtraFilesPolicy::SetAside;
        assert_eq!(
            (is_reported, is_there),
            (stays, stays),
            "{policy:?}: {:?}",
            last.warnings
        );
    }
}

fn cancel(engine: &ArcBackup) {
    engine.current().expect("an operation").cancel("by hand");
}

/// Guards against: a restore that changed nothing and does not say so; staged files that nobody
/// removes.
#[tokio::test]
async fn a_restore_that_changed_nothing_says_so_and_what_it_leaves() {
    let scene = Scene::new().await;
    // The state folder takes no more: here as a folder that stands in the way.
    let in_the_way = scene.marker_path().with_extension("json.tmp");
    let blocked = in_the_way.clone();
    let ended = scene
        .restore_until(move |_| std::fs::create_dir(&blocked).expect("room"))
        .await;
    let error = ended.error.expect("a fault");
    assert!(
        error.contains("restore-in-progress.json") && error.ends_with("; nothing was changed"),
        "{error}"
    );
    std::fs::remove_dir(&in_the_way).expect("an empty folder");
    assert_eq!(
        (scene.live(), scene.staged()),
        (b"newer".to_vec(), 0),
        "after a marker that could not be written"
    );
    assert!(!scene.marker_path().exists());

    let ended = scene.restore_until(cancel).await;
    let kept = "by hand; nothing was changed; staged files (1) are used by the next restore of this backup";
    assert_eq!(ended.error.as_deref(), Some(kept));
    assert_eq!((scene.live(), scene.staged()), (b"newer".to_vec(), 1));
    assert!(
        scene.marker_path().exists(),
        "nobody knows of the staged file"
    );
    assert_eq!(scene.restore().await.error, None);
    assert_eq!((scene.live(), scene.staged()), (b"old".to_vec(), 0));
    assert!(!scene.marker_path().exists());
}

/// Guards against: a damaged marker that is taken for none, while live data may be partly restored.
#[tokio::test]
async fn an_unreadable_marker_counts_as_one() {
    let scene = Scene::new().await;
    std::fs::write(scene.marker_path(), b"{").expect("room");
    let marker = scene.engine.restore_in_progress().await.expect("a marker");
    assert!(
        marker.to_string().contains("restore-in-progress.json"),
        "{}",
        marker.to_string()
    );
    // It may have been one of databases too, and this backup has none.
    let error = scene.restore().await.error.expect("a refusal");
    assert!(
        error.contains("(metadata)") && error.contains("restore-in-progress.json"),
        "{error}"
    );
    assert_eq!(scene.live(), b"newer");
    assert!(scene.marker_path().exists());
}
