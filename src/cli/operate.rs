//! The commands that do one thing and end.

use std::sync::Arc;

use super::arguments::{Command, mode};
use super::common::{confirm, operate, or_interrupted, pretty};
use super::output::line;
use super::signals::Signals;
use super::{DONE, FAILED, doctor, history, list, restore, sweep};
use crate::Result;
use crate::manifest::BackupId;
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
            target,
            timeout,
        } => {
            let settings = &engine.settings().backup;
            let request = Request::Backup {
                metadata: settings.include_metadata && !no_metadata,
                config: settings.include_config && !no_config,
                target,
                id: None,
            };
            let request = request.within(timeout.unwrap_or_default());
            let code = operate(engine, request, json, true, signals).await?;
            Ok(code)
        }
        Command::List { target, all } => {
            let listed = list::run(engine, target.as_deref(), all, json);
            or_interrupted(signals, listed).await
        }
        Command::Show { id, target } => {
            let id = BackupId::parse(&id)?;
            let found = engine.find(&id, target.as_deref());
            let (repository, loaded) = or_interrupted(signals, found).await?;
            line(&pretty(&crate::api::manifest_answer(
                repository.name(),
                &loaded,
            )));
            Ok(DONE)
        }
        Command::Restore(arguments) => restore::run(engine, arguments, json, signals).await,
        Command::Verify {
            id,
            quick,
            sample,
            target,
            timeout,
        } => {
            let request = Request::Verify(BackupId::parse(&id)?, mode(quick, sample), target);
            let request = request.within(timeout.unwrap_or_default());
            operate(engine, request, json, false, signals).await
        }
        Command::Delete {
            id,
            target,
            yes,
            timeout,
        } => {
            let id = BackupId::parse(&id)?;
            confirm(yes, format!("Delete backup {id}?"), signals).await?;
            let request = Request::Delete(id, target).within(timeout.unwrap_or_default());
            operate(engine, request, json, false, signals).await
        }
        Command::Status => history::status(engine, json, signals).await,
        Command::History { limit } => history::history(engine, limit, json, signals).await,
        Command::Sweep { apply } => or_interrupted(signals, sweep::run(engine, apply, json)).await,
        Command::Doctor => or_interrupted(signals, doctor::run(engine, json)).await,
        Command::Serve { .. } | Command::Openapi | Command::Demo { .. } => Ok(FAILED),
    }
}
