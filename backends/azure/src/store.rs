//! One container: its client, its requests with retries, and the names in it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, SystemTime};

use arc_backup_core::remote::{Background, Budget, PartLimits, ReadPlan, Retrier, RetryPolicy};
use arc_backup_core::{Error, ErrorKind, Key, Meta, Proxies, Purpose, Result};
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::{ClientMethodOptions, ClientOptions, Etag, RetryOptions, Transport, Url};
use azure_core::time::{OffsetDateTime, parse_rfc7231};
use azure_storage_blob::models::{
    BlobClientGetPropertiesOptions, BlobClientGetPropertiesResultHeaders as _,
};
use azure_storage_blob::{BlobClient, BlobContainerClient, BlobContainerClientOptions};

use crate::account::{Account, Credentials};
use crate::config::{AzureConfig, check_container, check_limits, normalise_prefix, wrong};
use crate::error::Faults;
use crate::identity;
use crate::sign::SharedKey;
use crate::wire::{Extra, Shape, Wire};

/// The tier that nothing is read from.
pub(crate) const ARCHIVE: &str = "Archive";

/// Blocks that a blob may have.
const MOST_BLOCKS: u64 = 50_000;

/// Requests for locks, and for small objects that the operation itself needs, that are under way at
/// once: they must not wait behind bodies, nor be slowed down by them.
const CONTROL_REQUESTS: usize = 4;

/// A container, or a prefix in one.
#[derive(Debug)]
pub(crate) struct Store {
    container: ContainerClient,
    container_name: String,
    account: Account,
    prefix: String,
    faults: Faults,
    retrier: Retrier,
    control_retrier: Retrier,
    reading: Budget,
    writing: Budget,
    control_writing: Budget,
    range_bytes: u64,
    range_parallel: usize,
    pub(crate) limits: PartLimits,
    pub(crate) lease: Duration,
    pub(crate) renewal: Duration,
    /// What is known of the store's `startFrom`: see `list`.
    pub(crate) start_from: AtomicU8,
    proxies: Proxies,
    keeps_deleted: Arc<AtomicBool>,
    /// Aborts of copies that were dropped.
    pub(crate) background: Background,
    /// Releases of locks.
    pub(crate) releases: Background,
}

/// The SDK's client, which has no `Debug`.
struct ContainerClient(BlobContainerClient);

impl std::fmt::Debug for ContainerClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlobContainerClient")
    }
}

impl Store {
    pub(crate) fn new(config: &AzureConfig) -> Result<Self> {
        let container_name = config.container.trim().to_owned();
        check_container(&container_name)?;
        check_limits(config)?;
        let prefix = normalise_prefix(config.prefix.as_ref())?;
        let account = Account::of(config)?;
        let requests = config.requests.max(1);
        let keeps_deleted = Arc::new(AtomicBool::new(false));
        config.proxies.of(account.endpoint.as_str())?;
        let wire = Wire::new(requests, &config.proxies, keeps_deleted.clone())?;
        let transport = Transport::with_policy(Arc::new(wire));
        let mut options = ClientOptions {
            // Retries are the caller's: two of them would multiply.
            retry: RetryOptions::none(),
            transport: Some(transport.clone()),
            ..ClientOptions::default()
        };
        options.per_try_policies.push(Arc::new(Shape));
        let mut url = account.endpoint.clone();
        url.path_segments_mut()
            .map_err(|()| wrong(account.endpoint_setting, "the endpoint has no path"))?
            .pop_if_empty()
            .push(&container_name);
        let mut credential = None;
        match &account.credentials {
            Credentials::Key { account, key, .. } => {
                options
                    .per_try_policies
                    .push(Arc::new(SharedKey::new(account.clone(), key)));
            }
            Credentials::Sas(sas) => sas.append_to(&mut url),
            Credentials::Identity { managed_only } => {
                let wire = Wire::new(requests, &config.proxies.https_only(), Arc::default())?;
                let transport = Transport::with_policy(Arc::new(wire));
                let found = identity::credential(*managed_only, &transport)
                    .map_err(|error| wrong("azure_use_managed_identity", error.to_string()))?;
                credential = Some(found);
            }
        }
        let options = BlobContainerClientOptions {
            client_options: options,
            ..BlobContainerClientOptions::default()
        };
        let container = BlobContainerClient::new(url, credential, Some(options))
            .map_err(|_| wrong(account.endpoint_setting, "the endpoint is not usable"))?;
        let setting = account.endpoint_setting;
        let hint = format!(
            "see `{}` ({}) and the network",
            account.endpoint_setting,
            account.endpoint.as_str().trim_end_matches('/')
        );
        Ok(Self {
            container: ContainerClient(container),
            faults: Faults::new(&account, &container_name),
            container_name,
            account,
            prefix,
            retrier: Retrier::new(config.retry.clone(), requests).with_hint(setting, &hint),
            control_retrier: Retrier::new(config.retry.clone(), CONTROL_REQUESTS)
                .with_hint(setting, &hint),
            reading: Budget::new(config.read_budget_bytes),
            writing: Budget::new(config.write_budget_bytes),
            control_writing: Budget::new(config.write_budget_bytes),
            range_bytes: config.range_bytes,
            // One at a time would be read as one range, of which the store gives no MD5.
            range_parallel: config.range_parallel.max(2),
            limits: PartLimits {
                part_bytes: config.part_bytes,
                most_parts: MOST_BLOCKS,
                parallel: config.part_parallel.max(1),
            },
            lease: config.lock_lease,
            renewal: config.lock_renewal,
            start_from: AtomicU8::new(0),
            proxies: config.proxies.clone(),
            keeps_deleted,
            background: Background::default(),
            releases: Background::default(),
        })
    }

