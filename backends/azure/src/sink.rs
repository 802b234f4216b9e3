//! The sink itself.

use std::sync::Arc;

use arc_backup_core::{
    Activity, Address, AsideArea, AsideMode, Capabilities, Child, Error, ErrorKind, GetOptions,
    Key, ListOptions, ListStream, LockOutcome, Meta, Object, Result, Sink, Upload, WriteOptions,
};
use async_trait::async_trait;
use futures::{StreamExt as _, stream};

use crate::config::AzureConfig;
use crate::store::Store;
use crate::upload::AzureUpload;
use crate::{aside, copy, list, lock, read};

/// How many objects are best copied at once.
const CONCURRENCY: usize = 32;

/// A container of Azure Blob Storage, or a prefix in one, as a [`Sink`].
///
/// Clones are the same sink, and share its connections.
#[derive(Debug, Clone)]
pub struct AzureSink {
    store: Arc<Store>,
}

impl AzureSink {
    /// The sink of this configuration. Asks no network.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] names the setting that can't be right, by its key in `arc.toml` (`azure_container`), and
    /// shows no secret.
    pub fn new(config: AzureConfig) -> Result<Self> {
        let store = Arc::new(Store::new(&config)?);
        if let Some(warning) = store.warning() {
            tracing::warn!("{warning}");
        }
        Ok(Self { store })
    }

    /// What is wrong with the credentials at this moment, as far as they tell by themselves: that a SAS token has
    /// expired, or is not valid yet.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        self.store.warning()
    }
}

#[async_trait]
impl Sink for AzureSink {
    async fn settle(&self) {
        self.store.releases.settle().await;
        self.store.background.settle().await;
    }

    fn location(&self) -> String {
        self.store.location(self.store.prefix())
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.aside = !self.store.prefix().is_empty();
        capabilities.server_copy = true;
        capabilities.concurrency = Some(CONCURRENCY);
        capabilities.lock_expiry = Some(self.store.lease);
        capabilities
    }

    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        if options.stage.is_some() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "stage",
                key.as_str(),
                "Azure Blob Storage can't stage objects",
            ));
        }
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
        let outcomes = stream::iter(keys.to_vec()).map(|key| async move {
            copy::delete(store, "delete", &key, &store.name(&key), None).await
        });
        let outcomes: Vec<_> = outcomes.buffer_unordered(aside::DELETES).collect().await;
        outcomes.into_iter().collect()
    }

    fn keeps_deleted(&self) -> bool {
        self.store.keeps_deleted()
    }

    fn proxy(&self) -> Option<String> {
        self.store.proxy()
    }

    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        lock::lock(&self.store, key, holder).await
    }

    async fn free_lock(&self, key: &Key, holder: &str) -> Result<()> {
        lock::free(&self.store, key, holder).await
    }

    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        lock::holder(&self.store, "read the lock", key).await
    }

    fn address(&self, key: &Key) -> Option<Address> {
        Some(Address {
            store: self.store.identity(),
            place: self.store.endpoint(),
            path: self.store.path(&self.store.name(key)),
        })
    }

    async fn copy_from(&self, from: &Address, key: &Key) -> Result<Meta> {
        copy::copy_from(&self.store, from, key).await
    }

    async fn set_aside(&self, key: &Key, area: &str, mode: AsideMode) -> Result<()> {
        aside::set_aside(&self.store, key, area, mode).await
    }

    async fn prepare_aside(&self, area: &str, _bytes: u64) -> Result<()> {
        aside::prepare(&self.store, area).await
    }

    async fn remove_aside(&self, area: &str, activity: &Activity) -> Result<()> {
        aside::remove_aside(&self.store, area, activity).await
    }

    async fn list_aside(&self) -> Result<Vec<AsideArea>> {
        aside::list_aside(&self.store).await
    }

    fn aside_location(&self, area: &str) -> Option<String> {
        aside::place(&self.store, area).map(|place| self.store.location(&place))
    }
}
