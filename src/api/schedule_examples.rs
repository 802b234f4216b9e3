//! Examples of the answers about schedules.

use poem_openapi::types::ToJSON;
use serde_json::Value;

use super::error::{ErrorBody, error_body};
use super::types::{
    PreviewedBackup, Schedule, ScheduleFailure, SchedulePreview, ScheduleRun, ScheduleSuccess,
    ScheduleSwitched, SchedulesBody,
};

const ID: &str = "backup-20260211-143022-a1b2c3d4";
const OPERATION_ID: &str = "20260211-143022-5f0c1d2e";
const STARTED: &str = "2026-02-11T14:30:22.104Z";

pub(super) fn answer(operation: &str, status: &str) -> Option<Value> {
    if !operation.ends_with("_schedule") && operation != "list_schedules" {
        return None;
    }
    match (operation, status) {
        ("list_schedules", "200") => SchedulesBody {
            schedules: vec![schedule()],
            count: 1,
            error: None,
        }
        .to_json(),
        ("get_schedule", "200") => schedule().to_json(),
        ("preview_schedule", "200") => SchedulePreview {
            name: "nightly".to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            next_runs: vec!["2026-02-12T02:00:00Z".to_owned()],
            kept_at: "2026-03-13T14:30:22Z".to_owned(),
            kept: Some(vec![PreviewedBackup {
                made_at: "2026-03-13T02:00:00Z".to_owned(),
                backup_id: None,
                reasons: vec!["daily snapshot".to_owned()],
            }]),
            warnings: Vec::new(),
        }
        .to_json(),
        ("pause_schedule", "200") => ScheduleSwitched::new("nightly", true).to_json(),
        ("resume_schedule", "200") => ScheduleSwitched::new("nightly", false).to_json(),
        (_, "404") => ErrorBody {
            detail: Some("did you mean \"nightly\"? known: nightly".to_owned()),
            ..error_body("Schedule not found")
        }
        .to_json(),
        (_, "400") => ErrorBody {
            detail: Some("known: p".to_owned()),
            ..error_body("Unknown query parameter \"verbose\"")
        }
        .to_json(),
        _ => None,
    }
}

fn schedule() -> Schedule {
    Schedule {
        name: "nightly".to_owned(),
        cron: "0 3 * * *".to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        backup_type: Some("incremental".to_owned()),
        target: "local".to_owned(),
        databases: Vec::new(),
        copy_to: vec!["offsite".to_owned()],
        verify: Some("sample:5%".to_owned()),
        rehearse: None,
        jitter: None,
        run_missed: true,
        labels: Vec::new(),
        paused: false,
        paused_by: None,
        overdue: false,
        running: None,
        last_success: Some(ScheduleSuccess {
            started_at: STARTED.to_owned(),
            completed_at: Some("2026-02-11T14:30:32.870Z".to_owned()),
            backup_id: ID.to_owned(),
            operation_id: OPERATION_ID.to_owned(),
        }),
        last_failure: Some(ScheduleFailure {
            started_at: "2026-02-10T02:00:00.051Z".to_owned(),
            operation: "copy".to_owned(),
            operation_id: Some("20260210-020000-77a1c3e9".to_owned()),
            error: "target `offsite`: connection refused (cannot lock `.arc-backup/lock`)"
                .to_owned(),
        }),
        last_run: Some(ScheduleRun {
            scheduled_at: "2026-02-11T14:30:00Z".to_owned(),
            started_at: STARTED.to_owned(),
            operation_id: Some(OPERATION_ID.to_owned()),
        }),
        next_runs: vec!["2026-02-12T02:00:00Z".to_owned()],
        waiting: None,
        missed: None,
        pending_copies: Vec::new(),
    }
}