    /// What is wrong with the credentials at this moment, without asking anybody.
    pub(crate) fn warning(&self) -> Option<String> {
        match &self.account.credentials {
            Credentials::Sas(sas) => sas.out_of_time(),
            Credentials::Key { .. } | Credentials::Identity { .. } => None,
        }
    }

    /// The URL of the container and prefix, for people.
    pub(crate) fn location(&self, prefix: &str) -> String {
        let endpoint = self.account.endpoint.as_str().trim_end_matches('/');
        let url = format!("{endpoint}/{}/{prefix}", self.container_name);
        url.trim_end_matches('/').to_owned()
    }

    /// The proxy that requests go through, without credentials.
    pub(crate) fn proxy(&self) -> Option<String> {
        (self.proxies.of(self.account.endpoint.as_str())).unwrap_or_default()
    }

    /// Whether an answer has said that what is deleted stays, as a version or for a while.
    pub(crate) fn keeps_deleted(&self) -> bool {
        self.keeps_deleted.load(Ordering::Relaxed)
    }

    /// What all names begin with: empty, or with a final `/`.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The name of the blob for `key`.
    pub(crate) fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(crate) fn container(&self) -> &BlobContainerClient {
        &self.container.0
    }

    pub(crate) fn blob(&self, name: &str) -> BlobClient {
        self.container.0.blob_client(name)
    }

    /// Where the account is, whatever the rights to it.
    pub(crate) fn endpoint(&self) -> String {
        let endpoint = self.account.endpoint.as_str();
        let host = endpoint
            .split_once("://")
            .map_or(endpoint, |(_, rest)| rest);
        host.trim_end_matches('/').to_ascii_lowercase()
    }

    /// Which stores can copy from each other: the account and who asks, without secrets.
    pub(crate) fn identity(&self) -> String {
        let endpoint = self.account.endpoint.as_str().trim_end_matches('/');
        match &self.account.credentials {
            Credentials::Key { account, .. } => format!("azure:{endpoint} key of {account}"),
            // It may be for this container alone.
            Credentials::Sas(sas) => {
                format!("azure:{endpoint} {} {}", self.container_name, sas.public())
            }
            Credentials::Identity { managed_only } => {
                format!("azure:{endpoint} identity {managed_only}")
            }
        }
    }

