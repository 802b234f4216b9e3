//! Schedules: what is known of them, and what they will do.

use poem_openapi::Object;

use crate::schedule;
use crate::times;

/// The schedules of this service.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct SchedulesBody {
    /// The schedules, in the order of the configuration.
    pub(in crate::api) schedules: Vec<Schedule>,
    /// How many.
    pub(in crate::api) count: u64,
    /// Why the changed configuration is not in force: the schedules are those before the change.
    pub(in crate::api) error: Option<String>,
}

impl SchedulesBody {
    /// The answer, with why the changed configuration is not in force.
    pub(crate) fn new(reports: Vec<schedule::ScheduleReport>, error: Option<String>) -> Self {
        Self {
            count: reports.len() as u64,
            schedules: reports.into_iter().map(Into::into).collect(),
            error,
        }
    }
}

/// A schedule, and what is known of it.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct Schedule {
    /// Its name.
    pub(in crate::api) name: String,
    /// When it runs, as a cron expression.
    pub(in crate::api) cron: String,
    /// The time zone that this counts in.
    pub(in crate::api) timezone: String,
    /// The type of its backups; absent: as `arc_backup.mode` says.
    #[oai(rename = "type")]
    pub(in crate::api) backup_type: Option<String>,
    /// The target of its backups.
    pub(in crate::api) target: String,
    /// The databases that its backups are limited to; absent: all.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) databases: Vec<String>,
    /// The targets that each backup is copied to.
    pub(in crate::api) copy_to: Vec<String>,
    /// How each backup is verified: `quick`, `full`, `sample:5%`; absent: not at all.
    pub(in crate::api) verify: Option<String>,
    /// How much of each backup is rehearsed: `full`, `10%`; absent: nothing.
    pub(in crate::api) rehearse: Option<String>,
    /// How long after its time a run begins at most; absent: at once.
    pub(in crate::api) jitter: Option<String>,
    /// Whether a run that was missed is made up.
    pub(in crate::api) run_missed: bool,
    /// The labels of its backups.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) labels: Vec<String>,
    /// Whether it is paused.
    pub(in crate::api) paused: bool,
    /// Who paused or resumed it last; absent where that is as the configuration says.
    pub(in crate::api) paused_by: Option<String>,
    /// Whether a run of it should have succeeded by now, and has not.
    pub(in crate::api) overdue: bool,
    /// Its operation that runs; absent where none does.
    pub(in crate::api) running: Option<String>,
    /// Its last backup that succeeded.
    pub(in crate::api) last_success: Option<ScheduleSuccess>,
    /// Its last operation that failed.
    pub(in crate::api) last_failure: Option<ScheduleFailure>,
    /// The run that began last.
    pub(in crate::api) last_run: Option<ScheduleRun>,
    /// The next times, RFC 3339, UTC; empty while it is paused.
    pub(in crate::api) next_runs: Vec<String>,
    /// The run that waits for others.
    pub(in crate::api) waiting: Option<ScheduleWaiting>,
    /// Runs that did not run themselves: missed, or made up by one later run.
    pub(in crate::api) missed: Option<ScheduleMissed>,
    /// Copies that are still to be made: not tried yet, or failed and tried again.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) pending_copies: Vec<PendingCopy>,
}

/// A backup of a schedule that succeeded.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct ScheduleSuccess {
    /// When it began.
    pub(in crate::api) started_at: String,
    /// When it ended.
    pub(in crate::api) completed_at: Option<String>,
    /// The backup.
    pub(in crate::api) backup_id: String,
    /// The operation.
    pub(in crate::api) operation_id: String,
}

/// An operation of a schedule that failed.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct ScheduleFailure {
    /// When it began.
    pub(in crate::api) started_at: String,
    /// Its kind.
    pub(in crate::api) operation: String,
    /// The operation; absent where it did not come so far, as with an unknown database.
    pub(in crate::api) operation_id: Option<String>,
    /// Why it failed.
    pub(in crate::api) error: String,
}

/// A run of a schedule that began.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct ScheduleRun {
    /// When it was scheduled.
    pub(in crate::api) scheduled_at: String,
    /// When it began.
    pub(in crate::api) started_at: String,
    /// The operation of its backup; absent where that could not begin.
    pub(in crate::api) operation_id: Option<String>,
}

/// A run of a schedule that waits.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct ScheduleWaiting {
    /// When it was scheduled.
    pub(in crate::api) scheduled_at: String,
    /// Since when it waits.
    pub(in crate::api) since_at: String,
    /// What it waits for.
    pub(in crate::api) reason: Option<String>,
}

/// Runs of a schedule that did not run themselves: missed, or made up by one later run.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct ScheduleMissed {
    /// How many.
    pub(in crate::api) count: u64,
    /// When the last of them was scheduled.
    pub(in crate::api) last_scheduled_at: Option<String>,
    /// Why it was missed.
    pub(in crate::api) reason: Option<String>,
}

