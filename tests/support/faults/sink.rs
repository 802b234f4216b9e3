//! A sink with faults.

use std::sync::Arc;

use arc_backup_core::{
    AsideStore, Child, DeferredDurability, ExpiringLocks, Folders, GetOptions, HardLinks, Key,
    ListOptions, ListStream, LockOutcome, Meta, Object, Result, ServerCopy, Sink, SinkProperties,
    SnapshotStore, StagingArea, UnfinishedUploads, Upload, WriteOptions,
};
use async_trait::async_trait;

use super::body::spoiled;
use super::upload::Wrapped;
use super::{Plan, spoiled_rows};

/// A sink of which one call goes wrong. Everything else it passes on, the optional objects too (in
/// `optional`).
#[derive(Debug)]
pub struct FaultySink {
    pub(super) place: String,
    pub(super) inner: Arc<dyn Sink>,
    pub(super) plan: Arc<Plan>,
}

impl FaultySink {
    pub fn new(place: String, inner: Arc<dyn Sink>, plan: Arc<Plan>) -> Self {
        Self { place, inner, plan }
    }

    pub(super) fn wrapped<T: ?Sized>(&self, inner: Box<T>, subject: &str) -> Box<Wrapped<T>> {
        Box::new(Wrapped {
            inner,
            plan: self.plan.clone(),
            place: self.place.clone(),
            subject: subject.to_owned(),
        })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Sink for FaultySink {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn properties(&self) -> SinkProperties {
        self.inner.properties()
    }

    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        let work = self.inner.begin(key, options);
        let upload = self.plan.around(&self.place, "begin", key, work).await?;
        Ok(self.wrapped(upload, key))
    }

    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        let fault = self.plan.next(&self.place, "get", key);
        self.plan.before(fault, "get", key).await?;
        let got = self.inner.get(key, options).await;
        let mut object = self.plan.after(fault, "get", key, got).await?;
        object.body = spoiled(fault, object.body, key).await?;
        Ok(object)
    }

    async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        let work = self.inner.head(key);
        self.plan.around(&self.place, "head", key, work).await
    }

    fn list(&self, options: ListOptions) -> ListStream {
        let subject = options.prefix.clone();
        let rows = self.inner.list(options);
        let fault = self.plan.next(&self.place, "list", &subject);
        spoiled_rows(fault, rows, "list", &subject)
    }

    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        let work = self.inner.list_children(folder);
        let subject = folder.map(Key::to_string).unwrap_or_default();
        self.plan
            .around(&self.place, "list_children", &subject, work)
            .await
    }

    async fn delete(&self, keys: &[Key]) -> Result<()> {
        let work = self.inner.delete(keys);
        let subject = keys.first().map(Key::to_string).unwrap_or_default();
        self.plan
            .around(&self.place, "delete", &subject, work)
            .await
    }

    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        let work = self.inner.lock(key, holder);
        Ok(
            match self.plan.around(&self.place, "lock", key, work).await? {
                LockOutcome::Held(guard) => LockOutcome::Held(self.wrapped(guard, key)),
                busy @ LockOutcome::Busy(_) => busy,
            },
        )
    }

    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        let work = self.inner.lock_holder(key);
        self.plan
            .around(&self.place, "lock_holder", key, work)
            .await
    }

    async fn settle(&self) {
        self.inner.settle().await;
    }

    fn staging(&self) -> Option<&dyn StagingArea> {
        self.inner.staging().map(|_| self as &dyn StagingArea)
    }

    fn aside(&self) -> Option<&dyn AsideStore> {
        self.inner.aside().map(|_| self as &dyn AsideStore)
    }

    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        self.inner.snapshots().map(|_| self as &dyn SnapshotStore)
    }

    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        self.inner.server_copy().map(|_| self as &dyn ServerCopy)
    }

    fn hard_links(&self) -> Option<&dyn HardLinks> {
        self.inner.hard_links().map(|_| self as &dyn HardLinks)
    }

    fn folders(&self) -> Option<&dyn Folders> {
        self.inner.folders().map(|_| self as &dyn Folders)
    }

    fn unfinished_uploads(&self) -> Option<&dyn UnfinishedUploads> {
        self.inner
            .unfinished_uploads()
            .map(|_| self as &dyn UnfinishedUploads)
    }

    fn deferred_durability(&self) -> Option<&dyn DeferredDurability> {
        self.inner
            .deferred_durability()
            .map(|_| self as &dyn DeferredDurability)
    }

    fn expiring_locks(&self) -> Option<&dyn ExpiringLocks> {
        self.inner
            .expiring_locks()
            .map(|_| self as &dyn ExpiringLocks)
    }
}
