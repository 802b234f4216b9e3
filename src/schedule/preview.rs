//! What a schedule will do: its next runs, and what would be kept of its target in 30 days.

use jiff::{SignedDuration, Timestamp};

use crate::Result;
use crate::config::ScheduleSettings;
use crate::operations::ArcBackup;

/// How many next runs are shown.
const NEXT_RUNS: usize = 10;
/// How far ahead retention is simulated.
const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 30);
/// How many future runs are simulated at most.
const SIMULATED: usize = 50_000;

/// What a schedule will do.
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulePreview {
    /// Its name.
    pub name: String,
    /// Its time zone.
    pub timezone: String,
    /// Its next runs.
    pub next_runs: Vec<Timestamp>,
    /// When retention was looked at: in 30 days.
    pub at: Timestamp,
    /// The backups that there would be then, newest first; `None` where the target can't be listed
    /// or no rule is set.
    pub kept: Option<Vec<PreviewedBackup>>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// A backup that there would be.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewedBackup {
    /// When it was made, or will be.
    pub moment: Timestamp,
    /// Its id; `None` where it is still to be made.
    pub backup_id: Option<String>,
    /// Why it is kept.
    pub reasons: Vec<String>,
}

/// Previews a schedule.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for an unknown target.
pub async fn preview(
    engine: &ArcBackup,
    schedule: &ScheduleSettings,
    now: Timestamp,
) -> Result<SchedulePreview> {
    let timing = &schedule.timing;
    let at = now + AHEAD;
    let mut preview = SchedulePreview {
        name: timing.name.clone(),
        timezone: timing.timezone.clone(),
        next_runs: timing.next_runs(now, NEXT_RUNS),
        at,
        kept: None,
        warnings: Vec::new(),
    };
    let Some(rules) = rules(schedule) else {
        preview
            .warnings
            .push("no retention rule is set: every backup is kept".to_owned());
        return Ok(preview);
    };
    let answer = engine.list(Some(&schedule.target), false).await?;
    for error in answer.errors {
        preview.warnings.push(format!(
            "target {} can't be listed: {}",
            error.target, error.detail
        ));
    }
    let made = answer
        .backups
        .into_iter()
        .filter_map(|backup| Some((backup.created_at.parse().ok()?, Some(backup.backup_id))));
    let future = timing.next_runs(now, SIMULATED).into_iter();
    let future = future.take_while(|run| *run <= at).map(|run| (run, None));
    let all: Vec<(Timestamp, Option<String>)> = made.chain(future).collect();
    preview.kept = Some(kept(all, &rules, schedule, at));
    Ok(preview)
}

/// The rules that apply to the backups of the schedule.
fn rules(schedule: &ScheduleSettings) -> Option<toml::Table> {
    // PLUG: the rules of the schedule, else those of its target.
    schedule.retention.clone()
}

/// The backups that the rules keep.
fn kept(
    mut all: Vec<(Timestamp, Option<String>)>,
    _rules: &toml::Table,
    _schedule: &ScheduleSettings,
    _at: Timestamp,
) -> Vec<PreviewedBackup> {
    // PLUG: `retention::evaluate` over candidates made of `all`.
    all.sort_by_key(|(moment, _)| std::cmp::Reverse(*moment));
    let backups = all.into_iter().map(|(moment, backup_id)| PreviewedBackup {
        moment,
        backup_id,
        reasons: Vec::new(),
    });
    backups.collect()
}
