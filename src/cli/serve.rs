//! `serve`.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::exit_code::DONE;
use super::output;
use super::signals::Signals;
use crate::api::Server;
use crate::auth::Authenticator;
use crate::operations::ArcBackup;
use crate::schedule::Scheduler;
use crate::{Error, Result};

/// How long open connections may last after the service was asked to end and its operation has
/// ended.
const GRACE: Duration = Duration::from_secs(1);

pub(super) async fn run(
    engine: Arc<ArcBackup>,
    listen: Option<&str>,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    engine.check_place()?;
    let listen = listen
        .unwrap_or(&engine.settings().backup.listen)
        .to_owned();
    serve(engine, &listen, signals, |address, token| {
        if json {
            let mut document = serde_json::json!({"address": format!("http://{address}")});
            if let Some(token) = token {
                document["generated_token"] = token.into();
            }
            output::print_line(&document.to_string());
            return;
        }
        if let Some(token) = token {
            output::print_line(&format!(
                "No database and no bootstrap token: this admin token was generated and is shown only once:\n{token}"
            ));
        }
        output::print_line(&format!("arc-backup listens on http://{address}"));
    })
    .await
}

/// Serves until the process is asked to end. Calls `ready` with the address once it answers, and
/// with the generated token where one was made.
pub(super) async fn serve(
    engine: Arc<ArcBackup>,
    listen: &str,
    signals: &Signals,
    ready: impl FnOnce(&str, Option<&str>),
) -> Result<u8> {
    let settings = &engine.settings().backup;
    if !settings.enabled {
        let key = &settings.enabled_key;
        // With Arc 27.01, an operator may have switched off Arc's own backups in favour of these.
        return Err(Error::Config(match key.starts_with("arc_backup.") {
            true => format!("`{key}` is false: nothing is served; set it to true"),
            false => format!(
                "`{key}` is false: nothing is served; set it to true, or, if only Arc's own backups are to be off, set \
                 `arc_backup.enabled` to true"
            ),
        }));
    }
    let scheduler = Scheduler::of(engine.clone())?;
    let authenticator = Arc::new(Authenticator::new(engine.settings().auth.clone()));
    let server = Server::bind(listen).await.map_err(|error| {
        let text = format!("cannot listen on {listen}: {error}; choose another address with --listen or `backup.listen`");
        match error.kind() {
            std::io::ErrorKind::InvalidInput => Error::Config(text),
            _ => Error::Failed(text),
        }
    })?;
    let address =
        (server.local_addr()).map_or_else(|_| listen.to_owned(), |address| address.to_string());
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
        Err(error) => return Err(error.into()),
    };
    engine.clean_up_at_start();
    let app = crate::api::app(scheduler.clone(), authenticator);
    let (ending, signals) = (engine.clone(), signals.clone());
    let shutdown = async move {
        let reason = signals.received().await;
        tracing::info!("{reason}");
        ending.close(reason).await;
    };
    ready(&address, generated.as_deref());
    let ended = CancellationToken::new();
    let schedules = tokio::spawn({
        let ended = ended.clone();
        async move { scheduler.run(ended).await }
    });
    server.run(app, shutdown, GRACE).await;
    // The engine is closed: what a schedule had at work has ended.
    ended.cancel();
    let _ = schedules.await;
    Ok(DONE)
}
