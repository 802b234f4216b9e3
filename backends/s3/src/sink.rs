//! The sink itself.

use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::{
    Access, Address, AsideStore, Child, Discard, Discarded, EntityTag, ExpiringLocks, GetOptions,
    Key, ListOptions, ListStream, LockOutcome, Meta, Object, Result, ServerCopy, Sink,
    SinkProperties, UnfinishedUploads, Upload, WriteOptions,
};
use async_trait::async_trait;

use crate::aside::S3Aside;
use crate::config::S3Config;
use crate::store::Store;
use crate::upload::S3Upload;
use crate::{address, copy, delete, list, lock, read, unfinished};

/// A bucket, or a prefix in one, as a [`Sink`].
///
/// Clones are the same sink: they share connections, buffers and the limit on requests.
#[derive(Debug, Clone)]
pub struct S3Sink {
    store: Arc<Store>,
    aside: Option<S3Aside>,
}

impl S3Sink {
    /// The sink of this configuration. Asks no network: the first request makes the client.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](arc_backup_core::ErrorKind::Invalid) about the setting that makes no
    /// sense.
    pub fn new(config: S3Config) -> Result<Self> {
        config.check()?;
        let store = Arc::new(Store::new(config));
        Ok(Self {
            aside: S3Aside::new(&store),
            store,
        })
    }
}

#[async_trait]
impl Sink for S3Sink {
    fn location(&self) -> String {
        let url = self.store.url(&self.store.config.prefix);
        match &self.store.config.endpoint {
            Some(endpoint) => format!("{url} at {endpoint}"),
            None => url,
        }
    }

    fn properties(&self) -> SinkProperties {
        let config = &self.store.config;
        let mut properties = SinkProperties::default();
        properties.entity_tag = EntityTag::Strong;
        properties.access = Access::Network;
        properties.concurrency = Some(config.requests);
        properties.proxy = config.proxies.of(&config.url()).unwrap_or_default();
        properties.keeps_deleted = self.store.keeps_versions();
        properties
    }

    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        Ok(Box::new(S3Upload::begin(&self.store, key, options).await?))
    }

    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        read::get(&self.store, key, options).await
    }

    async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        read::head(&self.store, key).await
    }

    fn list(&self, options: ListOptions) -> ListStream {
        list::list(self.store.clone(), options)
    }

    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        list::list_children(&self.store, folder).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<()> {
        delete::delete(&self.store, keys).await
    }

    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        lock::lock(&self.store, key, holder).await
    }

    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        lock::lock_holder(&self.store, key).await
    }

    async fn settle(&self) {
        self.store.releases.settle().await;
        self.store.background.settle().await;
    }

    fn aside(&self) -> Option<&dyn AsideStore> {
        self.aside.as_ref().map(|aside| aside as &dyn AsideStore)
    }

    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        Some(self)
    }

    fn unfinished_uploads(&self) -> Option<&dyn UnfinishedUploads> {
        Some(self)
    }

    fn expiring_locks(&self) -> Option<&dyn ExpiringLocks> {
        Some(self)
    }
}

#[async_trait]
impl ServerCopy for S3Sink {
    fn address(&self, key: &Key) -> Address {
        Address {
            store: copy::address_store(&self.store),
            place: address::address_place(&self.store),
            path: format!("{}/{}", self.store.bucket(), self.store.name(key)),
        }
    }

    async fn copy_from(&self, from: &Address, key: &Key) -> Result<Meta> {
        copy::copy_from(&self.store, from, key).await
    }
}

#[async_trait]
impl UnfinishedUploads for S3Sink {
    async fn discard(&self, folder: Option<&Key>, discard: Discard) -> Result<Discarded> {
        unfinished::discard(&self.store, folder, discard).await
    }
}

#[async_trait]
impl ExpiringLocks for S3Sink {
    fn expiry(&self) -> Duration {
        lock::longest(&self.store.config)
    }

    async fn free(&self, key: &Key, holder: &str) -> Result<()> {
        lock::free_lock(&self.store, key, holder).await
    }
}
