//! The client of Arc's HTTP API.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::access::Access;
use super::compaction::{CompactionStatus, Stats};
use super::error::ArcError;
use super::paths::{BACKUP_STATUS, COMPACTION, FLUSH};
use crate::config::ArcServer;
use crate::secret::Secret;

/// How long Arc may take for one answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes.
const BODY_LIMIT: u64 = 1 << 20;

/// The client of one Arc. It follows no redirect and uses no proxy: the token is Arc's alone. A
/// clone shares the certificates, which are loaded once.
#[derive(Debug, Clone)]
pub(crate) struct ArcClient {
    agent: Arc<OnceLock<Agent>>,
    url: String,
    token: Option<Secret>,
}

impl ArcClient {
    /// The client of the configured Arc. Nothing is read or asked before the first request.
    pub(crate) fn new(server: &ArcServer) -> Self {
        Self {
            agent: Arc::default(),
            url: server.url.clone(),
            token: server.token.clone(),
        }
    }

    /// The same client; where no token is configured, it sends `token`.
    pub(crate) fn or_token(mut self, token: Option<Secret>) -> Self {
        self.token = self.token.or(token);
        self
    }

    /// Arc's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Makes Arc write to Parquet what it holds in memory.
    pub(crate) async fn flush(&self) -> Result<(), ArcError> {
        self.request("POST", FLUSH).await.map(drop)
    }

    /// Whether Arc compacts. No answer within `timeout` makes the status unknown.
    pub(crate) async fn compaction(&self, timeout: Duration) -> CompactionStatus {
        let asked = tokio::time::timeout(timeout, self.request("GET", COMPACTION));
        let answered = asked.await.unwrap_or_else(|_| {
            Err(ArcError::Timeout {
                url: self.url.clone(),
                timeout,
            })
        });
        let stats = answered.and_then(|body| {
            serde_json::from_str::<Stats>(&body).map_err(|source| ArcError::UnexpectedAnswer {
                url: self.url.clone(),
                path: COMPACTION,
                source,
            })
        });
        stats.map_or_else(CompactionStatus::from, CompactionStatus::from)
    }

    /// Whether Arc can be reached and accepts the token, without a flush.
    pub(crate) async fn check(&self) -> Result<Access, ArcError> {
        let has_token = self.token.is_some();
        match (self.request("GET", BACKUP_STATUS).await, has_token) {
            (Ok(_), true) => Ok(Access::Admin),
            (Ok(_), false) => Ok(Access::Open),
            (
                Err(ArcError::Denied {
                    url, status: 403, ..
                }),
                true,
            ) => Err(ArcError::NotAdmin { url }),
            (Err(ArcError::Denied { .. }), false) => Ok(Access::TokenNeeded),
            (Err(ArcError::NoSuchPath { status: 404, .. }), _) => Ok(Access::NotChecked),
            (Err(error), _) => Err(error),
        }
    }

    /// The body of an answer of success.
    async fn request(&self, method: &'static str, path: &'static str) -> Result<String, ArcError> {
        let client = self.clone();
        tokio::task::spawn_blocking(move || client.exchange(method, path)).await?
    }

    fn exchange(&self, method: &'static str, path: &'static str) -> Result<String, ArcError> {
        let url = format!("{}{path}", self.url);
        let mut request = ureq::http::Request::builder().method(method).uri(&url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        let request = request.body(()).map_err(ureq::Error::from);
        let agent = (self.agent).get_or_init(|| agent(url.starts_with("https:")));
        let answer = request.and_then(|request| agent.run(request));
        let mut answer = answer.map_err(|error| ArcError::of_request(&self.url, error))?;
        let status = answer.status().as_u16();
        if !(200..300).contains(&status) {
            let has_token = self.token.is_some();
            return Err(ArcError::of_status(&self.url, path, status, has_token));
        }
        let body = answer.body_mut().with_config().limit(BODY_LIMIT);
        // Whoever needs only the status does not need a body that can be read.
        Ok(body.read_to_string().unwrap_or_default())
    }
}

fn agent(is_encrypted: bool) -> Agent {
    let mut config = Agent::config_builder()
        .timeout_global(Some(REQUEST_TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        // A flush would fail on an idle connection that Arc has closed.
        .max_idle_connections(0)
        .user_agent(concat!("arc-backup/", env!("CARGO_PKG_VERSION")));
    if is_encrypted {
        // Internal certificate authorities are in the system's trust store.
        let trusted = rustls_native_certs::load_native_certs().certs;
        if !trusted.is_empty() {
            let trusted = (trusted.iter())
                .map(|certificate| Certificate::from_der(certificate).to_owned())
                .collect();
            let roots = RootCerts::Specific(Arc::new(trusted));
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
    }
    config.build().into()
}
