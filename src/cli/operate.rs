//! The commands that do one thing and end.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use poem_openapi::types::ToJSON;
use serde_json::json;

use super::arguments::{Command, RestoreArguments, mode};
use super::output::{complain, follow, line, tell};
use super::{DONE, FAILED};
use crate::manifest::BackupId;
use crate::operations::{ArcBackup, Operation, Request, RestoreOptions, Who};
use crate::repository::LastVerified;
use crate::{Error, Result};

pub(super) async fn run(engine: &Arc<ArcBackup>, command: Command, json: bool) -> Result<u8> {
    match command {
        Command::Backup {
            no_metadata,
            no_config,
            target,
        } => {
            let settings = &engine.settings().backup;
            let request = Request::Backup {
                metadata: settings.include_metadata && !no_metadata,
                config: settings.include_config && !no_config,
                target,
                id: None,
            };
            let code = operate(engine, request, json, true).await?;
            Ok(code)
        }
        Command::List { target, all } => list(engine, target.as_deref(), all, json).await,
        Command::Show { id, target } => {
            let id = BackupId::parse(&id)?;
            let (repository, loaded) = engine.find(&id, target.as_deref()).await?;
            line(&pretty(&crate::api::manifest_answer(
                repository.name(),
                &loaded,
            )));
            Ok(DONE)
        }
        Command::Restore(arguments) => restore(engine, arguments, json).await,
        Command::Verify {
            id,
            quick,
            sample,
            target,
        } => {
            let request = Request::Verify(BackupId::parse(&id)?, mode(quick, sample), target);
            operate(engine, request, json, false).await
        }
        Command::Delete { id, target, yes } => {
            let id = BackupId::parse(&id)?;
            confirm(yes, &format!("Delete backup {id}?"))?;
            operate(engine, Request::Delete(id, target), json, false).await
        }
        Command::Status => {
            engine.look_for_interrupted_restore().await;
            let status = engine.status()?;
            match (json, status) {
                (true, Some(operation)) => line(&operation.to_json_string()),
                (true, None) => line(&crate::api::idle_answer(engine).to_json_string()),
                (false, None) => line("idle"),
                (false, Some(operation)) => line(&row(&operation)),
            }
            if let Some(marker) = engine.restore_in_progress() {
                complain!("{}: {}", marker.words(), marker.remedy());
            }
            Ok(DONE)
        }
        Command::History { limit } => {
            let operations = engine.operations(0, limit)?;
            if json {
                let rows: Vec<_> = operations.iter().filter_map(ToJSON::to_json).collect();
                line(&pretty(&json!({"count": rows.len(), "operations": rows})));
            } else {
                operations
                    .iter()
                    .for_each(|operation| line(&row(operation)));
            }
            Ok(DONE)
        }
        Command::Sweep { apply } => sweep(engine, apply, json).await,
        Command::Doctor => doctor(engine, json).await,
        Command::Serve { .. } | Command::Openapi | Command::Demo { .. } => Ok(FAILED),
    }
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

fn row(operation: &Operation) -> String {
    let what = format!("{:?}", operation.status).to_lowercase();
    let error = operation
        .error
        .as_ref()
        .map(|error| format!("  {error}"))
        .unwrap_or_default();
    format!(
        "{}  {:8} {}  {:9} {}/{} files, {} by {}{error}",
        operation.started_at,
        operation.operation,
        operation.backup_id,
        what,
        operation.processed_files,
        operation.total_files,
        operation.origin,
        operation.actor,
    )
}

async fn operate(
    engine: &Arc<ArcBackup>,
    request: Request,
    json: bool,
    print_id: bool,
) -> Result<u8> {
    let who = Who {
        actor: std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned()),
        origin: "cli",
        fingerprint: None,
        token: None,
    };
    let running = engine.start(request, who).await?;
    let ended = tokio::select! {
        ended = follow(&running) => ended,
        reason = asked_to_end() => {
            running.cancel(reason);
            running.wait().await
        }
    };
    if json {
        line(&ended.to_json_string());
    } else {
        if print_id && ended.error.is_none() {
            line(&ended.backup_id);
        }
        tell(&ended);
    }
    Ok(if ended.error.is_none() { DONE } else { FAILED })
}

