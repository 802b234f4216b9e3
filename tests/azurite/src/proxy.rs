//! A reverse proxy that injects faults on demand.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// The properties of a request that a rule may test.
#[derive(Debug, Clone)]
pub struct Request {
    /// The verb, as [`Proxy::count`] counts it: the HTTP method, and `comp` of the query:
    /// `PUT block`, `GET`.
    pub verb: String,
    /// The path, percent-encoded.
    pub path: String,
    /// The query, percent-encoded.
    pub query: String,
    /// Whether it asks for the MD5 of the range that it reads.
    pub range_md5: bool,
    /// How many requests of this verb came before.
    pub earlier: usize,
}

/// What the proxy does with a request instead of forwarding it.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Answers with this status and this error code, without the server.
    Answer(u16, &'static str),
    /// Forwards it, and answers with this status and error code whatever the server said.
    AnswerAfter(u16, &'static str),
    /// Forwards it, and closes the connection without an answer.
    CloseAfter,
    /// Closes the connection without an answer; the server sees nothing.
    Close,
    /// Never answers.
    Hang,
    /// Waits before it forwards the request.
    Delay(Duration),
    /// Sends that much of the answer's body, and then closes the connection.
    CutResponse(usize),
    /// Flips one bit of this byte of the answer's body.
    FlipResponse(usize),
    /// Flips one bit of this byte of the request's body.
    FlipRequest(usize),
    /// Sends the answer's body in pieces of that many bytes, with a pause before each.
    Trickle(usize, Duration),
    /// Forwards it, and replaces these headers of the answer.
    SetHeaders(Vec<(&'static str, &'static str)>),
}

type Rule = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

#[derive(Default)]
struct State {
    counts: BTreeMap<String, usize>,
    rules: Vec<Rule>,
    latency: Duration,
    page: Option<u32>,
    knows_start_from: bool,
    under_way: usize,
    most_under_way: usize,
}

/// A reverse proxy in front of a server. It ends when it is dropped.
pub struct Proxy {
    address: String,
    state: Arc<Mutex<State>>,
    serving: AbortHandle,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Starts a proxy in front of `upstream` (`host:port`), on a free port and the caller's
    /// runtime.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("there is a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let (upstream, shared) = (Arc::<str>::from(upstream), state.clone());
        let serving = tokio::spawn(async move {
            // Connections end with the proxy.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                connections.spawn(serve(stream, upstream.clone(), shared.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            state,
            serving: serving.abort_handle(),
        }
    }

    /// Its address: `127.0.0.1:12345`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The account's URL through this proxy, without a `/` at its end.
    pub fn endpoint(&self) -> String {
        format!("http://{}/{}", self.address, crate::ACCOUNT)
    }

    /// The connection string with the account's key, through this proxy.
    pub fn connection_string(&self) -> String {
        format!(
            "DefaultEndpointsProtocol=http;AccountName={};AccountKey={};BlobEndpoint={};",
            crate::ACCOUNT,
            crate::KEY,
            self.endpoint()
        )
    }

    /// Asks `rule` for each request from now on. The first rule that returns a fault decides.
    pub fn rule(&self, rule: impl FnMut(&Request) -> Option<Fault> + Send + 'static) {
        self.lock().rules.push(Box::new(rule));
    }

    /// Injects `fault` into the next request of this verb.
    pub fn once(&self, verb: &str, fault: Fault) {
        self.times(verb, 1, fault);
    }

    /// Injects `fault` into the next `times` requests of this verb.
    pub fn times(&self, verb: &str, mut times: usize, fault: Fault) {
        let verb = verb.to_owned();
        self.rule(move |request| {
            if request.verb != verb || times == 0 {
                return None;
            }
            times -= 1;
            Some(fault.clone())
        });
    }

    /// Injects `fault` into every request of this verb.
    pub fn always(&self, verb: &str, fault: Fault) {
        self.times(verb, usize::MAX, fault);
    }

    /// Removes all rules.
    pub fn heal(&self) {
        self.lock().rules.clear();
    }

    /// Delays every request by this long.
    pub fn set_latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    /// Lists at most that many names at once. Needs a SAS: a signature would cover the query.
    pub fn set_page(&self, names: u32) {
        self.lock().page = Some(names);
    }

    /// Gives listings the `startFrom` that Azure has and Azurite ignores. Needs a SAS.
    pub fn know_start_from(&self) {
        self.lock().knows_start_from = true;
    }

    /// The number of requests of this verb, for example `GET` or `PUT block` (method and `comp`).
    pub fn count(&self, verb: &str) -> usize {
        self.lock().counts.get(verb).copied().unwrap_or(0)
    }

    /// The number of requests of each verb.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        self.lock().counts.clone()
    }

    /// The number of all requests.
    pub fn total(&self) -> usize {
        self.lock().counts.values().sum()
    }

    /// The highest number of concurrent requests.
    pub fn most_under_way(&self) -> usize {
        self.lock().most_under_way
    }

    /// Resets all counts to zero.
    pub fn reset_counts(&self) {
        let mut state = self.lock();
        state.counts.clear();
        state.most_under_way = 0;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a request until it has ended.
struct UnderWay(Arc<Mutex<State>>);

impl UnderWay {
    fn new(state: &Arc<Mutex<State>>) -> Self {
        let mut counts = lock(state);
        counts.under_way += 1;
        counts.most_under_way = counts.most_under_way.max(counts.under_way);
        Self(state.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.0).under_way -= 1;
    }
}

async fn serve(stream: TcpStream, upstream: Arc<str>, state: Arc<Mutex<State>>) {
    // One connection to the server for each from a client, so that they end in the same order.
    let link = Arc::new(tokio::sync::Mutex::new(None));
    let service =
        service_fn(move |request| handle(request, upstream.clone(), state.clone(), link.clone()));
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Ends the connection: a service that fails gives no answer.
fn close<T>() -> Result<T, std::io::Error> {
    Err(std::io::Error::other("closed on purpose"))
}

type Sender = hyper::client::conn::http1::SendRequest<Body>;

async fn handle(
    request: hyper::Request<Incoming>,
    upstream: Arc<str>,
    state: Arc<Mutex<State>>,
    link: Arc<tokio::sync::Mutex<Option<Sender>>>,
) -> Result<Response<Body>, std::io::Error> {
    let (fault, latency) = judge(&request, &state);
    let request = listing(request, &state);
    let _under_way = UnderWay::new(&state);
    tokio::time::sleep(latency).await;
    match fault {
        Some(Fault::Answer(status, code)) => {
            // The body is read to its end. Otherwise the client may see a reset instead of the
            // answer.
            let _ = request.into_body().collect().await;
            return Ok(answer(status, code));
        }
        Some(Fault::Close) => return close(),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        _ => {}
    }
    let request = match fault {
        Some(Fault::FlipRequest(at)) => {
            let (head, body) = request.into_parts();
            let bytes = body
                .collect()
                .await
                .map_err(std::io::Error::other)?
                .to_bytes();
            let flipped = Full::new(flip(&bytes, at)).map_err(|never: Infallible| match never {});
            hyper::Request::from_parts(head, flipped.boxed_unsync())
        }
        _ => request.map(|body| body.map_err(std::io::Error::other).boxed_unsync()),
    };
    let response = pass_on(request, &upstream, &link).await?;
    match fault {
        Some(Fault::CloseAfter) => {
            let _ = response.into_body().collect().await;
            close()
        }
        Some(Fault::AnswerAfter(status, code)) => {
            let _ = response.into_body().collect().await;
            Ok(answer(status, code))
        }
        Some(Fault::CutResponse(len)) => {
            change(response, |bytes| {
                let kept = bytes.slice(..len.min(bytes.len()));
                vec![Ok(kept), Err(std::io::Error::other("cut on purpose"))]
            })
            .await
        }
        Some(Fault::FlipResponse(at)) => change(response, |bytes| vec![Ok(flip(&bytes, at))]).await,
        Some(Fault::SetHeaders(headers)) => {
            let mut response =
                response.map(|body| body.map_err(std::io::Error::other).boxed_unsync());
            for (name, value) in headers {
                let value = hyper::header::HeaderValue::from_static(value);
                response.headers_mut().insert(name, value);
            }
            Ok(response)
        }
        Some(Fault::Trickle(len, pause)) => {
            let (head, body) = response.into_parts();
            let bytes = body
                .collect()
                .await
                .map_err(std::io::Error::other)?
                .to_bytes();
            let pieces: Vec<_> = bytes
                .chunks(len.max(1))
                .map(Bytes::copy_from_slice)
                .collect();
            let pieces = stream::iter(pieces).then(move |piece| async move {
                tokio::time::sleep(pause).await;
                Ok(Frame::data(piece))
            });
            Ok(Response::from_parts(
                head,
                StreamBody::new(pieces).boxed_unsync(),
            ))
        }
        _ => Ok(response.map(|body| body.map_err(std::io::Error::other).boxed_unsync())),
    }
}

/// Counts the request, and asks the rules.
fn judge<B>(request: &hyper::Request<B>, state: &Mutex<State>) -> (Option<Fault>, Duration) {
    let query = request.uri().query().unwrap_or_default();
    let comp = query.split('&').find_map(|pair| pair.strip_prefix("comp="));
    let verb = match comp {
        Some(comp) => format!("{} {comp}", request.method()),
        None => request.method().to_string(),
    };
    let mut state = lock(state);
    let count = state.counts.entry(verb.clone()).or_default();
    let seen = Request {
        verb,
        path: request.uri().path().to_owned(),
        query: query.to_owned(),
        range_md5: (request.headers()).contains_key("x-ms-range-get-content-md5"),
        earlier: *count,
    };
    *count += 1;
    let fault = state.rules.iter_mut().find_map(|rule| rule(&seen));
    (fault, state.latency)
}

/// Changes the query of a listing as the settings of the proxy say.
fn listing(
    mut request: hyper::Request<Incoming>,
    state: &Mutex<State>,
) -> hyper::Request<Incoming> {
    let (page, knows_start_from) = {
        let state = lock(state);
        (state.page, state.knows_start_from)
    };
    let uri = request.uri();
    let query = uri.query().unwrap_or_default();
    if !query.contains("comp=list&") || (page.is_none() && !knows_start_from) {
        return request;
    }
    let mut pairs: Vec<String> = query.split('&').map(str::to_owned).collect();
    if let Some(names) = page {
        pairs.push(format!("maxresults={names}"));
    }
    let has_marker = pairs.iter().any(|pair| pair.starts_with("marker="));
    if knows_start_from {
        for pair in &mut pairs {
            if let Some(from) = pair.strip_prefix("startFrom=") {
                // Azurite's marker is the last name of a page, so this is a name just before it.
                *pair = if has_marker {
                    String::new()
                } else {
                    format!("marker={}", just_before(from))
                };
            }
        }
    }
    pairs.retain(|pair| !pair.is_empty());
    let target = format!("{}?{}", uri.path(), pairs.join("&"));
    *request.uri_mut() = target.parse().expect("a valid query stays one");
    request
}

/// A percent-encoded name that sorts directly before this one.
fn just_before(encoded: &str) -> String {
    let last = encoded
        .chars()
        .next_back()
        .expect("a name has a last character");
    assert!(last.is_ascii_alphanumeric(), "not made for {encoded}");
    let before = char::from(last as u8 - 1);
    let kept = &encoded[..encoded.len() - 1];
    format!(
        "{kept}{}%F4%8F%BF%BF",
        crate::sign::escape(&before.to_string())
    )
}

async fn pass_on(
    request: hyper::Request<Body>,
    upstream: &str,
    link: &tokio::sync::Mutex<Option<Sender>>,
) -> Result<Response<Incoming>, std::io::Error> {
    let mut link = link.lock().await;
    // A connection that the server has closed is of no use.
    let kept = link.take().filter(|sender| !sender.is_closed());
    let mut sender = match kept {
        Some(sender) => sender,
        None => connect(upstream).await?,
    };
    sender.ready().await.map_err(std::io::Error::other)?;
    let response = sender
        .send_request(request)
        .await
        .map_err(std::io::Error::other)?;
    *link = Some(sender);
    Ok(response)
}

async fn connect(upstream: &str) -> Result<Sender, std::io::Error> {
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

fn flip(bytes: &Bytes, at: usize) -> Bytes {
    let mut flipped = BytesMut::from(&bytes[..]);
    if let Some(byte) = flipped.get_mut(at) {
        *byte ^= 1;
    }
    flipped.freeze()
}

/// The response with its old headers and the changed pieces of its body.
async fn change(
    response: Response<Incoming>,
    pieces: impl FnOnce(Bytes) -> Vec<Result<Bytes, std::io::Error>>,
) -> Result<Response<Body>, std::io::Error> {
    let (head, body) = response.into_parts();
    let bytes = body
        .collect()
        .await
        .map_err(std::io::Error::other)?
        .to_bytes();
    let frames = pieces(bytes)
        .into_iter()
        .map(|piece| piece.map(Frame::data));
    // The pause lets hyper send what comes before a break.
    let frames = stream::iter(frames).then(|frame| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        frame
    });
    Ok(Response::from_parts(
        head,
        StreamBody::new(frames).boxed_unsync(),
    ))
}

fn answer(status: u16, code: &str) -> Response<Body> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>made by the proxy</Message></Error>"
    );
    let full = Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {});
    let mut response = Response::new(full.boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).expect("a rule names a valid status");
    let value = code.parse().expect("a rule names a valid code");
    response.headers_mut().insert("x-ms-error-code", value);
    response
}
