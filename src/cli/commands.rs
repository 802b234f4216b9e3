//! The commands that do one thing and end.

use crate::operations::Sections;
use arc_backup_core::{Databases, Scope};
use std::sync::Arc;

use super::arguments::{Command, mode};
use super::exit_code::FAILED;
use super::operation::{Answer, recorded, run_and_print};
use super::signals::Signals;
use super::waiting::while_busy;
use super::{
    archive, cancel, cat, check, copy, delete, diff, doctor, files, history, ids, label, list, pin,
    prune, restore, schedules, set_aside, show, sweep, undo,
};
use crate::Result;
use crate::backup_type::BackupType;
use crate::config::IncludeConfig;
use crate::operations::OperationKind;
use crate::operations::{
    ArcBackup, BackupOptions, CopyOptions, DataSelection, RehearseOptions, Request, VerifyMode,
    VerifyOptions, check_database_names,
};

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    command: Command,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    match command {
        Command::Backup {
            databases,
            with_config,
            no_metadata,
            no_config,
            include_config,
            incremental,
            full,
            rehash,
            require_flush,
            labels,
            note,
            target,
            copy_to,
            no_copy,
            busy,
            timeout,
        } => {
            let settings = &engine.settings().backup;
            let databases = match databases.is_empty() {
                true => Databases::All,
                false => Databases::Only(check_database_names(databases)?),
            };
            let is_whole = databases == Databases::All;
            let config = match include_config {
                _ if no_config => IncludeConfig::Omitted,
                Some(wanted) => wanted,
                None if with_config && !settings.include_config.includes() => {
                    IncludeConfig::ByTarget
                }
                None if with_config || is_whole => settings.include_config,
                None => IncludeConfig::Omitted,
            };
            let sections = Sections {
                data: true,
                metadata: settings.include_metadata && !no_metadata && is_whole,
                config: config.includes(),
            };
            let wanted = (no_copy || !copy_to.is_empty()).then_some(copy_to);
            let copies = engine.copy_targets(target.as_deref(), wanted)?;
            let request = Request::Backup(BackupOptions {
                scope: Scope::from(sections).of_databases(databases),
                backup_type: match (incremental, full) {
                    (true, _) => Some(BackupType::Incremental),
                    (_, true) => Some(BackupType::Full),
                    _ => None,
                },
                rehash,
                require_flush: settings.require_flush || require_flush,
                secrets: config.secrets(),
                labels,
                note,
                target,
                ..BackupOptions::default()
            });
            let request = request.within(timeout.unwrap_or_default());
            match copies.is_empty() {
                true => {
                    run_and_print(engine, request, busy, Answer::json_or_id(json), signals).await
                }
                false => copy::back_up(engine, request, &copies, busy, json, signals).await,
            }
        }
        Command::Copy {
            id,
            to,
            from,
            timeout,
            busy,
        } => {
            let found = ids::resolve(engine, &id, from.as_deref());
            let kind = OperationKind::Copy;
            let found = recorded(engine, kind, from.as_deref(), signals, found).await?;
            let request = Request::Copy(CopyOptions::new(found.id, to).from(from));
            let request = request.within(timeout.unwrap_or_default());
            let answer = Answer::json_or_nothing(json);
            run_and_print(engine, request, busy, answer, signals).await
        }
        Command::List(arguments) => {
            signals
                .or_interrupted(list::run(engine, arguments, json))
                .await
        }
        Command::Show { id, target } => {
            let shown = show::run(engine, &id, target.as_deref(), json);
            signals.or_interrupted(shown).await
        }
        Command::Files(arguments) => {
            signals
                .or_interrupted(files::run(engine, arguments, json))
                .await
        }
        Command::Cat(arguments) => {
            signals
                .or_interrupted(cat::run(engine, arguments, json))
                .await
        }
        Command::Diff(arguments) => {
            signals
                .or_interrupted(diff::run(engine, arguments, json))
                .await
        }
        Command::Extract(arguments) => archive::extract(engine, arguments, json, signals).await,
        Command::Export(arguments) => archive::export(engine, arguments, json, signals).await,
        Command::Import(arguments) => archive::import(engine, arguments, json, signals).await,
        Command::Restore(arguments) => restore::run(engine, arguments, json, signals).await,
        Command::Undo(arguments) => undo::run(engine, arguments, json, signals).await,
        Command::SetAside(arguments) => {
            let listed = set_aside::run(engine, arguments, json);
            signals.or_interrupted(listed).await
        }
        Command::Verify {
            id,
            quick,
            sample,
            selection,
            target,
            timeout,
            busy,
        } => {
            let options = verify_options(mode(quick, sample), selection.into())?;
            let found = ids::resolve(engine, &id, target.as_deref());
            let found = recorded(
                engine,
                OperationKind::Verify,
                target.as_deref(),
                signals,
                found,
            )
            .await?;
            let request = Request::Verify(found.id, options, found.target);
            let request = request.within(timeout.unwrap_or_default());
            let answer = Answer::json_or_nothing(json);
            run_and_print(engine, request, busy, answer, signals).await
        }
        Command::Rehearse {
            id,
            share,
            target,
            timeout,
            busy,
        } => {
            let found = ids::resolve(engine, &id, target.as_deref());
            let kind = OperationKind::Rehearse;
            let found = recorded(engine, kind, target.as_deref(), signals, found).await?;
            let options = RehearseOptions { share };
            let request = Request::Rehearse(found.id, options, found.target);
            let request = request.within(timeout.unwrap_or_default());
            let answer = Answer::json_or_nothing(json);
            run_and_print(engine, request, busy, answer, signals).await
        }
        Command::Label(arguments) => label::run(engine, arguments, json, signals).await,
        Command::Delete(arguments) => delete::run(engine, arguments, json, signals).await,
        Command::Prune(arguments) => prune::run(engine, arguments, json, signals).await,
        Command::Pin(arguments) => pin::pin(engine, arguments, json, signals).await,
        Command::Unpin(arguments) => pin::unpin(engine, arguments, json, signals).await,
        Command::Status => history::status(engine, json, signals).await,
        Command::History(arguments) => history::history(engine, arguments, json, signals).await,
        Command::Sweep { apply, busy } => {
            let swept = while_busy(busy, signals, async || {
                signals
                    .or_interrupted(sweep::run(engine, apply, json))
                    .await
            });
            swept.await
        }
        Command::Cancel { operation, wait } => {
            cancel::run(engine, operation.as_deref(), wait, json, signals).await
        }
        Command::Schedules(arguments) => schedules::run(engine, arguments, json, signals).await,
        Command::Doctor => signals.or_interrupted(doctor::run(engine, json)).await,
        Command::Check(arguments) => {
            signals
                .or_interrupted(check::run(engine, arguments, json))
                .await
        }
        Command::Serve { .. } | Command::Openapi | Command::Demo { .. } => Ok(FAILED),
    }
}

/// What a verification reads. Of a part of the data, that is nothing but data.
fn verify_options(mode: VerifyMode, selection: DataSelection) -> Result<VerifyOptions> {
    VerifyOptions::new(mode, selection.to_data_scope()?)
}