/// Returns when the process is asked to end, with words for it.
pub(super) async fn asked_to_end() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    match (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    ) {
        (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) => tokio::select! {
            _ = terminate.recv() => "ended by SIGTERM",
            _ = interrupt.recv() => "ended by SIGINT",
            _ = hangup.recv() => "ended by SIGHUP",
        },
        // Without handlers the signals have their usual effect.
        _ => std::future::pending().await,
    }
}

fn confirm(yes: bool, question: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::Invalid(
            "without a terminal to ask on, this needs --yes".to_owned(),
        ));
    }
    let mut answer = String::new();
    let read = write!(std::io::stderr(), "{question} [y/N] ")
        .and_then(|()| std::io::stderr().flush())
        .and_then(|()| std::io::stdin().read_line(&mut answer));
    match (read, answer.trim()) {
        (Ok(_), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Error::Invalid(
            "not confirmed: nothing was changed".to_owned(),
        )),
    }
}

async fn restore(engine: &Arc<ArcBackup>, arguments: RestoreArguments, json: bool) -> Result<u8> {
    let id = BackupId::parse(&arguments.id)?;
    let options = RestoreOptions {
        data: !arguments.no_data,
        metadata: !arguments.no_metadata,
        config: arguments.with_config,
        extra_files: arguments.extra_files,
        allow_incomplete: arguments.allow_incomplete,
        verify_first: arguments.verify_first,
    };
    if !(options.data || options.metadata || options.config) {
        return Err(Error::Invalid("nothing is left to restore".to_owned()));
    }
    // Before the question: there is nothing to confirm for a backup that does not exist.
    engine
        .find_to_restore(&id, arguments.target.as_deref(), options.allow_incomplete)
        .await?;
    confirm(arguments.yes, &format!("Restore {id} over the live data?"))?;
    operate(
        engine,
        Request::Restore(id, options, arguments.target),
        json,
        false,
    )
    .await
}

/// `full 2026-02-12 ok`, in words for a column.
fn last_verified(last: Option<&LastVerified>) -> String {
    let Some(last) = last else {
        return "never verified".to_owned();
    };
    let day = (last.at.parse::<jiff::Timestamp>())
        .map_or_else(|_| "?".to_owned(), |at| at.strftime("%Y-%m-%d").to_string());
    // The note may be anybody's: nothing of it reaches the terminal as it is.
    let mode = ["full", "quick", "sample"].into_iter();
    let mode = mode.into_iter().find(|mode| *mode == last.mode);
    let what = if last.ok { "verified" } else { "DAMAGED" };
    format!("{what} {day} {}", mode.unwrap_or("?"))
}

async fn list(engine: &Arc<ArcBackup>, target: Option<&str>, all: bool, json: bool) -> Result<u8> {
    let answer = engine.list(target, all).await?;
    if json {
        line(&crate::api::list_answer(answer).to_json_string());
        return Ok(DONE);
    }
    for backup in &answer.backups {
        line(&format!(
            "{}  {:30}  {:>8} files  {:>12}  {:26}  {}{}",
            backup.backup_id,
            backup.created_at,
            backup.total_files,
            indicatif::HumanBytes(backup.total_size_bytes).to_string(),
            last_verified(backup.last_verified.as_ref()),
            backup.target,
            match (&backup.last_full, backup.verified) {
                (_, false) => "  no checksums".to_owned(),
                (Some(full), true) => format!("  every byte: {}", last_verified(Some(full))),
                (None, true) => String::new(),
            },
        ));
    }
    for copy in answer.incomplete.iter().flatten() {
        line(&format!(
            "{}  {:30}  {:>8} files  {:>12}  {:26}  {}  incomplete: it lacks {}",
            copy.backup_id,
            copy.created_at,
            copy.total_files,
            indicatif::HumanBytes(copy.total_size_bytes).to_string(),
            "",
            copy.target,
            copy.lacks,
        ));
    }
    for damaged in &answer.damaged {
        complain!(
            "damaged: {} in {}: {}",
            damaged.backup_id,
            damaged.target,
            damaged.detail
        );
    }
    for error in &answer.errors {
        complain!("error: target {}: {}", error.target, error.detail);
    }
    Ok(if answer.errors.is_empty() {
        DONE
    } else {
        FAILED
    })
}

