//! A store over a simulated network. It has the product's own retries, pace, budgets, parts and
//! ranges, over objects in memory. A seed decides latencies and faults.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_backup_core::remote::{
    Budget, Collected, Heartbeat, PartLimits, PartSink, Parts, RangeReader, ReadPlan, Retrier,
    RetryPolicy, read_ranges,
};
use arc_backup_core::{
    Access, Body, ByteStream, Child, Error, ErrorKind, GetOptions, HardLinks, Key, ListOptions,
    ListStream, Listed, LockOutcome, MemorySink, Meta, Object, Purpose, Result, Sink,
    SinkProperties, Upload, WriteOptions,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};

/// The conditions of the network and of the store.
#[derive(Debug, Clone)]
pub struct Conditions {
    /// The longest time that a request takes.
    pub latency: Duration,
    /// Of how many requests in a thousand the store asks to slow down.
    pub throttled: u32,
    /// Of how many the connection breaks, before or after the request is done.
    pub broken: u32,
    /// How many are never answered.
    pub hangs: u32,
    /// The store does not answer any more.
    pub is_dead: Arc<std::sync::atomic::AtomicBool>,
    /// Reads of keys that contain this text are refused.
    pub refuses: Arc<Mutex<Option<String>>>,
}

impl Conditions {
    pub fn fair() -> Self {
        Self {
            latency: Duration::ZERO,
            throttled: 0,
            broken: 0,
            hangs: 0,
            is_dead: Arc::default(),
            refuses: Arc::default(),
        }
    }
}

/// The limits of a store on concurrent work.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub requests: usize,
    pub buffer_bytes: u64,
    pub part_bytes: u64,
    pub parallel: u64,
}

#[derive(Debug)]
struct Store {
    inner: MemorySink,
    conditions: Conditions,
    random: Mutex<fastrand::Rng>,
    retrier: Retrier,
    control: Retrier,
    writes: Budget,
    control_writes: Budget,
    reads: Budget,
    limits: Limits,
    /// Open bodies.
    open: AtomicU64,
}

/// A store over a simulated network.
#[derive(Debug, Clone)]
pub struct Simulated(Arc<Store>);

impl Simulated {
    pub fn new(limits: Limits, conditions: Conditions, seed: u64) -> Self {
        let retrier = |requests| Retrier::new(RetryPolicy::default(), requests);
        Self(Arc::new(Store {
            inner: MemorySink::new(),
            conditions,
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            retrier: retrier(limits.requests),
            control: retrier(4),
            writes: Budget::new(limits.buffer_bytes),
            control_writes: Budget::new(limits.buffer_bytes),
            reads: Budget::new(limits.buffer_bytes),
            limits,
            open: AtomicU64::new(0),
        }))
    }

    /// Its objects, without the network.
    pub fn objects(&self) -> &MemorySink {
        &self.0.inner
    }

    /// Fails if turns, buffers or open bodies were not returned.
    pub fn check_idle(&self, case: &str) {
        let store = &*self.0;
        for retrier in [&store.retrier, &store.control] {
            assert!(
                retrier.limit().is_idle(),
                "{case}: a turn is lost: {store:?}"
            );
        }
        for budget in [&store.writes, &store.control_writes, &store.reads] {
            assert!(budget.is_whole(), "{case}: room is lost: {store:?}");
        }
        let open = store.open.load(Ordering::Relaxed);
        assert_eq!(open, 0, "{case}: bodies stay open");
    }
}

impl Store {
    fn draw(&self, of: u32) -> u32 {
        self.random.lock().unwrap().u32(0..of.max(1))
    }

    /// One request with its latency and its fault.
    async fn request<T>(&self, subject: &str, done: impl Future<Output = Result<T>>) -> Result<T> {
        let conditions = &self.conditions;
        let most = u32::try_from(conditions.latency.as_micros()).unwrap();
        let latency = Duration::from_micros(self.draw(most).into());
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if conditions.is_dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let fault = |kind, text: &str| Err(Error::new(kind, "ask", subject, text).retryable());
        let drawn = self.draw(1000);
        let (throttled, broken) = (
            conditions.throttled,
            conditions.throttled + conditions.broken,
        );
        if drawn < throttled {
            return fault(ErrorKind::Throttled, "slow down");
        }
        if drawn < broken {
            if drawn.is_multiple_of(2) {
                done.await?;
            }
            return fault(ErrorKind::Unavailable, "connection reset");
        }
        if drawn < broken + conditions.hangs {
            std::future::pending::<()>().await;
        }
        done.await
    }

