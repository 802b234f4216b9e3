//! A server on a port of this machine.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;

use crate::fault::{Faults, Rule, Verb};
use crate::layer::Layer;
use crate::service::Service;
use crate::store::{Store, Stored};

/// What is wrong with the listings of objects and of uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listings {
    /// Nothing.
    Right,
    /// They break off without telling how to go on.
    WithoutToken,
    /// Whatever they are to go on from, they give the first page again.
    FirstPageAgain,
    /// The same, and what is on the page is missing.
    EmptyForEver,
    /// Each page is in the reverse order.
    Backwards,
}

/// What a server is like.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The buckets that there are.
    pub buckets: Vec<String>,
    /// The access key that is known.
    pub access_key: String,
    /// Its secret key.
    pub secret_key: String,
    /// The folder for bodies, in files without names; `None`: they stay in memory.
    pub spill_to: Option<PathBuf>,
    /// How long each request waits before it is looked at.
    pub latency: Duration,
    /// How many keys a page of a listing has at the most.
    pub page_keys: usize,
    /// The smallest part, but for the last, in bytes: 5 MiB with S3.
    pub smallest_part_bytes: u64,
    /// The largest object that CopyObject copies, in bytes: 5 GiB with S3.
    pub copy_limit_bytes: u64,
    /// By how much the times that objects are stamped with lie behind those of the answers: two
    /// clocks.
    pub stamps_behind: Duration,
    /// Whether to refuse requests that name a checksum, as stores do that do not know them.
    pub refuse_checksums: bool,
    /// Whether ListMultipartUploads finds only the uploads of the exact key that is its prefix, as
    /// MinIO does.
    pub lists_uploads_of_exact_keys_only: bool,
    /// Whether DeleteObjects is refused without a `Content-MD5`, as old stores do.
    pub deletes_need_md5: bool,
    /// Whether the buckets keep versions: what is overwritten stays, and what is deleted too,
    /// behind a delete marker. As MinIO does, a listing with a delimiter has folders also where all
    /// that is below them is deleted.
    pub versioned: bool,
    /// Keys that contain this text are refused by DeleteObjects, each by itself.
    pub undeletable: Option<String>,
    /// What is wrong with listings.
    pub listings: Listings,
    /// What [`When::Chance`](crate::When::Chance) draws with.
    pub seed: u64,
}

impl Default for ServerOptions {
    /// One bucket, `test`, and S3's limits.
    fn default() -> Self {
        Self {
            buckets: vec!["test".to_owned()],
            access_key: "TESTACCESSKEY".to_owned(),
            secret_key: "test/secret+key".to_owned(),
            spill_to: None,
            latency: Duration::ZERO,
            page_keys: 1000,
            smallest_part_bytes: 5 << 20,
            copy_limit_bytes: 5 << 30,
            stamps_behind: Duration::ZERO,
            refuse_checksums: false,
            lists_uploads_of_exact_keys_only: false,
            deletes_need_md5: false,
            versioned: false,
            undeletable: None,
            listings: Listings::Right,
            seed: 1,
        }
    }
}

/// A running server. It listens on 127.0.0.1, runs on threads of its own, and stops when this is
/// dropped.
pub struct S3Server {
    address: SocketAddr,
    store: Arc<Store>,
    faults: Arc<Faults>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl std::fmt::Debug for S3Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl S3Server {
    /// Starts a server on a free port.
    ///
    /// # Errors
    /// When the port can't be opened or threads can't be started.
    pub fn start(options: ServerOptions) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("s3-server")
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let store = Arc::new(Store::new(options));
        let faults = Arc::new(Faults::new(store.options.seed));
        let mut builder = S3ServiceBuilder::new(Service(store.clone()));
        builder.set_auth(SimpleAuth::from_single(
            store.options.access_key.clone(),
            store.options.secret_key.clone(),
        ));
        let layer = Layer {
            service: builder.build(),
            faults: faults.clone(),
            latency: store.options.latency,
        };
        let _entered = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        runtime.spawn(serve(listener, layer));
        drop(_entered);
        Ok(Self {
            address,
            store,
            faults,
            runtime: Some(runtime),
        })
    }

