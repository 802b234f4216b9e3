//! The sink itself.

use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::{
    Access, Address, AsideStore, Child, EntityTag, ExpiringLocks, GetOptions, Key, ListOptions,
    ListStream, LockOutcome, Meta, Object, Result, ServerCopy, Sink, SinkProperties, Upload,
    WriteOptions,
};
use async_trait::async_trait;
use futures::{StreamExt as _, stream};

use crate::aside::AzureAside;
use crate::config::AzureConfig;
use crate::delete::{DELETES, delete};
use crate::store::Store;
use crate::upload::AzureUpload;
use crate::{copy, list, lock, read};

/// How many objects are best copied at once.
const CONCURRENCY: usize = 32;

/// A container of Azure Blob Storage, or a prefix in one, as a [`Sink`].
///
/// Clones are the same sink, and share its connections.
#[derive(Debug, Clone)]
pub struct AzureSink {
    store: Arc<Store>,
    aside: Option<AzureAside>,
}

impl AzureSink {
    /// The sink of this configuration. Asks no network.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](arc_backup_core::ErrorKind::Invalid) names the setting that can't be
    /// right, by its key in `arc.toml` (`azure_container`), and shows no secret.
    pub fn new(config: AzureConfig) -> Result<Self> {
        let store = Arc::new(Store::new(&config)?);
        if let Some(warning) = store.warning() {
            tracing::warn!("{warning}");
        }
        Ok(Self {
            aside: AzureAside::new(&store),
            store,
        })
    }

    /// What is wrong with the credentials at this moment, as far as they show it by themselves:
    /// that a SAS token has expired, or is not valid yet.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        self.store.warning()
    }
}

#[async_trait]
impl Sink for AzureSink {
    fn location(&self) -> String {
        self.store.location(self.store.prefix())
    }

    fn properties(&self) -> SinkProperties {
        let mut properties = SinkProperties::default();
        properties.entity_tag = EntityTag::Strong;
        properties.access = Access::Network;
        properties.concurrency = Some(CONCURRENCY);
        properties.proxy = self.store.proxy();
        properties.keeps_deleted = self.store.keeps_deleted();
        properties
    }

    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        Ok(Box::new(AzureUpload::new(
            self.store.clone(),
            key.clone(),
            options,
        )))
    }

    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        read::get(&self.store, key, options).await
    }

    async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        let found = self.store.head("read", key, &self.store.name(key)).await?;
        Ok(found.map(|properties| properties.meta(key.clone())))
    }

    fn list(&self, options: ListOptions) -> ListStream {
        list::list(self.store.clone(), options)
    }

    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        list::list_children(&self.store, folder).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<()> {
        let store = &self.store;
        // All are tried, whatever happens to one.
        let outcomes = stream::iter(keys.to_vec())
            .map(|key| async move { delete(store, "delete", &key, &store.name(&key), None).await });
        let outcomes: Vec<_> = outcomes.buffer_unordered(DELETES).collect().await;
        outcomes.into_iter().collect()
    }

    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        lock::lock(&self.store, key, holder).await
    }

    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        lock::holder(&self.store, "read the lock", key).await
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

    fn expiring_locks(&self) -> Option<&dyn ExpiringLocks> {
        Some(self)
    }
}

#[async_trait]
impl ServerCopy for AzureSink {
    fn address(&self, key: &Key) -> Address {
        Address {
            store: self.store.identity(),
            place: self.store.endpoint(),
            path: self.store.path(&self.store.name(key)),
        }
    }

    async fn copy_from(&self, from: &Address, key: &Key) -> Result<Meta> {
        copy::copy_from(&self.store, from, key).await
    }
}

#[async_trait]
impl ExpiringLocks for AzureSink {
    fn expiry(&self) -> Duration {
        self.store.lease
    }

    async fn free(&self, key: &Key, holder: &str) -> Result<()> {
        lock::free(&self.store, key, holder).await
    }
}
