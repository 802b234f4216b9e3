//! The Azurite server process.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use azure_core::time::{OffsetDateTime, to_rfc3339, to_rfc7231};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Method;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::sign::{escape, sign};
use crate::{install, proxy::Proxy};

/// The account that every Azurite has.
pub const ACCOUNT: &str = "devstoreaccount1";

/// Its key, which is public.
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The version of the protocol that signatures are made for.
const VERSION: &str = "2021-12-02";

/// Ends the server with this process: the pipe closes, however the process ends.
const WATCH: &str = "data:text/javascript,\
    process.stdin.resume();process.stdin.on('end',()=>process.exit(0));\
    process.stdin.on('error',()=>process.exit(0));";

/// A running Azurite that stores everything in memory.
#[derive(Debug)]
pub struct Azurite {
    child: Child,
    /// The pipe that keeps the server alive.
    _alive: ChildStdin,
    address: String,
    containers: AtomicU32,
}

/// The server's answer to [`Azurite::request`].
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers, with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Azurite {
    /// The server that all tests of this process share. It ends with the process.
    ///
    /// # Panics
    /// If Node or npm is missing, or if the server does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Azurite> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a separate server, on a free port of 127.0.0.1. It ends when it is dropped.
    ///
    /// # Panics
    /// If Node or npm is missing, or if the server does not start.
    pub fn start() -> Self {
        let script = install::script();
        let mut child = Command::new("node")
            .args(["--import", WATCH])
            .arg(&script)
            .args(["--blobHost", "127.0.0.1", "--blobPort", "0"])
            .args(["--inMemoryPersistence", "--skipApiVersionCheck"])
            .args(["--silent", "--disableTelemetry"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("the tests against Azure need Node 20 or later on the PATH: cannot run node: {error}")
            });
        let alive = child.stdin.take().expect("its input is a pipe");
        let output = child.stdout.take().expect("its output is a pipe");
        let mut lines = BufReader::new(output).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                line.split_once("listens on http://")
                    .map(|(_, at)| at.to_owned())
            })
            .unwrap_or_else(|| panic!("{} ended without serving", script.display()));
        // The output has to be read: otherwise the server blocks or dies on a later line.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self {
            child,
            _alive: alive,
            address: address.trim().to_owned(),
            containers: AtomicU32::new(0),
        }
    }

    /// Its address: `127.0.0.1:12345`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The account's URL, without a `/` at its end.
    pub fn endpoint(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.address)
    }

    /// The connection string with the account's key.
    pub fn connection_string(&self) -> String {
        format!(
            "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={};",
            self.endpoint()
        )
    }

    /// Creates a container that nobody else uses, and returns its name.
    pub async fn container(&self) -> String {
        let number = self.containers.fetch_add(1, Ordering::Relaxed);
        let name = format!("test-{number}");
        let answer = self
            .request(
                Method::PUT,
                &name,
                &[("restype", "container")],
                &[],
                Bytes::new(),
            )
            .await;
        assert_eq!(
            answer.status, 201,
            "a container can't be created: {answer:?}"
        );
        name
    }

    /// Starts a proxy with faults in front of this server, on the runtime of the caller.
    pub async fn proxy(&self) -> Proxy {
        Proxy::start(&self.address).await
    }

    /// A SAS for all containers of the account, with these permissions (`rwdlac`) and this
    /// validity.
    pub fn account_sas(&self, permissions: &str, lasts: Lasts) -> String {
        let (start, end) = lasts.bounds();
        let text = format!(
            "{ACCOUNT}\n{permissions}\nb\nsco\n{start}\n{end}\n\nhttps,http\n{VERSION}\n\n"
        );
        let signature = escape(&sign(KEY, &text));
        format!(
            "sv={VERSION}&ss=b&srt=sco&sp={permissions}&st={}&se={}&spr=https,http&sig={signature}",
            escape(&start),
            escape(&end)
        )
    }

    /// A SAS for one container, like [`Self::account_sas`].
    pub fn container_sas(&self, container: &str, permissions: &str, lasts: Lasts) -> String {
        let (start, end) = lasts.bounds();
        let resource = format!("/blob/{ACCOUNT}/{container}");
        // permissions, start, end, resource, identifier, IP, protocol, version, kind, snapshot,
        // encryption scope, 5 headers
        let text =
            format!("{permissions}\n{start}\n{end}\n{resource}\n\n\n\n{VERSION}\nc\n\n\n\n\n\n\n");
        let signature = escape(&sign(KEY, &text));
        format!(
            "sv={VERSION}&sr=c&sp={permissions}&st={}&se={}&sig={signature}",
            escape(&start),
            escape(&end)
        )
    }

    /// Sends one request signed with the account's key, for tests that bypass the sink. `path` is
    /// below the account and percent-encoded. Query and headers are sent unchanged.
    ///
    /// # Panics
    /// If the server can't be reached.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        let date = to_rfc7231(&OffsetDateTime::from(SystemTime::now()));
        let mut all: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), (*value).to_owned()))
            .collect();
        all.push(("x-ms-date".to_owned(), date));
        all.push(("x-ms-version".to_owned(), VERSION.to_owned()));
        let authorization = authorization(&method, path, query, &all, body.len());
        let target = query
            .iter()
            .fold(format!("/{ACCOUNT}/{path}"), |url, (name, value)| {
                let sign = if url.contains('?') { '&' } else { '?' };
                format!("{url}{sign}{name}={}", escape(value))
            });
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(target)
            .header("host", &self.address)
            .header("authorization", authorization);
        for (name, value) in &all {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).expect("the request is valid");
        let stream = TcpStream::connect(&self.address)
            .await
            .expect("the server is there");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("the server speaks HTTP");
        tokio::spawn(connection);
        let response = sender
            .send_request(request)
            .await
            .expect("the server answers");
        let (head, body) = response.into_parts();
        Answer {
            status: head.status.as_u16(),
            headers: head
                .headers
                .iter()
                .map(|(name, value)| {
                    (
                        name.to_string(),
                        String::from_utf8_lossy(value.as_bytes()).into_owned(),
                    )
                })
                .collect(),
            body: body
                .collect()
                .await
                .expect("the answer is whole")
                .to_bytes(),
        }
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The validity of a SAS.
#[derive(Debug, Clone, Copy)]
pub enum Lasts {
    /// Valid from now on.
    For(Duration),
    /// Expired this long ago.
    EndedAgo(Duration),
}

