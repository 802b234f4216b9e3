//! What is known of the schedules: their times, what ran last, and what is late.

use jiff::{SignedDuration, Timestamp};

use super::kept::{Kept, MissedRun, PendingCopy};
use super::work::last_operation;
use super::{store, switches};
use crate::Result;
use crate::config::ScheduleSettings;
use crate::operations::{ArcBackup, Operation, OperationKind, Status};

/// How many next runs are shown.
const NEXT_RUNS: usize = 3;
/// A run that has not succeeded this long after its time is overdue, unless it is running.
const OVERDUE_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// What is known of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleReport {
    /// The schedule.
    pub settings: ScheduleSettings,
    /// Whether it is paused.
    pub paused: bool,
    /// Who paused or resumed it, where that is not what the file says.
    pub paused_by: Option<String>,
    /// Whether a run of it should have succeeded by now, and has not.
    pub overdue: bool,
    /// Whether a service has taken it up.
    pub is_served: bool,
    /// The id of its operation that runs.
    pub running: Option<String>,
    /// Its last backup that succeeded.
    pub last_success: Option<LastSuccess>,
    /// Its last operation that did not succeed.
    pub last_failure: Option<LastFailure>,
    /// The run that began last.
    pub last_run: Option<LastScheduledRun>,
    /// The next scheduled times; none while it is paused.
    pub next_runs: Vec<Timestamp>,
    /// The run that waits for others.
    pub waiting: Option<WaitingReport>,
    /// Runs that did not run themselves: missed, or made up by one later run.
    pub missed: Option<MissedReport>,
    /// Copies that are still to be made.
    pub pending_copies: Vec<PendingCopyReport>,
}

impl ScheduleReport {
    /// What failed after the last success began.
    #[must_use]
    pub fn failure_since_success(&self) -> Option<&LastFailure> {
        let at = |text: &str| text.parse::<Timestamp>().ok();
        let success = self.last_success.as_ref().map(|one| at(&one.started_at));
        (self.last_failure.as_ref())
            .filter(|failure| success.is_none_or(|success| success < at(&failure.started_at)))
    }
}

/// A backup that succeeded.
#[derive(Debug, Clone, PartialEq)]
pub struct LastSuccess {
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub completed_at: Option<String>,
    /// The backup.
    pub backup_id: String,
    /// The operation.
    pub operation_id: String,
}

/// An operation that did not succeed.
#[derive(Debug, Clone, PartialEq)]
pub struct LastFailure {
    /// When it began.
    pub started_at: String,
    /// Its kind: `backup`, `copy`, …
    pub operation: String,
    /// The operation; `None` where it did not come so far.
    pub operation_id: Option<String>,
    /// Why.
    pub error: String,
}

/// A run that began.
#[derive(Debug, Clone, PartialEq)]
pub struct LastScheduledRun {
    /// When it was scheduled.
    pub scheduled_at: Timestamp,
    /// When it began.
    pub started_at: Timestamp,
    /// The operation of its backup; `None` where that could not begin.
    pub operation_id: Option<String>,
}

/// A run that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingReport {
    /// When it was scheduled.
    pub scheduled_at: Timestamp,
    /// Since when it waits.
    pub since: Timestamp,
    /// What for.
    pub reason: Option<String>,
}

/// Runs that were missed.
#[derive(Debug, Clone, PartialEq)]
pub struct MissedReport {
    /// How many there were, since the schedule was first seen.
    pub count: u64,
    /// When the last of them was scheduled.
    pub last_scheduled_at: Option<Timestamp>,
    /// Why it was missed.
    pub reason: Option<String>,
}

/// A copy that is still to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingCopyReport {
    /// The backup.
    pub backup_id: String,
    /// The target that it goes to.
    pub to_target: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub retry_at: Timestamp,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// Reports these schedules, as the history and the state folder know them.
///
/// # Errors
/// When the history cannot be read.
pub async fn reports(
    engine: &ArcBackup,
    schedules: &[ScheduleSettings],
    now: Timestamp,
) -> Result<Vec<ScheduleReport>> {
    let state = engine.settings().backup.state_folder().to_owned();
    let file = engine.settings().config_path.clone();
    let looking = move || {
        let modified = std::fs::metadata(file).and_then(|meta| meta.modified());
        let modified = modified
            .ok()
            .and_then(|time| Timestamp::try_from(time).ok());
        (store::look(&state), switches::read(&state), modified)
    };
    let (kept, switches, modified) = tokio::task::spawn_blocking(looking).await?;
    let mut reports = Vec::new();
    for schedule in schedules {
        let name = &schedule.timing.name;
        let kept = (kept.as_ref()).and_then(|kept| kept.schedules.get(name));
        let mut report = report(engine, schedule, kept, switches.get(name), now).await?;
        if kept.is_none() && !report.paused {
            // No service has seen it: its first run counts from the last change of the file.
            let is_due = |since| is_overdue(schedule, since, None, None, now);
            report.overdue = modified.is_some_and(is_due);
            report.is_served = false;
        }
        reports.push(report);
    }
    Ok(reports)
}