    async fn call<T, F, Fut>(&self, retrier: &Retrier, subject: &str, done: F) -> Result<T>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let asked = retrier.call("ask", subject, |_| self.request(subject, done()));
        asked.await
    }

    fn retrier(&self, purpose: Purpose) -> &Retrier {
        match purpose {
            Purpose::Data => &self.retrier,
            Purpose::Control => &self.control,
        }
    }

    async fn put(&self, key: &Key, bytes: Bytes, options: &WriteOptions) -> Result<Meta> {
        let mut upload = self.inner.begin(key, options.clone()).await?;
        upload.write(bytes).await?;
        upload.commit().await
    }
}

struct Uploading {
    store: Arc<Store>,
    key: Key,
    options: WriteOptions,
    parts: Parts,
    kept: Arc<Kept>,
}

/// The parts of an upload that have arrived.
struct Kept {
    store: Arc<Store>,
    purpose: Purpose,
    parts: Mutex<BTreeMap<u64, Bytes>>,
}

#[async_trait]
impl PartSink for Kept {
    async fn upload(&self, number: u64, bytes: Bytes) -> Result<()> {
        let retrier = self.store.retrier(self.purpose);
        let put = || async {
            self.parts.lock().unwrap().insert(number, bytes.clone());
            Ok(())
        };
        self.store.call(retrier, "a part", put).await
    }
}

#[async_trait]
impl Upload for Uploading {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.parts.write(bytes).await
    }

    async fn commit(mut self: Box<Self>) -> Result<Meta> {
        let bytes = match self.parts.finish().await? {
            Collected::Small(bytes) => bytes,
            Collected::Parts(_) => {
                let parts = std::mem::take(&mut *self.kept.parts.lock().unwrap());
                parts.into_values().flatten().collect()
            }
        };
        let retrier = self.store.retrier(self.options.purpose);
        let put = || (self.store).put(&self.key, bytes.clone(), &self.options);
        self.store.call(retrier, &self.key, put).await
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.parts.stop().await;
        let retrier = self.store.retrier(self.options.purpose);
        (self.store.call(retrier, &self.key, || async { Ok(()) })).await
    }
}

/// Counts an open body.
struct Open(Arc<Store>);

