//! The layer in front of the store: counts requests, and applies the faults of the rules.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use s3s::service::S3Service;
use s3s::{Body, HttpError, StdError};

use crate::fault::{Fault, Faults, Verb};

#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) service: S3Service,
    pub(crate) faults: Arc<Faults>,
    pub(crate) latency: Duration,
}

/// Makes hyper close the connection without an answer.
#[derive(Debug)]
pub(crate) struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}

impl hyper::service::Service<Request<Incoming>> for Layer {
    type Response = Response<Body>;
    type Error = StdError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let layer = self.clone();
        Box::pin(layer.answer(request))
    }
}

impl Layer {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, StdError> {
        let verb = verb(&request);
        let key = key(request.uri().path());
        let fault = self.faults.on(verb, &key);
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        let request = request.map(Body::from);
        match fault {
            None => self.done(request).await,
            Some(Fault::SlowDown) => {
                refusal(request, 503, "SlowDown", "Please reduce your request rate.").await
            }
            Some(Fault::InternalError) => {
                refusal(
                    request,
                    500,
                    "InternalError",
                    "We encountered an internal error.",
                )
                .await
            }
            Some(Fault::Answer(status, code, message)) => {
                refusal(request, status, code, message).await
            }
            Some(Fault::Deny) => refusal(request, 403, "AccessDenied", "Access Denied").await,
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                self.done(request).await
            }
            Some(Fault::CutResponse(after)) => {
                let answer = self.done(request).await?;
                Ok(answer
                    .map(|body| Body::http_body_unsync(Altered::new(body, Alteration::Cut(after)))))
            }
            Some(Fault::CutRequest(after)) => {
                let mut body = request.into_body();
                let mut read = 0;
                while read < after {
                    match body.frame().await {
                        Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len) as u64,
                        _ => break,
                    }
                }
                Err(Closed.into())
            }
            Some(Fault::FlipResponse(at)) => {
                let answer = self.done(request).await?;
                Ok(answer
                    .map(|body| Body::http_body_unsync(Altered::new(body, Alteration::Flip(at)))))
            }
            Some(Fault::FlipRequest(at)) => {
                let flip = |body| Body::http_body_unsync(Altered::new(body, Alteration::Flip(at)));
                self.done(request.map(flip)).await
            }
            Some(Fault::ErrorAfterSuccess) => {
                let answer = self.done(request).await?;
                drop(answer);
                Ok(error(
                    500,
                    "InternalError",
                    "We encountered an internal error.",
                ))
            }
            Some(Fault::CloseAfterSuccess) => {
                self.done(request).await?;
                Err(Closed.into())
            }
            Some(Fault::Hang) => std::future::pending().await,
        }
    }

    async fn done(&self, request: Request<Body>) -> Result<Response<Body>, StdError> {
        let answered = self.service.call(request).await;
        answered.map_err(|error: HttpError| format!("{error:?}").into())
    }
}

/// An answer instead of the request, whose body is read to its end so that the connection stays
/// usable.
async fn refusal(
    request: Request<Body>,
    status: u16,
    code: &str,
    message: &str,
) -> Result<Response<Body>, StdError> {
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    Ok(error(status, code, message))
}

fn error(status: u16, code: &str, message: &str) -> Response<Body> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut response = Response::new(Body::from(text));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// The key in a path-style path, decoded.
fn key(path: &str) -> String {
    let rest = path
        .trim_start_matches('/')
        .split_once('/')
        .map_or("", |(_, key)| key);
    let mut bytes = Vec::new();
    let mut left = rest.as_bytes();
    while let [first, tail @ ..] = left {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                left = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                left = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn verb(request: &Request<Incoming>) -> Verb {
    let path = request.uri().path().trim_start_matches('/');
    let of_object = path.split_once('/').is_some_and(|(_, key)| !key.is_empty());
    let query = request.uri().query().unwrap_or_default();
    let asks = |name: &str| {
        query
            .split('&')
            .any(|part| part.split('=').next() == Some(name))
    };
    let copies = request.headers().contains_key("x-amz-copy-source");
    match (request.method(), of_object) {
        (&Method::PUT, true) => match (asks("partNumber"), copies) {
            (true, true) => Verb::UploadPartCopy,
            (true, false) => Verb::UploadPart,
            (false, true) => Verb::CopyObject,
            (false, false) => Verb::PutObject,
        },
        (&Method::GET, true) if asks("uploadId") => Verb::ListParts,
        (&Method::GET, true) => Verb::GetObject,
        (&Method::GET, false) if asks("uploads") => Verb::ListMultipartUploads,
        (&Method::GET, false) if asks("list-type") => Verb::ListObjects,
        (&Method::HEAD, true) => Verb::HeadObject,
        (&Method::DELETE, true) if asks("uploadId") => Verb::AbortMultipartUpload,
        (&Method::DELETE, true) => Verb::DeleteObject,
        (&Method::POST, true) if asks("uploads") => Verb::CreateMultipartUpload,
        (&Method::POST, true) if asks("uploadId") => Verb::CompleteMultipartUpload,
        (&Method::POST, false) if asks("delete") => Verb::DeleteObjects,
        _ => Verb::Other,
    }
}

enum Alteration {
    Cut(u64),
    Flip(u64),
}

/// A body with a fault.
struct Altered {
    body: Body,
    alteration: Alteration,
    size: SizeHint,
    passed: u64,
    cut: Option<Pin<Box<tokio::time::Sleep>>>,
}

/// The time for sending the bytes before a cut.
const FLUSH: Duration = Duration::from_millis(20);

impl Altered {
    fn new(body: Body, alteration: Alteration) -> Self {
        Self {
            size: body.size_hint(),
            body,
            alteration,
            passed: 0,
            cut: None,
        }
    }
}

impl http_body::Body for Altered {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let limit = match self.alteration {
            Alteration::Cut(after) => Some(after),
            Alteration::Flip(_) => None,
        };
        if limit.is_some_and(|after| self.passed >= after) {
            // hyper drops bytes that it has not sent yet, so what comes before the cut is sent
            // first.
            let flushed = self
                .cut
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(FLUSH)));
            ready!(flushed.as_mut().poll(context));
            return Poll::Ready(Some(Err(Closed.into())));
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        let mut data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return Poll::Ready(Some(Ok(frame))),
        };
        let (from, to) = (self.passed, self.passed + data.len() as u64);
        match self.alteration {
            Alteration::Cut(after) => data.truncate((after - from).min(data.len() as u64) as usize),
            Alteration::Flip(at) => {
                let last = self.size.exact().map_or(at, |size| size.saturating_sub(1));
                let at = at.min(last);
                if (from..to).contains(&at) {
                    let mut bytes = data.to_vec();
                    bytes[(at - from) as usize] ^= 1;
                    data = bytes.into();
                }
            }
        }
        self.passed = to;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        match self.size.exact() {
            Some(size) => SizeHint::with_exact(size.saturating_sub(self.passed)),
            None => SizeHint::default(),
        }
    }
}
