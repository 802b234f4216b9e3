//! Tests of operations that lose their lock.

use arc_backup_core::Scope;
use arc_backup_core::Section;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_backup_core::{
    Access, AsideStore, Child, DeferredDurability, Error, ErrorKind, ExpiringLocks, Folders,
    GetOptions, HardLinks, Key, ListOptions, ListStream, LockGuard, LockOutcome, MemorySink, Meta,
    Object, Result, ServerCopy, Sink, SinkProperties, SnapshotStore, StagingArea,
    UnfinishedUploads, Upload, WriteOptions,
};
use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{interval, watch};
use crate::Registry;
use crate::config::Overrides;
use crate::manifest::BackupId;
use crate::operations::Origin;
use crate::operations::{
    ArcBackup, BackupOptions, Operation, Request, RestoreOptions, Running, Status, VerifyMode, Who,
};
use crate::repository::Holder;
use crate::repository::Repository;

/// A sink in memory. A test can take its lock away, and can block its deletions.
#[derive(Debug, Clone, Default)]
struct LosingSink {
    inner: MemorySink,
    lost: Arc<AtomicBool>,
    unsure: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
}

struct Guard {
    inner: Box<dyn LockGuard>,
    lost: Arc<AtomicBool>,
    unsure: Arc<AtomicBool>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl LockGuard for Guard {
    async fn check(&self) -> Result<()> {
        let fault = |kind, text: &str| Err(Error::new(kind, "hold", "lock", text));
        if self.unsure.load(Ordering::SeqCst) {
            return fault(ErrorKind::Unavailable, "no answer");
        }
        if self.lost.load(Ordering::SeqCst) {
            return fault(ErrorKind::Busy, "it was taken over");
        }
        self.inner.check().await
    }
    async fn release(&self) -> Result<()> {
        self.inner.release().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Sink for LosingSink {
    fn location(&self) -> String {
        self.inner.location()
    }
    fn properties(&self) -> SinkProperties {
        let mut properties = self.inner.properties();
        properties.access = Access::Network;
        properties
    }
    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        self.inner.begin(key, options).await
    }
    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        self.inner.get(key, options).await
    }
    async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        self.inner.head(key).await
    }
    fn list(&self, options: ListOptions) -> ListStream {
        self.inner.list(options)
    }
    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        self.inner.list_children(folder).await
    }
    async fn delete(&self, keys: &[Key]) -> Result<()> {
        let files = keys.iter().any(|key| key.contains("/data/"));
        while files && self.held.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.inner.delete(keys).await
    }
    async fn settle(&self) {
        self.inner.settle().await;
    }
    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        Ok(match self.inner.lock(key, holder).await? {
            LockOutcome::Held(inner) => LockOutcome::Held(Box::new(Guard {
                inner,
                lost: self.lost.clone(),
                unsure: self.unsure.clone(),
            })),
            busy @ LockOutcome::Busy(_) => busy,
        })
    }
    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        self.inner.lock_holder(key).await
    }
    fn staging(&self) -> Option<&dyn StagingArea> {
        self.inner.staging()
    }
    fn aside(&self) -> Option<&dyn AsideStore> {
        self.inner.aside()
    }
    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        self.inner.snapshots()
    }
    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        self.inner.server_copy()
    }
    fn hard_links(&self) -> Option<&dyn HardLinks> {
        self.inner.hard_links()
    }
    fn folders(&self) -> Option<&dyn Folders> {
        self.inner.folders()
    }
    fn unfinished_uploads(&self) -> Option<&dyn UnfinishedUploads> {
        self.inner.unfinished_uploads()
    }
    fn deferred_durability(&self) -> Option<&dyn DeferredDurability> {
        self.inner.deferred_durability()
    }
    fn expiring_locks(&self) -> Option<&dyn ExpiringLocks> {
        self.inner.expiring_locks()
    }
}

fn who() -> Who {
    Who {
        actor: "test".to_owned(),
        origin: Origin::Cli,
        fingerprint: None,
        token: None,
    }
}

/// Creates an engine over `folder` with the target `sink`.
fn engine(folder: &Path, sink: &LosingSink) -> Arc<ArcBackup> {
    let root = folder.display();
    std::fs::create_dir(folder.join("data")).expect("room");
    for n in 0..3 {
        std::fs::write(folder.join(format!("data/{n}.parquet")), b"rows").expect("room");
    }
    let config = folder.join("arc.toml");
    let text = format!(
        "[storage]\nlocal_path = \"{root}/data\"\n[auth]\ndb_path = \"{root}/arc.db\"\n\
         [backup]\nlocal_path = \"{root}/backups\"\ndefault_target = \"far\"\n[backup.targets.far]\ntype = \"losing\"\n"
    );
    std::fs::write(&config, text).expect("room");
    let settings = Registry::new().settings(&Overrides {
        config: Some(config),
        ignore_environment: true,
    });
    let mut registry = Registry::new();
    let made = sink.clone();
    registry.add_sink("losing", move |_, _| {
        Ok(Arc::new(made.clone()) as Arc<dyn Sink>)
    });
    ArcBackup::new(settings.expect("a valid configuration"), &registry).expect("valid")
}

async fn run(engine: &Arc<ArcBackup>, request: Request) -> Operation {
    let running = engine.start(request, who()).await.expect("a free slot");
    running.wait().await
}

