//! What every request needs: the client, the bucket, names, retries and buffers.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_backup_core::remote::{
    Background, Budget, Heartbeat, LOOKUP_MAX_ATTEMPTS, PartLimits, ReadPlan, Retrier,
};
use arc_backup_core::{Error, ErrorKind, Key, Meta, Proxies, Purpose, Result};
use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::config::{RuntimeComponents, SharedHttpClient};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::DateTime;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tokio::sync::OnceCell;

use crate::call::Call;
use crate::config::{S3Checksums, S3Config};
use crate::destination::Destination;
use crate::error::RequestFault;
use crate::lock_state::LockState;
use crate::no_checksums::NoChecksums;
use crate::under_way::UploadsUnderWay;
use crate::versions::Versions;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests for locks that are under way at once: they must not wait behind bodies.
const CONTROL_REQUESTS: usize = 4;

pub(crate) struct Store {
    pub(crate) config: S3Config,
    pub(crate) destination: Destination,
    retrier: Retrier,
    /// For locks and for small objects that the operation itself needs: they wait for nothing that
    /// copies hold.
    pub(crate) control_retrier: Retrier,
    writes: Budget,
    control_writes: Budget,
    pub(crate) locks: LockState,
    pub(crate) uploads: UploadsUnderWay,
    /// Aborts of uploads that were dropped.
    pub(crate) background: Background,
    /// Releases of locks.
    pub(crate) releases: Background,
    reads: Budget,
    client: OnceCell<Client>,
    versions: Versions,
    /// Whether the store has refused a deletion without a `Content-MD5`.
    pub(crate) deletes_need_md5: AtomicBool,
    /// Whether the bucket has answered: after that, a bare 404 is an object's.
    bucket_seen: AtomicBool,
}

impl Store {
    pub(crate) fn new(config: S3Config) -> Self {
        let destination = Destination::new(&config);
        let hint = format!(
            "see `s3_endpoint` ({}) and the network",
            destination.endpoint
        );
        Self {
            destination,
            retrier: Retrier::new(config.retry.clone(), config.requests)
                .with_hint("s3_endpoint", &hint),
            control_retrier: Retrier::new(config.retry.clone(), CONTROL_REQUESTS)
                .with_hint("s3_endpoint", &hint),
            writes: Budget::new(config.buffer_bytes),
            control_writes: Budget::new(config.buffer_bytes),
            reads: Budget::new(config.buffer_bytes),
            locks: LockState::default(),
            uploads: UploadsUnderWay::default(),
            background: Background::default(),
            releases: Background::default(),
            client: OnceCell::new(),
            versions: Versions::default(),
            deletes_need_md5: AtomicBool::new(config.checksums == S3Checksums::WhenRequired),
            bucket_seen: AtomicBool::new(false),
            config,
        }
    }

    /// The client, made with the first request: the default chain may have to ask the network for
    /// credentials.
    pub(crate) async fn client(&self) -> &Client {
        let make = || make_client(&self.config, self.versions.clone());
        self.client.get_or_init(make).await
    }

    /// The retrier of requests for an object that is written for this.
    pub(crate) fn retrier(&self, purpose: Purpose) -> &Retrier {
        match purpose {
            Purpose::Data => &self.retrier,
            Purpose::Control => &self.control_retrier,
        }
    }

    /// Where the buffers of an object come from that is written for this.
    pub(crate) fn writes(&self, purpose: Purpose) -> &Budget {
        match purpose {
            Purpose::Data => &self.writes,
            Purpose::Control => &self.control_writes,
        }
    }

    /// Whether an answer has said that the bucket keeps versions.
    pub(crate) fn keeps_versions(&self) -> bool {
        self.versions.are_kept()
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.config.bucket
    }

    /// The name of the object `key`.
    pub(crate) fn name(&self, key: &str) -> String {
        format!("{}{key}", self.config.prefix)
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("s3://{}/{name}", self.config.bucket)
    }

