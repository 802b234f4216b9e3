//! Asking Arc to write what it holds in memory before its files are listed.
//!
//! A backup is true without it, of what was written: so a flush that fails is a warning, and the
//! manifest says so. Where it is required, it is the end of the backup.

use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::config::{ArcServer, Settings};
use crate::operations::Phase;
use crate::operations::context::Context;
use crate::operations::restore::arc_idle;
use crate::secret::Secret;
use crate::{Error, Result};

/// How long Arc may take.
const PATIENCE: Duration = Duration::from_secs(30);
const FLUSH: &str = "/api/v1/write/line-protocol/flush";
/// What a backup lacks that was made without a flush.
const NOT_FLUSHED: &str =
    "Arc was not flushed, so that rows which it holds in memory are not in this backup";
/// What to do where nobody can be asked for a flush.
pub(crate) const SET_URL: &str = "set it to Arc's address, such as http://localhost:8000";
/// The longest answer that is read, in bytes.
const BODY_LIMIT: u64 = 1 << 20;
/// What the client's errors of TLS have in common.
const UNTRUSTED: &str = "certificate";
/// What an admin's token may ask for and that changes nothing.
const STATUS: &str = "/api/v1/backup/status";

/// Whether a backup may be made without a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// A flush that fails is a warning.
    Wanted,
    /// A flush that fails, or that nobody can be asked for, is the end of the backup.
    Required,
}

/// Flushes Arc's buffers where `backup.arc_url` is set. Warns where it is not and Arc is seen to
/// run.
/// Returns whether the buffers were flushed, where anybody could be asked.
pub(crate) async fn run(context: &Context, flush: Flush) -> Result<Option<bool>> {
    let Some(arc) = &context.settings.backup.arc else {
        return without_url(context, flush);
    };
    context.running.phase(Phase::Flushing);
    let token = arc.token.as_ref().or(context.token.as_ref());
    let answered = tokio::select! {
        answered = ask(arc, "POST", FLUSH, token) => answered,
        () = context.running.cancel.cancelled() => return Err(context.running.cancelled()),
    };
    let fault = match answered {
        Ok(200..300) => None,
        Ok(status) => Some(explain(arc, status, token.is_some())),
        Err(text) => Some(text),
    };
    match (fault, flush) {
        (None, _) => Ok(Some(true)),
        (Some(fault), Flush::Required) => Err(required(&fault)),
        (Some(fault), Flush::Wanted) => {
            context.warn(format!("{NOT_FLUSHED}: {fault}"));
            Ok(Some(false))
        }
    }
}

/// A flush without anybody to be asked for it.
fn without_url(context: &Context, flush: Flush) -> Result<Option<bool>> {
    let seen = without_flush(&context.settings);
    if flush == Flush::Required {
        let seen = seen.unwrap_or_else(|| "`backup.arc_url` is not set".to_owned());
        return Err(required(&format!("{seen}: {SET_URL}")));
    }
    if let Some(seen) = seen {
        context.warn(format!("{NOT_FLUSHED}: {seen}; {SET_URL}"));
        return Ok(Some(false));
    }
    Ok(None)
}

/// Why nobody is asked for a flush although Arc runs on this machine; `None` where it is not seen
/// to run.
pub(crate) fn without_flush(settings: &Settings) -> Option<String> {
    let (process, database) = arc_idle::opener_of(settings)?;
    Some(format!(
        "Arc runs (process {process} has `{}` open), and `backup.arc_url` is not set",
        database.display()
    ))
}

fn required(fault: &str) -> Error {
    Error::Failed(format!(
        "Arc was not flushed, and `backup.require_flush` (--require-flush) asks for that: {fault}"
    ))
}

fn explain(arc: &ArcServer, status: u16, with_token: bool) -> String {
    let url = &arc.url;
    match (status, with_token) {
        (401 | 403, true) => format!(
            "`{url}` refuses the token (HTTP {status}): set `backup.arc_token` to an admin's"
        ),
        (401 | 403, false) => format!(
            "`{url}` asks for a token (HTTP {status}): set `backup.arc_token` to an admin's"
        ),
        (404 | 405, _) => format!(
            "`{url}` has no {FLUSH} (HTTP {status}): check that `backup.arc_url` is Arc's address"
        ),
        (300..=399, _) => format!(
            "`{url}` redirects (HTTP {status}), and no token is sent after it: set `backup.arc_url` to where it leads"
        ),
        _ => format!("`{url}` answered HTTP {status}: see Arc's log; `backup.arc_url` names it"),
    }
}