impl Lasts {
    fn bounds(self) -> (String, String) {
        let now = SystemTime::now();
        let day = Duration::from_secs(24 * 3600);
        let end = match self {
            Self::For(time) => now + time,
            Self::EndedAgo(time) => now - time,
        };
        // Whole seconds: the format has no fractions.
        let text = |time: SystemTime| {
            let seconds = time
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs());
            let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            to_rfc3339(&OffsetDateTime::from(whole))
        };
        (text(now.min(end) - day), text(end))
    }
}

fn authorization(
    method: &Method,
    path: &str,
    query: &[(&str, &str)],
    headers: &[(String, String)],
    length: usize,
) -> String {
    let standard = |name: &str| {
        headers
            .iter()
            .find_map(|(header, value)| (header == name).then_some(value.as_str()))
            .unwrap_or_default()
    };
    let length = match length {
        0 => String::new(),
        length => length.to_string(),
    };
    let mut text = format!(
        "{method}\n{}\n{}\n{length}\n{}\n{}\n\n{}\n{}\n{}\n{}\n{}\n",
        standard("content-encoding"),
        standard("content-language"),
        standard("content-md5"),
        standard("content-type"),
        standard("if-modified-since"),
        standard("if-match"),
        standard("if-none-match"),
        standard("if-unmodified-since"),
        standard("range"),
    );
    let mut own: Vec<_> = headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-ms-"))
        .collect();
    own.sort();
    for (name, value) in own {
        text.push_str(&format!("{name}:{value}\n"));
    }
    text.push_str(&format!("/{ACCOUNT}/{ACCOUNT}/{path}"));
    let mut query = query.to_vec();
    query.sort_unstable();
    for (name, value) in query {
        text.push_str(&format!("\n{name}:{value}"));
    }
    format!("SharedKey {ACCOUNT}:{}", sign(KEY, &text))
}
