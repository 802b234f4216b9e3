//! `schedules`.

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use poem_openapi::types::ToJSON;

use super::actor::who;
use super::exit_code::{DONE, FAILED};
use super::json;
use super::operation::{Answer, run as run_operation};
use super::output::{print_line, print_note, print_stderr};
use super::schedule_arguments::{ScheduleArguments, ScheduleCommand};
use super::signals::Signals;
use super::summary;
use super::table::{Table, left};
use super::wait_arguments::WaitArguments;
use crate::Result;
use crate::api::types;
use crate::config::ScheduleSettings;
use crate::operations::{ArcBackup, Status};
use crate::schedule::{
    EngineWork, ScheduleReport, SystemClock, configured, find, follow_up, preview, reports,
    request_of, switch,
};
use crate::times;

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    arguments: ScheduleArguments,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    engine.check_place()?;
    let schedules = configured(engine.settings())?;
    match arguments.command {
        Some(ScheduleCommand::Run { name, busy }) => {
            let schedule = find(&schedules, &name)?;
            run_now(engine, schedule, busy, json, signals).await
        }
        Some(ScheduleCommand::Pause { name }) => {
            switched(engine, &schedules, &name, true, json).await
        }
        Some(ScheduleCommand::Resume { name }) => {
            switched(engine, &schedules, &name, false, json).await
        }
        None => {
            let chosen = match &arguments.name {
                Some(name) => vec![find(&schedules, name)?.clone()],
                None => schedules.clone(),
            };
            let is_one = arguments.name.is_some();
            let shown = async {
                match arguments.preview {
                    true => show_previews(engine, (&chosen, &schedules), is_one, json).await,
                    false => show(engine, &chosen, is_one, json).await,
                }
            };
            signals.or_interrupted(shown).await
        }
    }
}

/// Makes the backup and what follows it, in this process.
async fn run_now(
    engine: &Arc<ArcBackup>,
    schedule: &ScheduleSettings,
    busy: WaitArguments,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    let request = request_of(engine, schedule)?;
    let ended = run_operation(engine, request, busy, signals).await?;
    let mut code = if ended.error.is_none() { DONE } else { FAILED };
    let has_backup = ended.status == Status::Completed;
    match Answer::json_or_id(json) {
        Answer::Json => print_line(&json::operation(ended.clone())),
        Answer::Id | Answer::Nothing => {
            if has_backup {
                print_line(&ended.backup_id);
            }
            summary::print(&ended);
        }
    }
    if !has_backup {
        return Ok(code);
    }
    let work = EngineWork(engine.clone());
    let followed = follow_up(&work, &SystemClock, schedule, &ended);
    tokio::pin!(followed);
    let followed = tokio::select! {
        followed = &mut followed => followed,
        reason = signals.received() => {
            let ((), followed) = futures::join!(engine.close(reason), followed);
            followed
        }
    };
    for operation in followed {
        match operation {
            Ok(operation) => {
                if operation.error.is_some() {
                    code = FAILED;
                    if let Some(to) = &operation.to_target {
                        print_note!(
                            "the copy to {to} is not tried again: run `arc-backup copy {} --to {to}`",
                            operation.backup_id
                        );
                    }
                }
                if !json {
                    summary::print(&operation);
                }
            }
            Err(error) => {
                code = FAILED;
                print_stderr!("error: {error}");
            }
        }
    }
    Ok(code)
}

async fn switched(
    engine: &ArcBackup,
    schedules: &[ScheduleSettings],
    name: &str,
    paused: bool,
    json: bool,
) -> Result<u8> {
    find(schedules, name)?;
    switch(engine, name, paused, &who().actor).await?;
    let answer = types::ScheduleSwitched::new(name, paused);
    match json {
        true => print_line(&answer.to_json_string()),
        false if paused => print_line(&format!("{name} is paused")),
        false => print_line(&format!("{name} is resumed")),
    }
    Ok(DONE)
}

async fn show(
    engine: &ArcBackup,
    schedules: &[ScheduleSettings],
    is_one: bool,
    json: bool,
) -> Result<u8> {
    let now = Timestamp::now();
    let mut reports = reports(engine, schedules, now).await?;
    if json {
        let text = match (is_one, reports.len()) {
            (true, 1) => types::Schedule::from(reports.remove(0)).to_json_string(),
            _ => types::SchedulesBody::new(reports, None).to_json_string(),
        };
        print_line(&text);
        return Ok(DONE);
    }
    if reports.is_empty() {
        print_note!("no schedule is configured: see docs/schedules.md");
        return Ok(DONE);
    }
    let mut table = Table::new([
        left("SCHEDULE"),
        left("CRON"),
        left("TARGET").or_drop(1),
        left("LAST SUCCESS"),
        left("NEXT RUN"),
        left("STATE").or_shrink(),
    ]);
    for report in &reports {
        let timing = &report.settings.timing;
        let success = report.last_success.as_ref();
        let success = success.and_then(|one| one.started_at.parse::<Timestamp>().ok());
        let success = success.map_or_else(
            || "never".to_owned(),
            |at| {
                format!(
                    "{} ago",
                    times::short(times::age(at, now).unwrap_or_default())
                )
            },
        );
        let next = report.next_runs.first();
        let next = next.map_or_else(|| "-".to_owned(), |at| in_zone(*at, &timing.zone));
        table.row([
            timing.name.clone(),
            timing.cron.to_string(),
            report.settings.target.clone(),
            success,
            next,
            state(report),
        ]);
        for note in notes(report, is_one) {
            table.note(&note);
        }
    }
    table.print();
    Ok(DONE)
}