async fn doctor(engine: &ArcBackup, json: bool) -> Result<u8> {
    let report = crate::doctor::examine(engine).await;
    if json {
        line(&report.to_json_string());
    } else {
        let width = |column: fn(&crate::doctor::Check) -> &str| {
            let widths = report
                .checks
                .iter()
                .map(|check| column(check).chars().count());
            widths.max().unwrap_or(0)
        };
        let (subject, name) = (width(|check| &check.subject), width(|check| &check.check));
        for check in &report.checks {
            let mark = if check.ok { "ok   " } else { "FAULT" };
            line(&format!(
                "{mark}  {:subject$}  {:name$}  {}",
                check.subject, check.check, check.detail
            ));
            if let Some(remedy) = &check.remedy {
                line(&format!("       {:subject$}  {:name$}  → {remedy}", "", ""));
            }
        }
    }
    Ok(if report.ok { DONE } else { FAILED })
}

async fn sweep(engine: &Arc<ArcBackup>, apply: bool, json: bool) -> Result<u8> {
    let sweep = engine.sweep(apply).await?;
    let swept = sweep.targets;
    if json {
        let targets: Vec<_> = (swept.iter())
            .map(|(target, s)| json!({"target": target, "unfinished": s.unfinished, "temporaries": s.temporaries, "faults": s.faults}))
            .collect();
        line(&pretty(&json!({
            "applied": apply,
            "targets": targets,
            "views": sweep.views,
            "staged_files": sweep.staged,
            "faults": sweep.faults,
        })));
    } else {
        for (target, swept) in &swept {
            for id in &swept.unfinished {
                let removed = apply && !swept.faults.iter().any(|fault| fault.starts_with(id));
                let what = if removed { "removed" } else { "unfinished" };
                line(&format!("{target}: {id} {what}"));
            }
            if swept.temporaries > 0 {
                line(&format!(
                    "{target}: {} leavings of uploads {}",
                    swept.temporaries,
                    if apply { "removed" } else { "never ended" }
                ));
            }
            for fault in &swept.faults {
                complain!("error: {target}: {fault}");
            }
        }
        for fault in &sweep.faults {
            complain!("error: {fault}");
        }
        for (count, what) in [
            (sweep.views, "views that backups held on to"),
            (sweep.staged, "files that restores had staged"),
        ] {
            if count > 0 {
                let removed = if apply { " removed" } else { "" };
                line(&format!("beside the data: {count} {what}{removed}"));
            }
        }
        let left = sweep.views + sweep.staged > 0
            || (swept.iter())
                .any(|(_, swept)| !swept.unfinished.is_empty() || swept.temporaries > 0);
        let faults = !sweep.faults.is_empty() || (swept.iter()).any(|(_, s)| !s.faults.is_empty());
        match (left, apply) {
            (false, _) if !faults => line("nothing is left of interrupted operations"),
            (true, false) => line("nothing was removed; --apply does it"),
            _ => {}
        }
    }
    let done = sweep.faults.is_empty() && swept.iter().all(|(_, swept)| swept.faults.is_empty());
    Ok(if done { DONE } else { FAILED })
}
