//! The schedules in one line, for monitoring.

use jiff::Timestamp;

use super::report::{ScheduleReport, reports};
use crate::config::ScheduleSettings;
use crate::operations::ArcBackup;

/// The schedules in one line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleHealth {
    /// Why they are not in force.
    pub fault: Option<String>,
    /// All of them.
    pub schedules: Vec<String>,
    /// Those that are paused.
    pub paused: Vec<String>,
    /// Those that should have made a backup by now, each with the reason as far as it is known.
    pub overdue: Vec<String>,
}

/// Looks at these schedules, or at why there are none.
pub async fn health(
    engine: &ArcBackup,
    schedules: crate::Result<impl AsRef<[ScheduleSettings]>>,
) -> ScheduleHealth {
    let reports = match schedules {
        Ok(schedules) => reports(engine, schedules.as_ref(), Timestamp::now()).await,
        Err(error) => Err(error),
    };
    match reports {
        Ok(reports) => ScheduleHealth {
            fault: None,
            schedules: reports.iter().map(name).collect(),
            paused: reports.iter().filter(|one| one.paused).map(name).collect(),
            overdue: reports.iter().filter(|one| one.overdue).map(why).collect(),
        },
        Err(error) => ScheduleHealth {
            fault: Some(error.to_string()),
            ..ScheduleHealth::default()
        },
    }
}

fn name(report: &ScheduleReport) -> String {
    report.settings.timing.name.clone()
}

fn why(report: &ScheduleReport) -> String {
    let name = name(report);
    let waits = report.waiting.as_ref().and_then(|one| one.reason.clone());
    let failed = report.failure_since_success();
    let unserved = (!report.is_served)
        .then(|| "no service has taken it up: start `arc-backup serve`".to_owned());
    let failed = failed.map(|one| one.error.clone());
    match waits.or(failed).or(unserved) {
        Some(reason) => format!("{name} ({reason})"),
        None => name,
    }
}

impl ScheduleHealth {
    /// Whether there is nothing to say: no schedule, and no fault.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fault.is_none() && self.schedules.is_empty()
    }

    /// What is wrong, for people.
    #[must_use]
    pub fn wrong(&self) -> Option<String> {
        match (&self.fault, &self.overdue[..]) {
            (Some(fault), _) => Some(format!("the schedules are not valid: {fault}")),
            (None, []) => None,
            (None, overdue) => Some(format!("overdue schedules: {}", overdue.join(", "))),
        }
    }
}

impl std::fmt::Display for ScheduleHealth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.fault.is_some() {
            return f.write_str("invalid");
        }
        let (paused, overdue) = (self.paused.len(), self.overdue.len());
        write!(
            f,
            "{}, {paused} paused, {overdue} overdue",
            self.schedules.len()
        )
    }
}