fn in_zone(at: Timestamp, zone: &TimeZone) -> String {
    ZonedDateTime::new(at, zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S %Z")
        .to_string()
}

fn state(report: &ScheduleReport) -> String {
    let state = match report {
        _ if report.running.is_some() => "running",
        _ if report.paused => "paused",
        _ if report.overdue => "overdue",
        _ if report.waiting.is_some() => "waiting",
        _ if report.failure_since_success().is_some() => "failed",
        _ if report
            .pending_copies
            .iter()
            .any(|copy| copy.error.is_some()) =>
        {
            "copy pending"
        }
        _ => "ok",
    };
    state.to_owned()
}

/// What a line says below a schedule.
fn notes(report: &ScheduleReport, is_one: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let (settings, timing) = (&report.settings, &report.settings.timing);
    let copies = (!settings.copy_to.is_empty()).then(|| settings.copy_to.join(", "));
    for (name, value) in [
        (
            "type",
            settings.backup_type.map(|kind| kind.as_str().to_owned()),
        ),
        ("copied to", copies),
        ("verified", settings.verify.map(|how| how.to_string())),
        ("rehearsed", settings.rehearse.map(|how| how.to_string())),
    ] {
        if let Some(value) = value.filter(|_| is_one) {
            notes.push(format!("{name}: {value}"));
        }
    }
    if let Some(failure) = &report.last_failure
        && (report.failure_since_success().is_some() || is_one)
    {
        let id = failure.operation_id.as_ref().map(|id| format!(" {id}"));
        notes.push(format!(
            "last failure: {}{}: {}",
            failure.operation,
            id.unwrap_or_default(),
            failure.error
        ));
    }
    if let Some(waiting) = &report.waiting {
        let reason = waiting
            .reason
            .as_deref()
            .unwrap_or("another run is at work");
        let at = in_zone(waiting.scheduled_at, &timing.zone);
        notes.push(format!("the run of {at} waits: {reason}"));
    }
    for copy in &report.pending_copies {
        let at = in_zone(copy.retry_at, &timing.zone);
        let (id, to) = (&copy.backup_id, &copy.to_target);
        notes.push(match &copy.error {
            Some(error) => format!("copy of {id} to {to}: {error}; tried again at {at}"),
            None => format!("copy of {id} to {to}: not tried yet"),
        });
    }
    if is_one && let Some(missed) = &report.missed {
        let reason = missed.reason.as_deref().unwrap_or_default();
        notes.push(format!(
            "{} runs were missed or became one: {reason}",
            missed.count
        ));
    }
    if is_one {
        let runs = report.next_runs.iter().map(|at| in_zone(*at, &timing.zone));
        notes.push(format!(
            "next runs: {}",
            runs.collect::<Vec<_>>().join(", ")
        ));
    }
    notes
}

async fn show_previews(
    engine: &ArcBackup,
    (schedules, all): (&[ScheduleSettings], &[ScheduleSettings]),
    is_one: bool,
    json: bool,
) -> Result<u8> {
    let now = Timestamp::now();
    let mut previews = Vec::new();
    for schedule in schedules {
        previews.push((schedule, preview(engine, schedule, all, now).await?));
    }
    if json {
        let mut answers = previews
            .into_iter()
            .map(|(_, one)| types::SchedulePreview::from(one));
        let text = match (is_one, answers.next()) {
            (true, Some(one)) => one.to_json_string(),
            (_, first) => {
                let all: Vec<_> = first.into_iter().chain(answers).collect();
                format!(
                    "{{\"count\":{},\"previews\":{}}}",
                    all.len(),
                    all.to_json_string()
                )
            }
        };
        print_line(&text);
        return Ok(DONE);
    }
    for (schedule, preview) in previews {
        let timing = &schedule.timing;
        print_line(&format!(
            "{} ({}, {})",
            timing.name, timing.cron, timing.timezone
        ));
        for at in &preview.next_runs {
            print_line(&format!("  {}", in_zone(*at, &timing.zone)));
        }
        if let Some(kept) = &preview.kept {
            let at = in_zone(preview.at, &timing.zone);
            print_line(&format!("  kept at {at}: {} backups", kept.len()));
            for backup in kept {
                let id = backup.backup_id.as_deref().unwrap_or("still to be made");
                let moment = in_zone(backup.moment, &timing.zone);
                print_line(&format!(
                    "    {moment}  {id}  {}",
                    backup.reasons.join(", ")
                ));
            }
        }
        for warning in &preview.warnings {
            print_note!("  {warning}");
        }
    }
    Ok(DONE)
}
