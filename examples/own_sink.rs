//! A target of one's own: local disk behind a limit of bytes a second, for a link that others share.
//!
//! ```toml
//! [backup.targets.slow]
//! type = "throttled"
//! local_path = "/mnt/shared/backups"
//! bytes_per_second = 10000000
//! ```
//!
//! `cargo run --example own_sink -- backup --target slow`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use arc_backup::{Error, Registry};
use arc_backup_core::{
    Activity, Capabilities, Child, Discard, Discarded, GetOptions, Key, ListOptions, ListStream,
    LockOutcome, Meta, Object, Result, Sink, Upload, WriteOptions,
};
use arc_backup_local::{LocalConfig, LocalSink};
use async_trait::async_trait;
use bytes::Bytes;

/// Local disk, written no faster than `bytes_per_second`.
#[derive(Debug)]
struct ThrottledSink {
    inner: LocalSink,
    bytes_per_second: u64,
}

#[async_trait]
impl Sink for ThrottledSink {
    fn location(&self) -> String {
        self.inner.location()
    }

    // What this sink does not pass on, it must not declare.
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.attributes = true;
        capabilities.local_root = self.inner.capabilities().local_root;
        capabilities
    }

    async fn begin(&self, key: &Key, mut options: WriteOptions) -> Result<Box<dyn Upload>> {
        // `durability` keeps its default here, so each commit has to be durable by itself.
        options.durable = true;
        Ok(Box::new(ThrottledUpload {
            inner: self.inner.begin(key, options).await?,
            bytes_per_second: self.bytes_per_second,
        }))
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
        self.inner.delete(keys).await
    }

    async fn settle(&self) {
        self.inner.settle().await;
    }
    fn keeps_deleted(&self) -> bool {
        self.inner.keeps_deleted()
    }

    fn proxy(&self) -> Option<String> {
        self.inner.proxy()
    }

    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        self.inner.lock(key, holder).await
    }

    async fn free_lock(&self, key: &Key, holder: &str) -> Result<()> {
        self.inner.free_lock(key, holder).await
    }
    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        self.inner.lock_holder(key).await
    }

    async fn remove_tree(&self, folder: &Key, activity: &Activity) -> Result<()> {
        self.inner.remove_tree(folder, activity).await
    }

    async fn discard_unfinished(
        &self,
        folder: Option<&Key>,
        discard: Discard,
    ) -> Result<Discarded> {
        self.inner.discard_unfinished(folder, discard).await
    }
}

struct ThrottledUpload {
    inner: Box<dyn Upload>,
    bytes_per_second: u64,
}

#[async_trait]
impl Upload for ThrottledUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        // Rounding up to whole microseconds errs on the slow side.
        let micros = (bytes.len() as u64 * 1_000_000).div_ceil(self.bytes_per_second);
        tokio::time::sleep(Duration::from_micros(micros)).await;
        self.inner.write(bytes).await
    }

    async fn commit(self: Box<Self>) -> Result<Meta> {
        self.inner.commit().await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.inner.abort().await
    }
}

fn main() -> ExitCode {
    let mut registry = Registry::new();
    registry.add_sink("throttled", |target, settings| {
        let key = format!("{}.local_path", target.key);
        let root = settings.values.text(&key)?;
        let root =
            root.ok_or_else(|| Error::Config(format!("`{key}` is missing: it names the folder")))?;
        let rate = format!("{}.bytes_per_second", target.key);
        Ok(Arc::new(ThrottledSink {
            inner: LocalSink::new(LocalConfig::new(root)),
            bytes_per_second: settings.values.number(&rate, 10_000_000, 1, u64::MAX)?,
        }))
    });
    arc_backup::main(registry)
}