/// What an [`examine`] found.
pub(crate) enum Reach {
    /// It answers, and takes the token; in words.
    Good(String),
    /// It does not: what is wrong, the setting to look at, what to do.
    Bad(String, &'static str, String),
}

/// Whether Arc can be reached and takes the token, without a flush.
pub(crate) async fn examine(arc: &ArcServer) -> Reach {
    let url = &arc.url;
    match (
        ask(arc, "GET", STATUS, arc.token.as_ref()).await,
        &arc.token,
    ) {
        (Ok(200..300), Some(_)) => Reach::Good(format!("{url}: the token is an admin's")),
        (Ok(403), Some(_)) => Reach::Bad(
            format!("{url}: the token is no admin's, and so can't flush"),
            "backup.arc_token",
            "set it to an admin's token of Arc".to_owned(),
        ),
        (Ok(200..300), None) => Reach::Good(format!("{url}: asks for no token")),
        (Ok(401), Some(_)) => Reach::Bad(
            format!("{url}: the token is refused"),
            "backup.arc_token",
            "set it to an admin's token of Arc".to_owned(),
        ),
        (Ok(401 | 403), None) => Reach::Good(format!(
            "{url}: asks for a token: over REST the caller's is used, and without `backup.arc_token` a backup from the \
             command line does not flush"
        )),
        // Arc's own backups may be switched off.
        (Ok(404), _) => Reach::Good(format!(
            "{url}: it answers, but has no {STATUS}: whether it takes the token is seen at the first backup only"
        )),
        (Ok(status), token) => Reach::Bad(
            explain(arc, status, token.is_some()),
            "backup.arc_url",
            "set it to Arc's own address, such as http://localhost:8000".to_owned(),
        ),
        (Err(text), _) if text.contains(UNTRUSTED) => Reach::Bad(
            text,
            "backup.arc_url",
            "name the certificate of who signed Arc's in `SSL_CERT_FILE`, or have Arc's signed by somebody whom this system trusts".to_owned(),
        ),
        (Err(text), _) => Reach::Bad(
            text,
            "backup.arc_url",
            "check that Arc runs and listens there".to_owned(),
        ),
    }
}

/// The HTTP status of Arc's answer, or why there is none.
async fn ask(
    arc: &ArcServer,
    method: &'static str,
    path: &str,
    token: Option<&Secret>,
) -> Result<u16, String> {
    Ok(exchange(arc, method, path, token).await?.0)
}

/// The HTTP status and body of Arc's answer to a question that any token may ask, or why there is none.
pub(crate) async fn get(
    arc: &ArcServer,
    path: &str,
    token: Option<&Secret>,
) -> Result<(u16, String), String> {
    exchange(arc, "GET", path, arc.token.as_ref().or(token)).await
}

async fn exchange(
    arc: &ArcServer,
    method: &'static str,
    path: &str,
    token: Option<&Secret>,
) -> Result<(u16, String), String> {
    let url = format!("{}{path}", arc.url);
    let token = token.cloned();
    let asked = tokio::task::spawn_blocking(move || {
        let mut request = ureq::http::Request::builder().method(method).uri(&url);
        if let Some(token) = &token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        let request = request
            .body(())
            .map_err(|_| "the token can't be sent in a header".to_owned())?;
        let answer = agent(url.starts_with("https:")).run(request);
        let mut answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(BODY_LIMIT);
        // Who asks for the status alone does not care for what comes behind it.
        Ok((status, body.read_to_string().unwrap_or_default()))
    });
    let answered = match asked.await {
        Ok(answered) => answered,
        Err(error) => Err(format!("internal fault: {error}")),
    };
    answered.map_err(|error| {
        let hint = match error.contains(UNTRUSTED) {
            true => ": only a certificate that this system trusts, or `SSL_CERT_FILE` names the signer of, is taken",
            false => "",
        };
        format!("cannot reach `{}` (`backup.arc_url`): {error}{hint}", arc.url)
    })
}

/// A client that follows nothing and asks no proxy: the token is Arc's alone.
fn agent(encrypted: bool) -> ureq::Agent {
    let mut config = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("arc-backup/", env!("CARGO_PKG_VERSION")));
    if encrypted {
        // An Arc in a house of its own has a certificate of the house.
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