impl Open {
    fn new(store: &Arc<Store>) -> Self {
        store.open.fetch_add(1, Ordering::Relaxed);
        Self(store.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Ranges {
    store: Arc<Store>,
    key: Key,
    is_small: bool,
}

#[async_trait]
impl RangeReader for Ranges {
    async fn open(&self, range: Range<u64>) -> Result<ByteStream> {
        self.open_with_heartbeat(range, Heartbeat::new()).await
    }

    async fn open_with_heartbeat(&self, range: Range<u64>, beat: Heartbeat) -> Result<ByteStream> {
        let store = self.store.clone();
        let options = GetOptions {
            range: Some(range.clone()),
            ..GetOptions::default()
        };
        let opened = store.request(&self.key, store.inner.get(&self.key, options));
        let object = opened.await?;
        let bytes: Bytes = object.body.collect(1 << 30, &self.key).await?.into();
        let open = Open::new(&store);
        let (budget, is_small) = (store.reads.clone(), self.is_small);
        let len = range.end - range.start;
        // As in the backends, the reader asks for the buffer.
        Ok(stream::once(async move {
            let held = match is_small {
                true => Some(budget.reserve_with_heartbeat(len, &beat).await),
                false => None,
            };
            let latency = u32::try_from(store.conditions.latency.as_micros() / 4).unwrap();
            let pieces: Vec<_> = bytes
                .chunks(700)
                .map(|piece| bytes.slice_ref(piece))
                .collect();
            let state = (pieces.into_iter(), store, open, held);
            stream::unfold(state, move |(mut pieces, store, open, held)| async move {
                let piece = pieces.next()?;
                let micros = store.draw(latency);
                tokio::time::sleep(Duration::from_micros(micros.into())).await;
                let broken = Error::new(ErrorKind::Unavailable, "read", "a body", "reset");
                let piece = match store.draw(2000) < store.conditions.broken {
                    true => Err(broken.retryable()),
                    false => Ok(piece),
                };
                Some((piece, (pieces, store, open, held)))
            })
        })
        .flatten()
        .boxed())
    }
}

#[async_trait]
impl Sink for Simulated {
    fn location(&self) -> String {
        "a simulated store".to_owned()
    }

    fn properties(&self) -> SinkProperties {
        let mut properties = self.0.inner.properties();
        properties.access = Access::Network;
        properties.concurrency = Some(self.0.limits.requests);
        properties
    }

    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        let store = self.0.clone();
        let kept = Arc::new(Kept {
            store: store.clone(),
            purpose: options.purpose,
            parts: Mutex::default(),
        });
        let limits = PartLimits {
            part_bytes: store.limits.part_bytes,
            most_parts: 10_000,
            parallel: store.limits.parallel,
        };
        let budget = match options.purpose {
            Purpose::Data => &store.writes,
            Purpose::Control => &store.control_writes,
        };
        let parts = Parts::new(kept.clone(), &limits, budget, options.size_hint).await;
        Ok(Box::new(Uploading {
            key: key.clone(),
            options,
            parts,
            kept,
            store,
        }))
    }

    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        let store = &self.0;
        let refused = store.conditions.refuses.lock().unwrap().clone();
        if refused.is_some_and(|part| key.contains(&part)) {
            let kind = ErrorKind::PermissionDenied;
            return Err(Error::new(kind, "read", key.as_str(), "refused"));
        }
        let opened = store
            .call(&store.retrier, key, || {
                store.inner.get(key, options.clone())
            })
            .await?;
        let meta = opened.meta;
        let range = options.range.unwrap_or(0..meta.size);
        let range = range.start.min(meta.size)..range.end.min(meta.size);
        let range_bytes = store.limits.part_bytes;
        let reader = Ranges {
            store: store.clone(),
            key: key.clone(),
            is_small: range.end - range.start <= range_bytes,
        };
        let plan = ReadPlan {
            retrier: store.retrier.clone(),
            budget: store.reads.clone(),
            range_bytes,
            parallel: usize::try_from(store.limits.parallel).unwrap(),
            subject: key.to_string(),
        };
        let body = Body::Stream(read_ranges(Arc::new(reader), plan, range, None));
        Ok(Object { meta, body })
    }

    async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        let store = &self.0;
        let asked = store.call(&store.retrier, key, || store.inner.head(key));
        asked.await
    }

    fn list(&self, options: ListOptions) -> ListStream {
        let state = (self.0.clone(), options, Vec::new().into_iter(), false);
        stream::unfold(
            state,
            |(store, mut options, mut rows, has_ended)| async move {
                loop {
                    if let Some(row) = rows.next() {
                        return Some((row, (store, options, rows, has_ended)));
                    }
                    if has_ended {
                        return None;
                    }
                    // A page is one request.
                    let page = || async {
                        let listing = store.inner.list(options.clone()).take(50);
                        Ok(listing.collect::<Vec<_>>().await)
                    };
                    let page = match store.call(&store.retrier, "a listing", page).await {
                        Ok(page) => page,
                        Err(error) => {
                            let rows = Vec::new().into_iter();
                            return Some((Err(error), (store, options, rows, true)));
                        }
                    };
                    match page.last() {
                        Some(Ok(Listed::Object(meta))) => {
                            options.start_after = Some(meta.key.to_string());
                            rows = page.into_iter();
                        }
                        _ => return None,
                    }
                }
            },
        )
        .boxed()
    }

    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        let store = &self.0;
        let asked = store.call(&store.retrier, "a folder", || {
            store.inner.list_children(folder)
        });
        asked.await
    }

    async fn delete(&self, keys: &[Key]) -> Result<()> {
        let store = &self.0;
        let asked = store.call(&store.retrier, "objects", || store.inner.delete(keys));
        asked.await
    }

    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        // Another test covers a lock whose answer is lost.
        self.0.inner.lock(key, holder).await
    }

    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        self.0.inner.lock_holder(key).await
    }

    fn hard_links(&self) -> Option<&dyn HardLinks> {
        Some(self)
    }
}

#[async_trait]
impl HardLinks for Simulated {
    async fn link(&self, from: &Key, to: &Key) -> Result<Meta> {
        let store = &self.0;
        let copy = || async {
            let object = store.inner.get(from, GetOptions::default()).await?;
            let options = WriteOptions {
                modified: object.meta.modified,
                mode: object.meta.mode,
                ..WriteOptions::default()
            };
            let bytes = object.body.collect(1 << 30, from).await?;
            store.put(to, bytes.into(), &options).await
        };
        store.call(&store.retrier, from, copy).await
    }
}
