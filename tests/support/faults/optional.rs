//! The optional objects of a sink, with faults.

use std::time::Duration;

use arc_backup_core::{
    Activity, Address, AsideArea, AsideMode, AsideObject, AsideStore, DeferredDurability, Discard,
    Discarded, Durability, ExpiringLocks, Folders, GetOptions, HardLinks, Key, Meta, Object,
    OperationId, Result, ServerCopy, SnapshotFolder, SnapshotStore, StagingArea, UnfinishedUploads,
    Upload, WriteOptions,
};
use async_trait::async_trait;

use super::body::spoiled;
use super::sink::FaultySink;
use super::upload::Wrapped;

/// The optional object of the sink inside. A [`FaultySink`] gives its own only where there is one.
macro_rules! inner {
    ($sink:ident.$object:ident) => {
        $sink.inner.$object().expect("the sink inside has it")
    };
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StagingArea for FaultySink {
    async fn begin(
        &self,
        key: &Key,
        stage: &OperationId,
        options: WriteOptions,
    ) -> Result<Box<dyn Upload>> {
        let work = inner!(self.staging).begin(key, stage, options);
        let upload = self.plan.around(&self.place, "begin", key, work).await?;
        Ok(self.wrapped(upload, key))
    }

    async fn open(&self, key: &Key, stage: &OperationId) -> Result<Option<Object>> {
        let work = inner!(self.staging).open(key, stage);
        self.plan.around(&self.place, "staged", key, work).await
    }

    async fn promote(&self, key: &Key, stage: &OperationId) -> Result<()> {
        let work = inner!(self.staging).promote(key, stage);
        self.plan.around(&self.place, "promote", key, work).await
    }

    async fn discard(&self, key: &Key, stage: &OperationId) -> Result<()> {
        let work = inner!(self.staging).discard(key, stage);
        self.plan
            .around(&self.place, "discard_staged", key, work)
            .await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl AsideStore for FaultySink {
    async fn prepare(&self, operation: &OperationId, bytes: u64) -> Result<()> {
        let work = inner!(self.aside).prepare(operation, bytes);
        self.plan
            .around(&self.place, "prepare_aside", operation, work)
            .await
    }

    async fn set_aside(&self, key: &Key, operation: &OperationId, mode: AsideMode) -> Result<()> {
        let work = inner!(self.aside).set_aside(key, operation, mode);
        self.plan.around(&self.place, "set_aside", key, work).await
    }

    async fn look(&self, key: &Key, operation: &OperationId) -> Result<Option<AsideObject>> {
        let work = inner!(self.aside).look(key, operation);
        self.plan.around(&self.place, "look_aside", key, work).await
    }

    async fn put_back(&self, key: &Key, operation: &OperationId) -> Result<()> {
        let work = inner!(self.aside).put_back(key, operation);
        self.plan.around(&self.place, "put_back", key, work).await
    }

    async fn remove(&self, operation: &OperationId, activity: &Activity) -> Result<()> {
        let work = inner!(self.aside).remove(operation, activity);
        self.plan
            .around(&self.place, "remove_aside", operation, work)
            .await
    }

    async fn list(&self) -> Result<Vec<AsideArea>> {
        inner!(self.aside).list().await
    }

    fn location(&self, operation: &OperationId) -> String {
        inner!(self.aside).location(operation)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SnapshotStore for FaultySink {
    async fn create(&self, operation: &OperationId) -> Result<Box<dyn SnapshotFolder>> {
        let work = inner!(self.snapshots).create(operation);
        let created = self
            .plan
            .around(&self.place, "create_snapshot", operation, work);
        Ok(self.wrapped(created.await?, operation))
    }

    async fn discard_leftovers(&self, discard: Discard, activity: &Activity) -> Result<Discarded> {
        let work = inner!(self.snapshots).discard_leftovers(discard, activity);
        self.plan
            .around(&self.place, "discard_snapshots", "", work)
            .await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SnapshotFolder for Wrapped<dyn SnapshotFolder> {
    async fn add(&self, keys: &[Key]) -> Result<Vec<Option<Meta>>> {
        let work = self.inner.add(keys);
        let subject = keys.first().map(Key::to_string).unwrap_or_default();
        self.plan
            .around(&self.place, "add_to_snapshot", &subject, work)
            .await
    }

    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        let fault = self.plan.next(&self.place, "get", key);
        self.plan.before(fault, "get", key).await?;
        let got = self.inner.get(key, options).await;
        let mut object = self.plan.after(fault, "get", key, got).await?;
        object.body = spoiled(fault, object.body, key).await?;
        Ok(object)
    }

    async fn release(self: Box<Self>, activity: &Activity) -> Result<()> {
        let Self {
            inner,
            plan,
            place,
            subject,
        } = *self;
        plan.around(
            &place,
            "release_snapshot",
            &subject,
            inner.release(activity),
        )
        .await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ServerCopy for FaultySink {
    fn address(&self, key: &Key) -> Address {
        inner!(self.server_copy).address(key)
    }

    async fn copy_from(&self, from: &Address, key: &Key) -> Result<Meta> {
        let work = inner!(self.server_copy).copy_from(from, key);
        self.plan.around(&self.place, "copy_from", key, work).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl HardLinks for FaultySink {
    async fn link(&self, from: &Key, to: &Key) -> Result<Meta> {
        let work = inner!(self.hard_links).link(from, to);
        self.plan.around(&self.place, "link", to, work).await
    }

    async fn count_names(&self, keys: &[Key]) -> Result<Vec<Option<u64>>> {
        let work = inner!(self.hard_links).count_names(keys);
        let subject = keys.first().map(Key::to_string).unwrap_or_default();
        self.plan
            .around(&self.place, "count_names", &subject, work)
            .await
    }

    /// Each link is a call.
    async fn link_all(&self, links: &[(Key, Key)]) -> Vec<Result<Meta>> {
        let mut made = Vec::with_capacity(links.len());
        for pair in links {
            let one = async {
                let links = inner!(self.hard_links).link_all(std::slice::from_ref(pair));
                links.await.pop().unwrap()
            };
            made.push(self.plan.around(&self.place, "link", &pair.1, one).await);
        }
        made
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Folders for FaultySink {
    async fn remove(&self, folder: &Key, activity: &Activity) -> Result<()> {
        let work = inner!(self.folders).remove(folder, activity);
        self.plan
            .around(&self.place, "remove_tree", folder, work)
            .await
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<()> {
        let work = inner!(self.folders).rename(from, to);
        self.plan.around(&self.place, "move_tree", from, work).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl UnfinishedUploads for FaultySink {
    async fn discard(&self, folder: Option<&Key>, discard: Discard) -> Result<Discarded> {
        let work = inner!(self.unfinished_uploads).discard(folder, discard);
        let subject = folder.map(Key::to_string).unwrap_or_default();
        self.plan
            .around(&self.place, "discard_unfinished", &subject, work)
            .await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DeferredDurability for FaultySink {
    async fn open(&self) -> Result<Box<dyn Durability>> {
        let work = inner!(self.deferred_durability).open();
        let opened = self.plan.around(&self.place, "durability", "", work);
        Ok(self.wrapped(opened.await?, "durability"))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ExpiringLocks for FaultySink {
    fn expiry(&self) -> Duration {
        inner!(self.expiring_locks).expiry()
    }

    async fn free(&self, key: &Key, holder: &str) -> Result<()> {
        let work = inner!(self.expiring_locks).free(key, holder);
        self.plan.around(&self.place, "free_lock", key, work).await
    }
}
