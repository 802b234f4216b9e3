//! The commands that do one thing and end.

use std::sync::Arc;

use super::arguments::{Command, mode};
use super::common::{operate, or_interrupted, pretty, recorded};
use super::output::line;
use super::signals::Signals;
use super::waiting::while_busy;
use super::{
    DONE, FAILED, cancel, check, delete, doctor, history, ids, list, restore, show, sweep,
};
use crate::Result;
use crate::operations::OperationKind;
use crate::operations::{ArcBackup, Request};

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    command: Command,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    match command {
        Command::Backup {
            no_metadata,
            no_config,
            require_flush,
            target,
            busy,
            timeout,
        } => {
            let settings = &engine.settings().backup;
            let request = Request::Backup {
                metadata: settings.include_metadata && !no_metadata,
                config: settings.include_config && !no_config,
                require_flush: settings.require_flush || require_flush,
                target,
                id: None,
            };
            let request = request.within(timeout.unwrap_or_default());
            operate(engine, request, busy, json, true, signals).await
        }
        Command::List(arguments) => {
            or_interrupted(signals, list::run(engine, arguments, json)).await
        }
        Command::Show { id, target } => {
            let shown = show(engine, &id, target.as_deref(), json);
            or_interrupted(signals, shown).await
        }
        Command::Restore(arguments) => restore::run(engine, arguments, json, signals).await,
        Command::Verify {
            id,
            quick,
            sample,
            target,
            timeout,
            busy,
        } => {
            let found = ids::resolve(engine, &id, target.as_deref());
            let found = recorded(
                engine,
                OperationKind::Verify,
                target.as_deref(),
                signals,
                found,
            )
            .await?;
            let request = Request::Verify(found.id, mode(quick, sample), found.target);
            let request = request.within(timeout.unwrap_or_default());
            operate(engine, request, busy, json, false, signals).await
        }
        Command::Delete(arguments) => delete::run(engine, arguments, json, signals).await,
        Command::Status => history::status(engine, json, signals).await,
        Command::History(arguments) => history::history(engine, arguments, json, signals).await,
        Command::Sweep { apply, busy } => {
            let swept = while_busy(busy, signals, async || {
                or_interrupted(signals, sweep::run(engine, apply, json)).await
            });
            swept.await
        }
        Command::Cancel { wait } => cancel::run(engine, wait, json, signals).await,
        Command::Doctor => or_interrupted(signals, doctor::run(engine, json)).await,
        Command::Check(arguments) => {
            or_interrupted(signals, check::run(engine, arguments, json)).await
        }
        Command::Serve { .. } | Command::Openapi | Command::Demo { .. } => Ok(FAILED),
    }
}

async fn show(engine: &Arc<ArcBackup>, text: &str, target: Option<&str>, json: bool) -> Result<u8> {
    let found = ids::resolve(engine, text, target).await?;
    let (repository, loaded) = engine.find(&found.id, found.target.as_deref()).await?;
    let note = repository.note_to_show(&found.id).await;
    match json {
        true => line(&pretty(&crate::api::manifest_answer(
            repository.name(),
            &loaded,
            &note,
        ))),
        false => show::print(repository.name(), &loaded, &note),
    }
    Ok(DONE)
}
