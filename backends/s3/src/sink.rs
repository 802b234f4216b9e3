//! The sink itself.

use std::sync::Arc;

use arc_backup_core::{
    Activity, Address, AsideArea, AsideMode, Capabilities, Child, Discard, Discarded, GetOptions,
    Key, ListOptions, ListStream, LockOutcome, Meta, Object, Result, Sink, Upload, WriteOptions,
};
use async_trait::async_trait;

use crate::config::S3Config;
use crate::store::{Shared, Store};
use crate::upload::S3Upload;
use crate::{aside, copy, delete, list, lock, read, unfinished};

/// A bucket, or a prefix in one, as a [`Sink`].
///
/// Clones are the same sink: they share connections, buffers and pace.
#[derive(Debug, Clone)]
pub struct S3Sink {
    store: Shared,
}

impl S3Sink {
    /// The sink of this configuration. Asks no network: the first request makes the client.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](arc_backup_core::ErrorKind::Invalid) about the setting that makes no sense.
    pub fn new(config: S3Config) -> Result<Self> {
        config.check()?;
        Ok(Self {
            store: Arc::new(Store::new(config)),
        })
    }
}

#[async_trait]
impl Sink for S3Sink {
    async fn settle(&self) {
        self.store.releases.settle().await;
        self.store.background.settle().await;
    }

    fn location(&self) -> String {
        let url = self.store.url(&self.store.config.prefix);
        match &self.store.config.endpoint {
            Some(endpoint) => format!("{url} at {endpoint}"),
            None => url,
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.aside = !self.store.config.prefix.is_empty();
        capabilities.server_copy = true;
        capabilities.concurrency = Some(self.store.config.requests);
        capabilities.lock_expiry = Some(lock::longest(&self.store.config));
        capabilities
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

    fn keeps_deleted(&self) -> bool {
        self.store.keeps_versions()
    }

    fn proxy(&self) -> Option<String> {
        let config = &self.store.config;
        config.proxies.of(&config.url()).unwrap_or_default()
    }

    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        lock::lock(&self.store, key, holder).await
    }

    async fn free_lock(&self, key: &Key, holder: &str) -> Result<()> {
        lock::free_lock(&self.store, key, holder).await
    }

    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        lock::lock_holder(&self.store, key).await
    }

    async fn discard_unfinished(
        &self,
        folder: Option<&Key>,
        discard: Discard,
    ) -> Result<Discarded> {
        unfinished::discard(&self.store, folder, discard).await
    }

    fn address(&self, key: &Key) -> Option<Address> {
        Some(Address {
            store: copy::address_store(&self.store),
            place: copy::address_place(&self.store),
            path: format!("{}/{}", self.store.bucket(), self.store.name(key)),
        })
    }

    async fn copy_from(&self, from: &Address, key: &Key) -> Result<Meta> {
        copy::copy_from(&self.store, from, key).await
    }

    async fn set_aside(&self, key: &Key, area: &str, mode: AsideMode) -> Result<()> {
        aside::set_aside(&self.store, key, area, mode).await
    }

    async fn prepare_aside(&self, area: &str, _: u64) -> Result<()> {
        aside::prepare_aside(&self.store, area).await
    }

    async fn remove_aside(&self, area: &str, activity: &Activity) -> Result<()> {
        aside::remove_aside(&self.store, area, activity).await
    }

    async fn list_aside(&self) -> Result<Vec<AsideArea>> {
        aside::list_aside(&self.store).await
    }

    fn aside_location(&self, area: &str) -> Option<String> {
        let has_place = !self.store.config.prefix.is_empty();
        has_place.then(|| self.store.url(&aside::area_prefix(&self.store, area)))
    }
}
