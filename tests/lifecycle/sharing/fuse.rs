//! A sink that dies at one call: from then on every call fails, as if the process were gone.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use arc_backup_core::{
    Child, Error, ErrorKind, GetOptions, Key, ListOptions, ListStream, LockOutcome, Meta, Object,
    Result, Sink, SinkProperties, Upload, WriteOptions,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};

/// When a sink dies.
#[derive(Debug)]
pub struct Fuse {
    /// How many calls are still done.
    left: AtomicI64,
    /// Whether the last of them is done, and only its answer lost.
    is_done: AtomicBool,
    calls: Mutex<Vec<String>>,
    /// The calls that fail, as if the store gave no answer: method and subject.
    silent: Mutex<Option<String>>,
}

impl Default for Fuse {
    fn default() -> Self {
        Self {
            left: AtomicI64::new(i64::MAX),
            is_done: AtomicBool::new(false),
            calls: Mutex::default(),
            silent: Mutex::default(),
        }
    }
}

impl Fuse {
    /// Lets it die at the call `number`, before or after it is done.
    pub fn die_at(&self, number: usize, is_done: bool) {
        self.left.store(number as i64, Ordering::SeqCst);
        self.is_done.store(is_done, Ordering::SeqCst);
        self.calls.lock().unwrap().clear();
    }

    /// Lets it live, and returns the calls since the last time.
    pub fn mend(&self) -> Vec<String> {
        self.left.store(i64::MAX, Ordering::SeqCst);
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    /// Lets this call fail from now on, or none: `get backup-…/manifest.json`.
    pub fn silence(&self, call: Option<&str>) {
        *self.silent.lock().unwrap() = call.map(str::to_owned);
    }

    async fn around<T>(
        &self,
        method: &'static str,
        subject: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        if self.silent.lock().unwrap().as_deref() == Some(&*format!("{method} {subject}")) {
            return Err(Error::new(
                ErrorKind::Throttled,
                method,
                subject,
                "slow down",
            ));
        }
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        let gone = || Error::new(ErrorKind::Other, method, subject, "the process is gone");
        if left < 1 {
            return Err(gone());
        }
        self.calls
            .lock()
            .unwrap()
            .push(format!("{method} {subject}"));
        if left == 1 && !self.is_done.load(Ordering::SeqCst) {
            return Err(gone());
        }
        let done = work.await;
        match left {
            1 => Err(gone()),
            _ => done,
        }
    }
}

/// Passes every call on, and none of the optional objects: a store like any other.
#[derive(Debug)]
pub struct FusedSink {
    pub inner: Arc<dyn Sink>,
    pub fuse: Arc<Fuse>,
}

struct FusedUpload {
    inner: Box<dyn Upload>,
    fuse: Arc<Fuse>,
    key: String,
}

#[async_trait]
impl Upload for FusedUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.inner.write(bytes).await
    }

    async fn commit(self: Box<Self>) -> Result<Meta> {
        let Self { inner, fuse, key } = *self;
        fuse.around("commit", &key, inner.commit()).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.inner.abort().await
    }
}

#[async_trait]
impl Sink for FusedSink {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn properties(&self) -> SinkProperties {
        self.inner.properties()
    }

    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        let options = WriteOptions {
            durable: true,
            ..options
        };
        let inner = self
            .fuse
            .around("begin", key, self.inner.begin(key, options))
            .await?;
        Ok(Box::new(FusedUpload {
            inner,
            fuse: self.fuse.clone(),
            key: key.to_string(),
        }))
    }

    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        self.fuse
            .around("get", key, self.inner.get(key, options))
            .await
    }

    async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        self.fuse.around("head", key, self.inner.head(key)).await
    }

    fn list(&self, options: ListOptions) -> ListStream {
        let (fuse, inner) = (self.fuse.clone(), self.inner.clone());
        let rows = async move {
            let subject = options.prefix.clone();
            match fuse.around("list", &subject, async { Ok(()) }).await {
                Ok(()) => inner.list(options),
                Err(error) => stream::iter([Err(error)]).boxed(),
            }
        };
        stream::once(rows).flatten().boxed()
    }

    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        let subject = folder.map(Key::to_string).unwrap_or_default();
        let work = self.inner.list_children(folder);
        self.fuse.around("list_children", &subject, work).await
    }

    /// Each object is a call: a store may die in the middle of a batch.
    async fn delete(&self, keys: &[Key]) -> Result<()> {
        for key in keys {
            let one = std::slice::from_ref(key);
            self.fuse
                .around("delete", key, self.inner.delete(one))
                .await?;
        }
        Ok(())
    }

    // A dead process does not hold its lock for long.
    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        self.inner.lock(key, holder).await
    }

    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        self.inner.lock_holder(key).await
    }

    async fn settle(&self) {
        self.inner.settle().await;
    }
}