    /// The endpoint, with scheme and port: `http://127.0.0.1:41234`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was started with.
    #[must_use]
    pub fn options(&self) -> &ServerOptions {
        &self.store.options
    }

    /// Adds a fault behind those that are there.
    pub fn fault(&self, rule: Rule) {
        self.faults.add(rule);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.faults.clear();
    }

    /// How many requests met a fault since the counts were reset.
    #[must_use]
    pub fn faults_met(&self) -> u64 {
        self.faults.hits()
    }

    /// How many requests of each kind came since the counts were reset.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Verb, u64> {
        self.faults.counts()
    }

    /// How many requests of this kind came since the counts were reset.
    #[must_use]
    pub fn count(&self, verb: Verb) -> u64 {
        self.counts().get(&verb).copied().unwrap_or(0)
    }

    /// Sets all counts to zero.
    pub fn reset_counts(&self) {
        self.faults.reset_counts();
    }

    /// The keys in a bucket, in byte order.
    #[must_use]
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let state = self.store.state();
        let bucket = state.buckets.get(bucket);
        bucket
            .map(|bucket| bucket.objects.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// The bytes of an object.
    #[must_use]
    pub fn object(&self, bucket: &str, key: &str) -> Option<Bytes> {
        let blob = {
            let state = self.store.state();
            state.buckets.get(bucket)?.objects.get(key)?.blob.clone()
        };
        Some(blob.bytes())
    }

    /// Puts an object there without a request.
    ///
    /// # Panics
    /// When there is no such bucket.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        let object = Stored::of(bytes.into());
        let mut state = self.store.state();
        let bucket = state.buckets.get_mut(bucket).expect("the bucket exists");
        bucket.insert(key.to_owned(), object, self.store.options.versioned);
    }

    /// Removes an object without a request.
    pub fn remove(&self, bucket: &str, key: &str) {
        if let Some(bucket) = self.store.state().buckets.get_mut(bucket) {
            bucket.remove(key, self.store.options.versioned);
        }
    }

    /// Moves the objects whose names contain this text to a storage class, as a lifecycle rule
    /// does: from `GLACIER` nothing is read.
    pub fn move_to_class(&self, bucket: &str, part: &str, class: &'static str) {
        let mut state = self.store.state();
        let bucket = state.buckets.get_mut(bucket);
        let objects = bucket.into_iter().flat_map(|bucket| &mut bucket.objects);
        for (key, object) in objects {
            if key.contains(part) {
                object.class = Some(class);
            }
        }
    }

    /// How many versions a bucket keeps of objects whose names contain this text, which are no
    /// longer current.
    #[must_use]
    pub fn old_versions(&self, bucket: &str, part: &str) -> u64 {
        let state = self.store.state();
        let bucket = state.buckets.get(bucket);
        bucket.map_or(0, |bucket| {
            let kept = bucket.old_versions.iter();
            kept.filter(|(key, _)| key.contains(part))
                .map(|(_, count)| count)
                .sum()
        })
    }

    /// Changes one bit of an object's bytes, and nothing of what is known of it: its checksum is
    /// then wrong.
    ///
    /// # Panics
    /// When there is no such object, or no such byte in it.
    pub fn damage(&self, bucket: &str, key: &str, offset: usize) {
        let mut state = self.store.state();
        let bucket = state.buckets.get_mut(bucket).expect("the bucket exists");
        let object = bucket.objects.get_mut(key).expect("the object exists");
        let mut bytes = object.blob.bytes().to_vec();
        bytes[offset] ^= 1;
        object.blob = Bytes::from(bytes).into();
    }

    /// The unfinished multipart uploads in a bucket, by key and upload id.
    #[must_use]
    pub fn uploads(&self, bucket: &str) -> Vec<(String, String)> {
        let state = self.store.state();
        let bucket = state.buckets.get(bucket);
        bucket
            .map(|bucket| bucket.uploads.keys().cloned().collect())
            .unwrap_or_default()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(listener: tokio::net::TcpListener, layer: Layer) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let layer = layer.clone();
        tokio::spawn(async move {
            // What ends a connection is the business of who opened it.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .max_buf_size(1 << 20)
                .serve_connection(TokioIo::new(stream), layer)
                .await;
        });
    }
}
