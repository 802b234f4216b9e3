//! The commands that do one thing and end.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use poem_openapi::types::ToJSON;
use serde_json::json;

use super::arguments::{Command, RestoreArguments, mode};
use super::output::{complain, follow, line, tell};
use super::signals::Signals;
use super::{DONE, FAILED};
use crate::manifest::BackupId;
use crate::operations::{ArcBackup, Operation, Request, RestoreOptions, Who};
use crate::repository::LastVerified;
use crate::{Error, Result};

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
        } => {
            let settings = &engine.settings().backup;
            let request = Request::Backup {
                metadata: settings.include_metadata && !no_metadata,
                config: settings.include_config && !no_config,
                target,
                id: None,
            };
            let code = operate(engine, request, json, true, signals).await?;
            Ok(code)
        }
        Command::List { target, all } => {
            let listed = list(engine, target.as_deref(), all, json);
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
        Command::Restore(arguments) => restore(engine, arguments, json, signals).await,
        Command::Verify {
            id,
            quick,
            sample,
            target,
        } => {
            let request = Request::Verify(BackupId::parse(&id)?, mode(quick, sample), target);
            operate(engine, request, json, false, signals).await
        }
        Command::Delete { id, target, yes } => {
            let id = BackupId::parse(&id)?;
            confirm(yes, format!("Delete backup {id}?"), signals).await?;
            let request = Request::Delete(id, target);
            operate(engine, request, json, false, signals).await
        }
        Command::Status => {
            let status = or_interrupted(signals, engine.status()).await?;
            match (json, status) {
                (true, Some(operation)) => line(&operation.to_json_string()),
                (true, None) => line(&crate::api::idle_answer(engine).await.to_json_string()),
                (false, None) => line("idle"),
                (false, Some(operation)) => line(&row(&operation)),
            }
            if let Some(marker) = engine.restore_in_progress().await {
                complain!("{}: {}", marker.words(), marker.remedy());
            }
            Ok(DONE)
        }
        Command::History { limit } => {
            let operations = or_interrupted(signals, engine.operations(0, limit)).await?;
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
        Command::Sweep { apply } => or_interrupted(signals, sweep(engine, apply, json)).await,
        Command::Doctor => or_interrupted(signals, doctor(engine, json)).await,
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
    signals: &Signals,
) -> Result<u8> {
    let who = Who {
        actor: std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned()),
        origin: "cli",
        fingerprint: None,
        token: None,
    };
    let running = or_interrupted(signals, engine.start(request, who)).await?;
    let ended = tokio::select! {
        ended = follow(&running) => ended,
        reason = signals.asked_to_end() => {
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

/// What `work` gives, unless the process is asked to end before: it is dropped then.
async fn or_interrupted<T>(signals: &Signals, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        done = work => done,
        reason = signals.asked_to_end() => Err(Error::Cancelled(reason.to_owned())),
    }
}

async fn confirm(yes: bool, question: String, signals: &Signals) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::Invalid(
            "without a terminal to ask on, this needs --yes".to_owned(),
        ));
    }
    // On a thread of its own: a signal ends the waiting.
    let asked = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        write!(std::io::stderr(), "{question} [y/N] ")
            .and_then(|()| std::io::stderr().flush())
            .and_then(|()| std::io::stdin().read_line(&mut answer))
            .map(|_| answer)
    });
    let asked = async { Ok(asked.await) };
    match or_interrupted(signals, asked).await? {
        Ok(Ok(answer)) if ["y", "Y", "yes"].contains(&answer.trim()) => Ok(()),
        _ => Err(Error::Invalid(
            "not confirmed: nothing was changed".to_owned(),
        )),
    }
}

async fn restore(
    engine: &Arc<ArcBackup>,
    arguments: RestoreArguments,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
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
    let found = engine.find_to_restore(&id, arguments.target.as_deref(), options.allow_incomplete);
    or_interrupted(signals, found).await?;
    let question = format!("Restore {id} over the live data?");
    confirm(arguments.yes, question, signals).await?;
    operate(
        engine,
        Request::Restore(id, options, arguments.target),
        json,
        false,
        signals,
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
    for backup in &answer.unreadable {
        let state = backup.state.as_str();
        complain!(
            "{state}: {} in {}: {}",
            backup.backup_id,
            backup.target,
            backup.detail
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
                let removed = apply && !swept.left.contains(id);
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