async fn backup(engine: &Arc<ArcBackup>) -> BackupId {
    let request = Request::Backup(BackupOptions::of(Scope::of_sections([Section::Data])));
    let made = run(engine, request).await;
    assert_eq!(made.error, None);
    BackupId::parse(&made.backup_id).expect("an id")
}

/// Guards against two operations in one repository, each of which assumes that it is alone.
#[tokio::test]
async fn a_lock_that_is_lost_cancels_the_operation_and_says_to_whom() {
    let sink = LosingSink::default();
    let repository = Repository::new("far", Arc::new(sink.clone()));
    let other = Holder::this("backup", "20260211-143022-5f0c1d2e");
    let guard = repository.lock(&other).await.expect("a free lock");
    let running = Running::new(Operation::default(), Timestamp::now(), who());
    let ended = CancellationToken::new();
    let every = Duration::from_millis(2);
    sink.unsure.store(true, Ordering::SeqCst);
    let is_hung = AtomicBool::new(false);
    let look = watch(
        Some(&*guard),
        &repository,
        &running,
        every,
        &is_hung,
        &ended,
    );
    // A missing answer does not prove that the lock is lost.
    let looked = tokio::time::timeout(Duration::from_millis(50), look).await;
    assert!(looked.is_err() && !running.cancel.is_cancelled());
    sink.unsure.store(false, Ordering::SeqCst);
    sink.lost.store(true, Ordering::SeqCst);
    watch(
        Some(&*guard),
        &repository,
        &running,
        every,
        &is_hung,
        &ended,
    )
    .await;
    let reason = running.cancel_reason().expect("a reason");
    for part in ["lock", "`far`", "taken over", "5f0c1d2e"] {
        assert!(reason.contains(part), "{reason}");
    }
    // The lock of an ended operation is no longer checked.
    ended.cancel();
    let hour = Duration::from_secs(3600);
    watch(Some(&*guard), &repository, &running, hour, &is_hung, &ended).await;
    assert!(
        interval(&sink) > Duration::from_secs(5),
        "each check is a request"
    );
}

/// Guards against deleting a backup that another process reads, and against restoring from a backup
/// that is being deleted.
#[tokio::test]
async fn without_its_lock_nothing_is_deleted_published_or_restored() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sink = LosingSink::default();
    let engine = engine(folder.path(), &sink);
    let id = backup(&engine).await;
    let live = folder.path().join("data/1.parquet");
    std::fs::write(&live, b"newer rows").expect("room");
    sink.lost.store(true, Ordering::SeqCst);
    let requests = [
        Request::Delete(id.clone(), None, crate::operations::LastGood::Delete),
        Request::Verify(id.clone(), VerifyMode::Full.into(), None),
        Request::Restore(id.clone(), RestoreOptions::default(), None),
        Request::Backup(BackupOptions::of(Scope::of_sections([Section::Data]))),
    ];
    for request in requests {
        let ended = run(&engine, request).await;
        let error = ended.error.unwrap_or_default();
        assert_eq!(ended.status, Status::Failed);
        assert!(error.contains("taken over"), "{}: {error}", ended.operation);
    }
    assert_eq!(std::fs::read(&live).expect("a file"), b"newer rows");
    sink.lost.store(false, Ordering::SeqCst);
    let list = engine.list(None, false).await.expect("a listing");
    let ids: Vec<_> = list.backups.iter().map(|b| b.backup_id.as_str()).collect();
    assert_eq!((ids, list.damaged.len()), (vec![id.as_str()], 0));
    run(
        &engine,
        Request::Restore(id, RestoreOptions::default(), None),
    )
    .await;
    assert_eq!(std::fs::read(&live).expect("a file"), b"rows");
}

/// Guards against a deletion of a million files that cannot be cancelled.
#[tokio::test]
async fn a_deletion_counts_what_it_removes_and_can_be_cancelled() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sink = LosingSink::default();
    let engine = engine(folder.path(), &sink);
    for n in 0..2500 {
        std::fs::write(folder.path().join(format!("data/{n:05}.x")), b"x").expect("room");
    }
    let id = backup(&engine).await;
    sink.held.store(true, Ordering::SeqCst);
    let running = engine
        .start(
            Request::Delete(id.clone(), None, crate::operations::LastGood::Delete),
            who(),
        )
        .await;
    let running = running.expect("a free slot");
    let manifest = crate::repository::manifest_key(&id);
    while sink.inner.head(&manifest).await.expect("memory").is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(running.snapshot().total_files, 2503);
    running.cancel("cancelled by test");
    sink.held.store(false, Ordering::SeqCst);
    let ended = running.wait().await;
    let error = ended.error.unwrap_or_default();
    assert!(error.contains("cancelled by test"), "{error}");
    assert!(ended.processed_files < 2503, "{}", ended.processed_files);
    let list = engine.list(None, false).await.expect("a listing");
    assert_eq!((list.backups.len(), list.damaged.len()), (0, 0));
    // A second deletion completes the first one.
    let ended = run(
        &engine,
        Request::Delete(id, None, crate::operations::LastGood::Delete),
    )
    .await;
    assert_eq!((ended.error, ended.status), (None, Status::Completed));
    assert_eq!(ended.processed_files, ended.total_files);
    let left = sink.inner.list_children(None).await.expect("a listing");
    assert_eq!(left, Vec::new());
}