    pub(crate) fn part_limits(&self) -> PartLimits {
        PartLimits {
            part_bytes: self.config.part_bytes,
            most_parts: S3Config::MOST_PARTS,
            parallel: self.config.parallel as u64,
        }
    }

    pub(crate) fn read_plan(&self, subject: &str) -> ReadPlan {
        ReadPlan {
            retrier: self.retrier.clone(),
            budget: self.reads.clone(),
            range_bytes: self.config.range_bytes,
            parallel: self.config.parallel,
            subject: subject.to_owned(),
        }
    }

    /// Does a request with retries, and makes an error of what goes wrong.
    pub(crate) async fn call<T, E, F, Fut>(&self, call: Call<'_>, attempt: F) -> Result<T>
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        F: FnMut(Client, Heartbeat) -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        self.call_for(Purpose::Data, call, attempt).await
    }

    /// The same, for an object that is written for this.
    pub(crate) async fn call_for<T, E, F, Fut>(
        &self,
        purpose: Purpose,
        call: Call<'_>,
        mut attempt: F,
    ) -> Result<T>
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        F: FnMut(Client, Heartbeat) -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let done = self
            .attempt(self.retrier(purpose), call, |client, beat| {
                let sent = attempt(client, beat);
                async { sent.await.map_err(|error| RequestFault::of(&error)) }
            })
            .await;
        done.map_err(|(_, error)| error)
    }

    /// Does a request with retries. What goes wrong comes as the store's answer, where the last try
    /// had one, with the error that it makes.
    pub(crate) async fn attempt<T, F, Fut>(
        &self,
        retrier: &Retrier,
        call: Call<'_>,
        mut attempt: F,
    ) -> Result<T, (Option<RequestFault>, Error)>
    where
        F: FnMut(Client, Heartbeat) -> Fut,
        Fut: Future<Output = Result<T, RequestFault>>,
    {
        let client = self.client().await;
        let last = Mutex::new(None);
        let set = |fault| {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        };
        let done = retrier
            .call(call.operation, call.subject, |beat| {
                // An attempt that is given up as too slow leaves no fault of an earlier one behind.
                set(None);
                let sent = attempt(client.clone(), beat);
                let set = &set;
                async move {
                    sent.await.map_err(|fault| {
                        let mut error = fault.about(call, &self.destination);
                        // What has never worked is set up wrong; what has will work again.
                        if fault.lacks_credentials()
                            && error.is_retryable()
                            && !self.bucket_seen.load(Ordering::Relaxed)
                        {
                            error = error.retryable_at_most(LOOKUP_MAX_ATTEMPTS);
                        }
                        set(Some(fault));
                        error
                    })
                }
            })
            .await;
        let fault = last.into_inner().unwrap_or_else(PoisonError::into_inner);
        match done {
            Ok(value) => {
                self.bucket_seen.store(true, Ordering::Relaxed);
                Ok(value)
            }
            Err(error) => Err((fault, error)),
        }
    }

    /// The error of a request whose answer has no body, and so no reason: a listing gives it.
    /// `None` when the answer is just what it says.
    pub(crate) async fn explained(&self, call: Call<'_>, fault: &RequestFault) -> Option<Error> {
        let doubtful =
            fault.is_bare() || (fault.is_absent() && !self.bucket_seen.load(Ordering::Relaxed));
        if !doubtful {
            return None;
        }
        let asked = self
            .attempt(&self.retrier, call, |client, _| {
                let request = client
                    .list_objects_v2()
                    .bucket(self.bucket())
                    .prefix(&self.config.prefix)
                    .max_keys(1);
                async {
                    request
                        .send()
                        .await
                        .map_err(|error| RequestFault::of(&error))
                }
            })
            .await;
        match asked {
            Ok(_) => None,
            Err((Some(reason), error)) => {
                let denied = matches!(reason.code.as_str(), "AccessDenied" | "AllAccessDisabled");
                if denied {
                    // There is a bucket, and this answer says no more than the first.
                    self.bucket_seen.store(true, Ordering::Relaxed);
                }
                (!denied).then_some(error)
            }
            Err((None, error)) => Some(error),
        }
    }

    /// The facts of an object. S3 gives times in whole seconds, its listings in finer ones with
    /// some stores: whole seconds are what all answers agree in.
    pub(crate) fn meta(
        key: &Key,
        size: u64,
        etag: Option<&str>,
        modified: Option<&DateTime>,
    ) -> Meta {
        Meta {
            key: key.clone(),
            size,
            modified: modified.and_then(|time| {
                let seconds = u64::try_from(time.secs()).ok()?;
                SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
            }),
            mode: None,
            etag: etag.map(unquoted),
            archived: false,
            file_id: None,
        }
    }
}

