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

/// Faults of the listings of objects and of uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listings {
    /// None.
    Right,
    /// They end early without a token for the next page.
    WithoutToken,
    /// Every token gives the first page again.
    FirstPageAgain,
    /// The same, with an empty page.
    EmptyForEver,
    /// Each page is in the reverse order.
    Backwards,
}

/// The options of a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The existing buckets.
    pub buckets: Vec<String>,
    /// The known access key.
    pub access_key: String,
    /// Its secret key.
    pub secret_key: String,
    /// The folder for unlinked files that hold the bodies; `None`: they stay in memory.
    pub spill_to: Option<PathBuf>,
    /// How long each request waits before it is handled.
    pub latency: Duration,
    /// The maximum number of keys on a page of a listing.
    pub page_keys: usize,
    /// The minimum size of a part, except for the last, in bytes: 5 MiB with S3.
    pub smallest_part_bytes: u64,
    /// The largest object that CopyObject copies, in bytes: 5 GiB with S3.
    pub copy_limit_bytes: u64,
    /// How far the objects' times are behind those of the answers, as with two clocks.
    pub stamps_behind: Duration,
    /// Whether to refuse requests that name a checksum, as stores without support do.
    pub refuse_checksums: bool,
    /// Whether ListMultipartUploads finds only the uploads of the exact key that is its prefix, as
    /// MinIO does.
    pub lists_uploads_of_exact_keys_only: bool,
    /// Whether DeleteObjects is refused without a `Content-MD5`, as old stores do.
    pub deletes_need_md5: bool,
    /// Whether the buckets keep versions: overwritten objects stay, and deleted ones stay behind a
    /// delete marker. As MinIO does, a listing with a delimiter also has folders in which
    /// everything is deleted.
    pub versioned: bool,
    /// DeleteObjects refuses each key that contains this text.
    pub undeletable: Option<String>,
    /// Faults of listings.
    pub listings: Listings,
    /// The seed for [`When::Chance`](crate::When::Chance).
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

/// A running server. It listens on 127.0.0.1, has its own threads, and stops when it is dropped.
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
    /// If the port can't be opened or threads can't be started.
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

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The options that it was started with.
    #[must_use]
    pub fn options(&self) -> &ServerOptions {
        &self.store.options
    }

    /// Adds a rule after the existing ones.
    pub fn fault(&self, rule: Rule) {
        self.faults.add(rule);
    }

    /// Removes all rules.
    pub fn heal(&self) {
        self.faults.clear();
    }

    /// How many requests had a fault since the counts were reset.
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

    /// The bytes of each object, by `bucket/key`, that were read since that was reset.
    #[must_use]
    pub fn reads(&self) -> BTreeMap<String, u64> {
        self.store.state().reads.clone()
    }

    /// Sets all bytes that were read to zero.
    pub fn reset_reads(&self) {
        self.store.state().reads.clear();
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

    /// Stores an object without a request.
    ///
    /// # Panics
    /// If there is no such bucket.
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
    /// does. Objects in `GLACIER` can't be read.
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

    /// The number of old versions in a bucket of objects whose names contain this text.
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

    /// Flips one bit of an object's bytes, but keeps its checksum, which is then wrong.
    ///
    /// # Panics
    /// If there is no such object, or no such byte in it.
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
            // A connection that ends with an error concerns only its client.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .max_buf_size(1 << 20)
                .serve_connection(TokioIo::new(stream), layer)
                .await;
        });
    }
}
