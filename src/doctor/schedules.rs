//! Whether the schedules are valid, and do what they should.

use super::check::Check;
use crate::operations::ArcBackup;
use crate::schedule::{configured, health};

const SUBJECT: &str = "schedules";
const SETTING: &str = "arc_backup.schedule";

/// The check; absent where no schedule is configured.
pub(super) async fn check(engine: &ArcBackup) -> Option<Check> {
    let health = health(engine, configured(engine.settings())).await;
    if health.is_empty() {
        return None;
    }
    let text = match health.wrong() {
        Some(wrong) => wrong,
        None => health.to_string(),
    };
    Some(match &health {
        one if one.fault.is_some() => {
            let remedy = "correct the schedule that is named: until then `serve` does not start";
            Check::bad(SUBJECT, "valid", text).look_at(SETTING, remedy)
        }
        one if !one.overdue.is_empty() => {
            let remedy =
                "see `arc-backup schedules` for what failed last, and whether `serve` runs";
            Check::bad(SUBJECT, "overdue", text).look_at(SETTING, remedy)
        }
        one if !one.paused.is_empty() => {
            let text = format!("{text}; paused: {}", one.paused.join(", "));
            let remedy = "resume them with `arc-backup schedules resume NAME`";
            Check::warn(SUBJECT, "paused", text).look_at(SETTING, remedy)
        }
        _ => Check::good(SUBJECT, "valid", text),
    })
}