async fn report(
    engine: &ArcBackup,
    schedule: &ScheduleSettings,
    kept: Option<&Kept>,
    switch: Option<&switches::Switch>,
    now: Timestamp,
) -> Result<ScheduleReport> {
    const KINDS: [OperationKind; 4] = [
        OperationKind::Backup,
        OperationKind::Copy,
        OperationKind::Verify,
        OperationKind::Prune,
    ];
    let timing = &schedule.timing;
    let of = async |kinds: &[OperationKind], statuses: &[Status]| {
        last_operation(engine, &timing.name, kinds, statuses).await
    };
    let success = of(&KINDS[..1], &[Status::Completed]).await?;
    let failure = of(&KINDS, &[Status::Failed, Status::Cancelled]).await?;
    let running = of(&KINDS, &[Status::Running]).await?;
    let paused = switch.map_or(timing.paused, |switch| switch.paused);
    let backup_runs = (running.as_ref()).is_some_and(|one| one.operation == OperationKind::Backup);
    let is_overdue = !paused
        && !backup_runs
        && kept.is_some_and(|kept| {
            let began = success.as_ref().map(|one| one.started_at.as_str());
            let missed = kept.missed.last.as_ref();
            is_overdue(schedule, kept.since, missed, began, now)
        });
    let failed = |one: Operation| LastFailure {
        started_at: one.started_at,
        operation: one.operation.to_string(),
        operation_id: Some(one.operation_id),
        error: one.error.unwrap_or_else(|| one.status.to_string()),
    };
    Ok(ScheduleReport {
        settings: schedule.clone(),
        paused,
        paused_by: switch
            .map(|switch| switch.by.clone())
            .filter(|by| !by.is_empty()),
        overdue: is_overdue,
        is_served: true,
        running: running.map(|one| one.operation_id),
        last_success: success.map(|one| LastSuccess {
            started_at: one.started_at,
            completed_at: one.completed_at,
            backup_id: one.backup_id,
            operation_id: one.operation_id,
        }),
        last_failure: later(failure.map(failed), kept.and_then(not_begun)),
        last_run: kept
            .and_then(|kept| kept.last_run.clone())
            .map(|run| LastScheduledRun {
                scheduled_at: run.scheduled_at,
                started_at: run.started_at,
                operation_id: Some(run.operation_id).filter(|id| !id.is_empty()),
            }),
        next_runs: match paused {
            true => Vec::new(),
            false => timing.next_runs(now, NEXT_RUNS),
        },
        waiting: kept
            .and_then(|kept| kept.waiting.clone())
            .map(|one| WaitingReport {
                scheduled_at: one.scheduled_at,
                since: one.since,
                reason: one.reason,
            }),
        missed: kept
            .filter(|kept| kept.missed.count > 0)
            .map(|kept| MissedReport {
                count: kept.missed.count,
                last_scheduled_at: kept.missed.last.as_ref().map(|last| last.scheduled_at),
                reason: kept.missed.last.as_ref().map(|last| last.reason.clone()),
            }),
        pending_copies: kept
            .map_or_else(Vec::new, |kept| kept.copies.iter().map(pending).collect()),
    })
}

/// The last run, where it failed before its operation began.
fn not_begun(kept: &Kept) -> Option<LastFailure> {
    let run = kept.last_run.as_ref()?;
    Some(LastFailure {
        started_at: run.started_at.to_string(),
        operation: OperationKind::Backup.to_string(),
        operation_id: None,
        error: run.error.clone()?,
    })
}

fn later(one: Option<LastFailure>, other: Option<LastFailure>) -> Option<LastFailure> {
    let at = |failure: &LastFailure| failure.started_at.parse::<Timestamp>().ok();
    one.into_iter().chain(other).max_by_key(at)
}

fn pending(copy: &PendingCopy) -> PendingCopyReport {
    PendingCopyReport {
        backup_id: copy.backup_id.clone(),
        to_target: copy.to.clone(),
        attempts: copy.attempts,
        retry_at: copy.retry_at,
        error: copy.error.clone(),
    }
}

/// Whether the last run that should have succeeded by now has not. `began` is the begin of the last
/// success, `missed` the last run that was missed. Counted from `since`, when the service first saw
/// the schedule.
fn is_overdue(
    schedule: &ScheduleSettings,
    since: Timestamp,
    missed: Option<&MissedRun>,
    began: Option<&str>,
    now: Timestamp,
) -> bool {
    let due = now.checked_sub(OVERDUE_AFTER);
    let due = due
        .ok()
        .and_then(|due| schedule.timing.latest_begun(since, due));
    let began: Option<Timestamp> = began.and_then(|began| began.parse().ok());
    // What was decided while it was paused is no run.
    let is_decided = |due: Timestamp| {
        missed.is_some_and(|last| last.scheduled_at >= due && last.reason == super::machine::PAUSED)
    };
    due.is_some_and(|due| began.is_none_or(|began| began < due) && !is_decided(due))
}