/// An entity tag as it is kept: some answers have it in quotes and some have not.
pub(crate) fn unquoted(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

/// An entity tag as a condition has it.
pub(crate) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// A size as the SDK has it, from the part `what` of an answer. None given is not none there.
pub(crate) fn size(call: Call<'_>, what: &str, len: Option<i64>) -> Result<u64> {
    len.and_then(|len| u64::try_from(len).ok())
        .ok_or_else(|| odd_answer(call, what))
}

/// The size in the headers of an answer.
pub(crate) fn length(call: Call<'_>, len: Option<i64>) -> Result<u64> {
    size(call, "`Content-Length`", len)
}

/// A text that no two uploads share.
pub(crate) fn nonce() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// The error for an answer that lacks what it must have.
pub(crate) fn odd_answer(call: Call<'_>, what: &str) -> Error {
    Error::new(
        ErrorKind::Other,
        call.operation,
        call.subject,
        format!("the store's answer has no {what}; see `s3_endpoint`"),
    )
    .with_setting("s3_endpoint")
}

/// A client that goes through the proxy for this scheme, and through none for any other.
fn http_client(proxies: &Proxies, scheme: &str) -> SharedHttpClient {
    let proxy = (proxies.url(scheme)).and_then(|url| match scheme {
        "http" => ProxyConfig::http(url).ok(),
        _ => ProxyConfig::https(url).ok(),
    });
    let proxy = proxy.map(|proxy| proxy.no_proxy(proxies.exceptions()));
    aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder();
        builder
            .set_connector_settings(settings.cloned())
            .set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl))
            .set_proxy_config(proxy.clone());
        builder
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build()
    })
}

async fn make_client(config: &S3Config, versions: Versions) -> Client {
    let scheme = if config.url().to_ascii_lowercase().starts_with("http:") {
        "http"
    } else {
        "https"
    };
    let http = http_client(&config.proxies, scheme);
    let region = Region::new(config.region.clone());
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .build();
    let mut builder = match (&config.access_key, &config.secret_key) {
        (Some(access_key), Some(secret_key)) => {
            let keys = Credentials::new(access_key, secret_key, None, None, "arc.toml");
            aws_sdk_s3::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .credentials_provider(keys)
        }
        _ => {
            let shared = aws_config::defaults(BehaviorVersion::latest())
                // Those who hand out credentials by http are on this machine, or beside it.
                .http_client(http_client(&config.proxies, "https"))
                .region(region.clone())
                .load()
                .await;
            aws_sdk_s3::config::Builder::from(&shared)
        }
    };
    if let Some(endpoint) = &config.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    if config.checksums == S3Checksums::WhenRequired {
        builder = builder.interceptor(NoChecksums);
    }
    let built = builder
        .http_client(http)
        .interceptor(versions)
        .region(region)
        .force_path_style(config.path_style)
        .timeout_config(timeouts)
        // Retries, stalls and checksums are the sink's own business: two that do the same would
        // multiply.
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Client::from_conf(built)
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
