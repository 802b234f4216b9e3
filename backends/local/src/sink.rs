//! The sink itself.

use arc_backup_core::{
    Access, Activity, AsideStore, BlockingJob, Child, DeferredDurability, Discard, Discarded,
    Durability, EntityTag, Error, Folders, GetOptions, HardLinks, Key, ListOptions, ListStream,
    LockOutcome, Meta, Object, Result, Sink, SinkProperties, SnapshotStore, StagingArea,
    UnfinishedUploads, Upload, WriteOptions,
};
use async_trait::async_trait;

use crate::aside::LocalAside;
use crate::config::LocalConfig;
use crate::durability::SyncPoint;
use crate::error::{DiskFault, blocking, broken_off};
use crate::root::Root;
use crate::snapshot::LocalSnapshots;
use crate::staging::LocalStaging;
use crate::upload::LocalUpload;
use crate::{link, lock, read, remove, walk};

/// A folder on local disk as a [`Sink`].
///
/// Clones are the same sink.
#[derive(Debug, Clone)]
pub struct LocalSink {
    root: Root,
    staging: LocalStaging,
    aside: LocalAside,
    snapshots: LocalSnapshots,
}

impl LocalSink {
    /// The sink of this configuration. Touches nothing: the root is opened by each operation, and
    /// created by the first that writes.
    #[must_use]
    pub fn new(config: LocalConfig) -> Self {
        let root = Root::new(config.root).like_root(config.folders_like_root);
        Self {
            staging: LocalStaging::new(root.clone()),
            aside: LocalAside::new(root.clone()),
            snapshots: LocalSnapshots::new(root.clone()),
            root,
        }
    }

    /// Does `work` on the root and `key` on a thread made for waiting.
    async fn with_key<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &Key,
        work: impl FnOnce(&Root, Key) -> Result<T, DiskFault> + Send + 'static,
    ) -> Result<T> {
        let (root, at) = (self.root.clone(), key.clone());
        blocking(operation, key, move || work(&root, at)).await
    }
}

#[async_trait]
impl Sink for LocalSink {
    fn location(&self) -> String {
        self.root.text()
    }

    fn properties(&self) -> SinkProperties {
        let mut properties = SinkProperties::default();
        // It is made of times and file numbers.
        properties.entity_tag = EntityTag::Weak;
        properties.access = Access::Direct;
        properties.keeps_attributes = true;
        properties.shares_clock = true;
        properties.local_path = Some(self.root.path().to_owned());
        properties
    }

    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        let upload = LocalUpload::begin(self.root.clone(), key.clone(), None, options).await?;
        Ok(Box::new(upload))
    }

    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        read::open(&self.root, key, options).await
    }

    async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        self.with_key("read", key, read::head).await
    }

    fn list(&self, options: ListOptions) -> ListStream {
        walk::list(self.root.clone(), options)
    }

    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        walk::list_children(self.root.clone(), folder.cloned()).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<()> {
        let (root, keys) = (self.root.clone(), keys.to_vec());
        let job = BlockingJob::begin();
        let work = move || {
            let _job = job;
            remove::delete(&root, &keys)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result.map_err(|(key, fault)| fault.about("delete", &key)),
            Err(error) => Err(broken_off("delete", &self.location(), error)),
        }
    }

    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        let holder = holder.to_owned();
        self.with_key("lock", key, move |root, key| {
            lock::lock(root, &key, &holder)
        })
        .await
    }

    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        self.with_key("read the lock", key, |root, key| {
            lock::lock_holder(root, &key)
        })
        .await
    }

    fn staging(&self) -> Option<&dyn StagingArea> {
        Some(&self.staging)
    }

    fn aside(&self) -> Option<&dyn AsideStore> {
        Some(&self.aside)
    }

    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        Some(&self.snapshots)
    }

    fn hard_links(&self) -> Option<&dyn HardLinks> {
        Some(self)
    }

    fn folders(&self) -> Option<&dyn Folders> {
        Some(self)
    }

    fn unfinished_uploads(&self) -> Option<&dyn UnfinishedUploads> {
        Some(self)
    }

    fn deferred_durability(&self) -> Option<&dyn DeferredDurability> {
        Some(self)
    }
}

#[async_trait]
impl HardLinks for LocalSink {
    async fn link(&self, from: &Key, to: &Key) -> Result<Meta> {
        let to = to.clone();
        self.with_key("link", from, move |root, from| link::link(root, &from, to))
            .await
    }

    async fn count_names(&self, keys: &[Key]) -> Result<Vec<Option<u64>>> {
        let Some(first) = keys.first() else {
            return Ok(Vec::new());
        };
        let keys = keys.to_vec();
        self.with_key("stat", first, move |root, _| link::count_names(root, &keys))
            .await
    }

    async fn link_all(&self, links: &[(Key, Key)]) -> Vec<Result<Meta>> {
        let (root, pairs, subject) = (self.root.clone(), links.to_vec(), self.location());
        let made = blocking("link", &subject, move || Ok(link::link_all(&root, &pairs)));
        match made.await {
            Ok(made) => (made.into_iter().zip(links))
                .map(|(made, (from, _))| made.map_err(|fault| fault.about("link", from)))
                .collect(),
            Err(error) => (links.iter())
                .map(|(from, _)| {
                    let detail = error.detail();
                    Err(Error::new(error.kind(), "link", from.as_str(), detail))
                })
                .collect(),
        }
    }
}

#[async_trait]
impl Folders for LocalSink {
    async fn remove(&self, folder: &Key, activity: &Activity) -> Result<()> {
        let activity = activity.clone();
        self.with_key("remove", folder, move |root, folder| {
            remove::remove_tree(root, &folder, &activity)
        })
        .await
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<()> {
        let to = to.clone();
        self.with_key("move", from, move |root, from| {
            remove::move_tree(root, &from, &to)
        })
        .await
    }
}

#[async_trait]
impl UnfinishedUploads for LocalSink {
    async fn discard(&self, folder: Option<&Key>, discard: Discard) -> Result<Discarded> {
        let (root, path) = (
            self.root.clone(),
            folder.map(Key::to_string).unwrap_or_default(),
        );
        let subject = folder.map_or_else(|| self.location(), Key::to_string);
        blocking("clean up", &subject, move || {
            remove::discard_unfinished(&root, &path, discard)
        })
        .await
    }
}

#[async_trait]
impl DeferredDurability for LocalSink {
    async fn open(&self) -> Result<Box<dyn Durability>> {
        Ok(Box::new(SyncPoint::open(self.root.clone()).await?))
    }
}
