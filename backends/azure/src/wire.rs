//! How one request travels: the transport under the SDK's clients.
//!
//! The SDK's own would bring another TLS library, give up on slow bodies, and not report when bytes
//! move.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use arc_backup_core::remote::Heartbeat;
use arc_backup_core::{Error as CoreError, ErrorKind as CoreKind, Proxies};
use async_trait::async_trait;
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{AsyncRawResponse, Body, Context, Request};
use bytes::Bytes;
use futures::stream;
use http_body::{Frame, SizeHint};
use rustls::{ClientConfig, RootCertStore};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A frame of a request's body: small, so that a slow link is seen to move.
const FRAME_BYTES: usize = 64 << 10;

/// A connection that takes the next frame sooner has not waited for the network: it fills buffers
/// of this machine, which a dead network does not hinder. One that is this fast needs no beat
/// before it is done.
const WAITED: Duration = Duration::from_millis(5);

/// What a request is given that the SDK's clients have no parameter for, by way of its context.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extra {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) query: Vec<(&'static str, &'static str)>,
}

/// Applies [`Extra`]. Comes before signing.
#[derive(Debug)]
pub(crate) struct Shape;

// The trait elides the lifetime, and an implementation has to do the same.
#[allow(elided_lifetimes_in_paths)]
#[async_trait]
impl Policy for Shape {
    async fn send(
        &self,
        ctx: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        if let Some(extra) = ctx.value::<Extra>() {
            for (name, value) in &extra.headers {
                request.insert_header(*name, value.clone());
            }
            if !extra.query.is_empty() {
                request
                    .url_mut()
                    .query_pairs_mut()
                    .extend_pairs(&extra.query);
            }
        }
        next[0].send(ctx, request, &next[1..]).await
    }
}

/// The transport.
#[derive(Debug)]
pub(crate) struct Wire {
    client: reqwest::Client,
    keeps_deleted: Arc<AtomicBool>,
}

/// Whether an answer says that the account keeps what is deleted or overwritten, as versions or for
/// a while.
fn keeps_deleted(headers: &reqwest::header::HeaderMap) -> bool {
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    headers.contains_key("x-ms-version-id") || says("x-ms-delete-type-permanent", "false")
}

impl Wire {
    pub(crate) fn new(
        connections: usize,
        proxies: &Proxies,
        keeps_deleted: Arc<AtomicBool>,
    ) -> Result<Self, CoreError> {
        let fault = |text: String| CoreError::new(CoreKind::Other, "set up", "TLS", text);
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| fault(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut builder = reqwest::Client::builder()
            // The environment's, with the same exceptions for all sinks.
            .no_proxy();
        let exceptions = reqwest::NoProxy::from_string(&proxies.exceptions());
        let usable = [
            proxies.url("http").map(reqwest::Proxy::http),
            proxies.url("https").map(reqwest::Proxy::https),
        ];
        for proxy in usable.into_iter().flatten().flatten() {
            builder = builder.proxy(proxy.no_proxy(exceptions.clone()));
        }
        let client = builder
            .tls_backend_preconfigured(tls)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(connections)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| fault(chain(error)))?;
        Ok(Self {
            client,
            keeps_deleted,
        })
    }
}

// The trait elides the lifetime, and an implementation has to do the same.
#[allow(elided_lifetimes_in_paths)]
#[async_trait]
impl Policy for Wire {
    async fn send(
        &self,
        ctx: &Context,
        request: &mut Request,
        _next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        let beat = ctx.value::<Heartbeat>().cloned().unwrap_or_default();
        let method = reqwest::Method::from_bytes(request.method().as_ref().as_bytes())
            .map_err(|error| Error::with_message(ErrorKind::Other, error.to_string()))?;
        let mut builder = self.client.request(method, request.url().clone());
        for (name, value) in request.headers().iter() {
            builder = builder.header(name.as_str(), value.as_str());
        }
        builder = match request.body() {
            Body::Bytes(bytes) if bytes.is_empty() => builder,
            Body::Bytes(bytes) => builder.body(reqwest::Body::wrap(WithHeartbeat {
                bytes: bytes.clone(),
                beat: beat.clone(),
                last: None,
            })),
            Body::SeekableStream(_) => {
                return Err(Error::with_message(
                    ErrorKind::Other,
                    "a body that is not bytes",
                ));
            }
        };
        let response = builder.send().await.map_err(|error| {
            let kind = if error.is_connect() {
                ErrorKind::Connection
            } else if error.is_builder() {
                ErrorKind::Other
            } else {
                ErrorKind::Io
            };
            Error::with_message(kind, chain(error))
        })?;
        beat.beat();
        if keeps_deleted(response.headers()) {
            self.keeps_deleted.store(true, Ordering::Relaxed);
        }
        let status = response.status().as_u16().into();
        let headers = headers(response.headers());
        let body = stream::unfold(Some((response, beat)), |state| async {
            let (mut response, beat) = state?;
            match response.chunk().await.transpose()? {
                Ok(piece) => {
                    beat.beat();
                    Some((Ok(piece), Some((response, beat))))
                }
                Err(error) => Some((Err(Error::with_message(ErrorKind::Io, chain(error))), None)),
            }
        });
        Ok(AsyncRawResponse::new(status, headers, Box::pin(body)))
    }
}

fn headers(map: &reqwest::header::HeaderMap) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in map {
        if let Ok(value) = value.to_str() {
            headers.insert(
                HeaderName::from(name.as_str().to_owned()),
                HeaderValue::from(value.to_owned()),
            );
        }
    }
    headers
}

/// The causes of an error, without its URL: a SAS is part of that.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
        source = error.source();
    }
    // The outermost say only that something failed.
    let from = texts.len().saturating_sub(2);
    texts[from..].join(": ").to_lowercase()
}

/// The body of a request, which beats while the network takes it away.
struct WithHeartbeat {
    bytes: Bytes,
    beat: Heartbeat,
    last: Option<Instant>,
}

impl http_body::Body for WithHeartbeat {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let now = Instant::now();
        if (self.last.replace(now)).is_some_and(|last| now - last >= WAITED) {
            self.beat.beat();
        }
        let len = self.bytes.len().min(FRAME_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.bytes.split_to(len)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
