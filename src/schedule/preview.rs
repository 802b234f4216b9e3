//! What a schedule will do: its next runs, and what would be kept of its target in 30 days.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::work::has_rules;
use crate::Result;
use crate::config::ScheduleSettings;
use crate::manifest::BackupId;
use crate::operations::ArcBackup;
use crate::retention::{Candidate, evaluate_all};

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

/// Previews a schedule. `all` are all schedules: those of the same target are simulated too.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for an unknown target.
pub async fn preview(
    engine: &ArcBackup,
    schedule: &ScheduleSettings,
    all: &[ScheduleSettings],
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
    let policies = engine.retention()?.policies(&schedule.target);
    if !has_rules(&policies) {
        let text = "no retention rule is set: every backup is kept";
        preview.warnings.push(text.to_owned());
        return Ok(preview);
    }
    let mut candidates = match engine.retention_candidates(&schedule.target, now).await {
        Ok(made) => made,
        Err(error) => {
            let text = format!("target {} can't be listed: {error}", schedule.target);
            preview.warnings.push(text);
            Vec::new()
        }
    };
    let own = engine.instance();
    let here = all.iter().filter(|one| one.target == schedule.target);
    candidates.extend(here.flat_map(|one| future(one, own.as_ref(), now, at)));
    let times: BTreeMap<_, _> = candidates
        .iter()
        .map(|one| (one.id.clone(), one.time))
        .collect();
    let decisions = evaluate_all(&candidates, &policies, at).into_iter();
    let kept = decisions
        .filter(|decision| decision.keep)
        .filter_map(|decision| {
            Some(PreviewedBackup {
                moment: *times.get(&decision.id)?,
                backup_id: BackupId::parse(&decision.id).ok().map(|id| id.to_string()),
                reasons: decision.reasons,
            })
        });
    preview.kept = Some(kept.collect());
    Ok(preview)
}

/// The backups of a schedule until `at`, if each run succeeds.
fn future(
    schedule: &ScheduleSettings,
    own: Option<&String>,
    now: Timestamp,
    at: Timestamp,
) -> Vec<Candidate> {
    let name = &schedule.timing.name;
    let next = |run: &Timestamp| schedule.timing.next_after(*run);
    let runs = std::iter::successors(schedule.timing.next_after(now), next);
    let runs = runs.take(SIMULATED).take_while(|run| *run <= at);
    let candidates = runs.map(|run| Candidate {
        instance: own.cloned(),
        scope: schedule.databases.clone(),
        schedule: Some(name.clone()),
        ..Candidate::new(format!("{name} {run}"), run)
    });
    candidates.collect()
}
