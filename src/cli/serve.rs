//! `serve`.

use std::sync::Arc;
use std::time::Duration;

use poem::listener::{Acceptor, Listener, TcpListener};

use super::operate::asked_to_end;
use super::{DONE, output};
use crate::auth::Authenticator;
use crate::operations::ArcBackup;
use crate::{Error, Result};

/// How long open connections may go on after the service was asked to end.
const GRACE: Duration = Duration::from_secs(5);

pub(super) async fn run(engine: Arc<ArcBackup>, listen: Option<&str>, json: bool) -> Result<u8> {
    let listen = listen
        .unwrap_or(&engine.settings().backup.listen)
        .to_owned();
    serve(engine, &listen, |address, token| {
        if json {
            let mut document = serde_json::json!({"address": format!("http://{address}")});
            if let Some(token) = token {
                document["generated_token"] = token.into();
            }
            output::line(&document.to_string());
            return;
        }
        if let Some(token) = token {
            output::line(&format!(
                "No database and no bootstrap token: this admin token was made, and is shown once:\n{token}"
            ));
        }
        output::line(&format!("arc-backup listens on http://{address}"));
    })
    .await
}

/// Serves until the process is asked to end; `ready` is told the address once it answers, and a token that was made.
pub(super) async fn serve(
    engine: Arc<ArcBackup>,
    listen: &str,
    ready: impl FnOnce(&str, Option<&str>),
) -> Result<u8> {
    if !engine.settings().backup.enabled {
        return Err(Error::Config(
            "`backup.enabled` is false: nothing is served; set it to true".to_owned(),
        ));
    }
    let authenticator = Arc::new(Authenticator::new(engine.settings().auth.clone()));
    let acceptor = TcpListener::bind(listen).into_acceptor().await.map_err(|error| {
        let text = format!("cannot listen on {listen}: {error}; choose another address with --listen or `backup.listen`");
        match error.kind() {
            std::io::ErrorKind::InvalidInput => Error::Config(text),
            _ => Error::Failed(text),
        }
    })?;
    let address = (acceptor.local_addr().into_iter().next())
        .and_then(|address| address.as_socket_addr().copied())
        .map_or_else(|| listen.to_owned(), |address| address.to_string());
    let ensured = {
        let authenticator = authenticator.clone();
        tokio::task::spawn_blocking(move || authenticator.ensure_token()).await
    };
    let generated = match ensured {
        Ok(Ok(token)) => token,
        Ok(Err(error)) => {
            tracing::warn!(%error, "tokens can't be read");
            None
        }
        Err(error) => return Err(Error::Failed(format!("internal fault: {error}"))),
    };
    engine.clean_up_at_start();
    let app = crate::api::app(engine.clone(), authenticator);
    let ending = engine.clone();
    let shutdown = async move {
        let reason = asked_to_end().await;
        tracing::info!("{reason}");
        ending.close(reason).await;
    };
    ready(&address, generated.as_deref());
    poem::Server::new_with_acceptor(acceptor)
        .run_with_graceful_shutdown(app, shutdown, Some(GRACE))
        .await
        .map_err(|error| Error::Failed(format!("the service ended: {error}")))?;
    Ok(DONE)
}