/// A copy that is still to be made.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct PendingCopy {
    /// The backup.
    pub(in crate::api) backup_id: String,
    /// The target that it goes to.
    pub(in crate::api) to_target: String,
    /// How often it was tried.
    pub(in crate::api) attempts: u32,
    /// When it is tried next.
    pub(in crate::api) retry_at: String,
    /// Why the last attempt failed.
    pub(in crate::api) error: Option<String>,
}

impl From<schedule::ScheduleReport> for Schedule {
    fn from(report: schedule::ScheduleReport) -> Self {
        let (settings, timing) = (report.settings.clone(), report.settings.timing);
        Self {
            name: timing.name.clone(),
            cron: timing.cron.to_string(),
            timezone: timing.timezone.clone(),
            backup_type: settings.backup_type.map(|kind| kind.as_str().to_owned()),
            target: settings.target,
            databases: settings.databases,
            copy_to: settings.copy_to,
            verify: settings.verify.map(|how| how.to_string()),
            rehearse: settings.rehearse.map(|how| how.to_string()),
            jitter: (!timing.jitter.is_zero()).then(|| times::setting(timing.jitter)),
            run_missed: timing.run_missed,
            labels: settings.labels,
            paused: report.paused,
            paused_by: report.paused_by,
            overdue: report.overdue,
            running: report.running,
            last_success: report.last_success.map(|one| ScheduleSuccess {
                started_at: one.started_at,
                completed_at: one.completed_at,
                backup_id: one.backup_id,
                operation_id: one.operation_id,
            }),
            last_failure: report.last_failure.map(|one| ScheduleFailure {
                started_at: one.started_at,
                operation: one.operation,
                operation_id: one.operation_id,
                error: one.error,
            }),
            last_run: report.last_run.map(|run| ScheduleRun {
                scheduled_at: run.scheduled_at.to_string(),
                started_at: run.started_at.to_string(),
                operation_id: run.operation_id,
            }),
            next_runs: report.next_runs.iter().map(ToString::to_string).collect(),
            waiting: report.waiting.map(|one| ScheduleWaiting {
                scheduled_at: one.scheduled_at.to_string(),
                since_at: one.since.to_string(),
                reason: one.reason,
            }),
            missed: report.missed.map(|one| ScheduleMissed {
                count: one.count,
                last_scheduled_at: one.last_scheduled_at.map(|at| at.to_string()),
                reason: one.reason,
            }),
            pending_copies: (report.pending_copies.into_iter())
                .map(|copy| PendingCopy {
                    backup_id: copy.backup_id,
                    to_target: copy.to_target,
                    attempts: copy.attempts,
                    retry_at: copy.retry_at.to_string(),
                    error: copy.error,
                })
                .collect(),
        }
    }
}

/// What a schedule will do.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct SchedulePreview {
    /// Its name.
    pub(in crate::api) name: String,
    /// The time zone that it counts in.
    pub(in crate::api) timezone: String,
    /// The next ten times, RFC 3339, UTC.
    pub(in crate::api) next_runs: Vec<String>,
    /// The moment at which `kept` is: in 30 days.
    pub(in crate::api) kept_at: String,
    /// The backups that there would be then if every run succeeds, newest first; absent where no
    /// rule is set: then every backup is kept.
    pub(in crate::api) kept: Option<Vec<PreviewedBackup>>,
    /// What the caller should know.
    pub(in crate::api) warnings: Vec<String>,
}

/// A backup that there would be.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct PreviewedBackup {
    /// When it was made, or will be.
    pub(in crate::api) made_at: String,
    /// Its id; absent where it is still to be made.
    pub(in crate::api) backup_id: Option<String>,
    /// Why it is kept.
    pub(in crate::api) reasons: Vec<String>,
}

impl From<schedule::SchedulePreview> for SchedulePreview {
    fn from(preview: schedule::SchedulePreview) -> Self {
        let kept = |one: schedule::PreviewedBackup| PreviewedBackup {
            made_at: one.moment.to_string(),
            backup_id: one.backup_id,
            reasons: one.reasons,
        };
        Self {
            name: preview.name,
            timezone: preview.timezone,
            next_runs: preview.next_runs.iter().map(ToString::to_string).collect(),
            kept_at: preview.at.to_string(),
            kept: (preview.kept).map(|all| all.into_iter().map(kept).collect()),
            warnings: preview.warnings,
        }
    }
}

/// A schedule was paused or resumed.
#[derive(Debug, Object)]
pub(crate) struct ScheduleSwitched {
    /// What was done.
    pub(in crate::api) message: String,
    /// The schedule.
    pub(in crate::api) name: String,
    /// Whether it is paused now.
    pub(in crate::api) paused: bool,
}

impl ScheduleSwitched {
    pub(crate) fn new(name: &str, paused: bool) -> Self {
        let what = if paused { "paused" } else { "resumed" };
        Self {
            message: format!("Schedule {what}"),
            name: name.to_owned(),
            paused,
        }
    }
}