    /// The container and name of the blob for `key`.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.container_name)
    }

    /// The URL to copy from, with the SAS where there is one.
    pub(crate) fn source_url(&self, container: &str, name: &str) -> Result<Url> {
        let mut url = self.account.endpoint.clone();
        url.path_segments_mut()
            .map_err(|()| Error::new(ErrorKind::Invalid, "copy", name, "the endpoint has no path"))?
            .pop_if_empty()
            .push(container)
            .extend([name]);
        if let Credentials::Sas(sas) = &self.account.credentials {
            sas.append_to(&mut url);
        }
        Ok(url)
    }

    pub(crate) fn retry_policy(&self) -> &RetryPolicy {
        self.retrier.policy()
    }

    /// Where the buffers of an object come from that is written for this.
    pub(crate) fn writing(&self, purpose: Purpose) -> &Budget {
        match purpose {
            Purpose::Data => &self.writing,
            Purpose::Control => &self.control_writing,
        }
    }

    pub(crate) fn reading(&self) -> &Budget {
        &self.reading
    }

    pub(crate) fn range_bytes(&self) -> u64 {
        self.range_bytes
    }

    pub(crate) fn read_plan(&self, subject: &str) -> ReadPlan {
        ReadPlan {
            retrier: self.retrier.clone(),
            budget: self.reading.clone(),
            range_bytes: self.range_bytes,
            parallel: self.range_parallel,
            subject: subject.to_owned(),
        }
    }

    /// Does a request, with retries. `attempt` does it once, with these options.
    pub(crate) async fn call<T, Fut>(
        &self,
        operation: &'static str,
        subject: &str,
        mut attempt: impl FnMut(ClientMethodOptions<'static>) -> Fut,
    ) -> Result<T>
    where
        Fut: Future<Output = azure_core::Result<T>>,
    {
        self.call_with(operation, subject, &Extra::default(), move |options| {
            attempt(options)
        })
        .await
    }

    /// As [`Self::call`], with headers or query parameters that the SDK has no parameter for.
    pub(crate) async fn call_with<T, Fut>(
        &self,
        operation: &'static str,
        subject: &str,
        extra: &Extra,
        attempt: impl FnMut(ClientMethodOptions<'static>) -> Fut,
    ) -> Result<T>
    where
        Fut: Future<Output = azure_core::Result<T>>,
    {
        self.call_by(&self.retrier, operation, subject, extra, attempt)
            .await
    }

    /// As [`Self::call_with`], for an object that is written for this.
    pub(crate) async fn call_for<T, Fut>(
        &self,
        purpose: Purpose,
        operation: &'static str,
        subject: &str,
        extra: &Extra,
        attempt: impl FnMut(ClientMethodOptions<'static>) -> Fut,
    ) -> Result<T>
    where
        Fut: Future<Output = azure_core::Result<T>>,
    {
        let retrier = match purpose {
            Purpose::Data => &self.retrier,
            Purpose::Control => &self.control_retrier,
        };
        self.call_by(retrier, operation, subject, extra, attempt)
            .await
    }

    /// As [`Self::call_with`], for locks.
    pub(crate) async fn control_call<T, Fut>(
        &self,
        operation: &'static str,
        subject: &str,
        extra: &Extra,
        attempt: impl FnMut(ClientMethodOptions<'static>) -> Fut,
    ) -> Result<T>
    where
        Fut: Future<Output = azure_core::Result<T>>,
    {
        self.call_by(&self.control_retrier, operation, subject, extra, attempt)
            .await
    }

    async fn call_by<T, Fut>(
        &self,
        retrier: &Retrier,
        operation: &'static str,
        subject: &str,
        extra: &Extra,
        mut attempt: impl FnMut(ClientMethodOptions<'static>) -> Fut,
    ) -> Result<T>
    where
        Fut: Future<Output = azure_core::Result<T>>,
    {
        retrier
            .call(operation, subject, |beat| {
                let mut options = ClientMethodOptions::default();
                options.context.insert(beat);
                options.context.insert(extra.clone());
                let request = attempt(options);
                async move {
                    request
                        .await
                        .map_err(|fault| self.faults.about(operation, subject, &fault))
                }
            })
            .await
    }

    /// Turns a fault that was met outside of [`Self::call`] into an error.
    pub(crate) fn fault(
        &self,
        operation: &'static str,
        subject: &str,
        fault: &azure_core::Error,
    ) -> Error {
        self.faults.about(operation, subject, fault)
    }

    /// The headers that a HEAD of the blob `name` gives; `None` when it is absent.
    pub(crate) async fn head(
        &self,
        operation: &'static str,
        subject: &str,
        name: &str,
    ) -> Result<Option<Properties>> {
        let answer = self
            .call(operation, subject, |method_options| {
                let blob = self.blob(name);
                async move {
                    let options = BlobClientGetPropertiesOptions {
                        method_options,
                        ..BlobClientGetPropertiesOptions::default()
                    };
                    let response = blob.get_properties(Some(options)).await?;
                    Ok(Properties {
                        size: response.content_length()?.unwrap_or(0),
                        stamp: Stamp::of(response.headers()),
                        md5: response.content_md5()?,
                        metadata: response.metadata()?,
                        copy_id: response.copy_id()?,
                        archived: response.access_tier()?.as_deref() == Some(ARCHIVE),
                        copy_status: response.copy_status()?.map(|status| status.to_string()),
                        copy_progress: response.copy_progress()?,
                    })
                }
            })
            .await;
        match answer {
            Ok(properties) => Ok(Some(properties)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What a HEAD says of a blob.
#[derive(Debug, Clone)]
pub(crate) struct Properties {
    pub(crate) size: u64,
    pub(crate) stamp: Stamp,
    pub(crate) md5: Option<Vec<u8>>,
    pub(crate) metadata: std::collections::HashMap<String, String>,
    pub(crate) copy_id: Option<String>,
    pub(crate) copy_status: Option<String>,
    pub(crate) archived: bool,
    /// Bytes copied, and of how many: `5/9`.
    pub(crate) copy_progress: Option<String>,
}

impl Properties {
    pub(crate) fn meta(&self, key: Key) -> Meta {
        Meta {
            archived: self.archived,
            ..self.stamp.meta(key, self.size)
        }
    }
}

/// Which version of a blob it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stamp {
    /// Without quotes: headers have them, listings do not.
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<SystemTime>,
}

impl Stamp {
    pub(crate) fn of(headers: &Headers) -> Self {
        let text = |name| headers.get_optional_str(&HeaderName::from_static(name));
        Self::new(
            text("etag"),
            text("last-modified").and_then(|text| parse_rfc7231(text).ok()),
        )
    }

    pub(crate) fn new(etag: Option<&str>, modified: Option<OffsetDateTime>) -> Self {
        Self {
            etag: etag.map(|etag| etag.trim_matches('"').to_owned()),
            modified: modified.map(SystemTime::from),
        }
    }

    pub(crate) fn meta(&self, key: Key, size: u64) -> Meta {
        Meta {
            key,
            size,
            modified: self.modified,
            mode: None,
            etag: self.etag.clone(),
            archived: false,
            file_id: None,
        }
    }
}

/// An entity tag as a header has it.
pub(crate) fn quoted(etag: &str) -> Etag {
    Etag::from(format!("\"{}\"", etag.trim_matches('"')))
}
