//! Examples of taking restores back, made of the same types as the answers are.

use poem_openapi::types::ToJSON;
use serde_json::{Value, json};

use super::error::{ErrorBody, error_body};
use super::types::{
    Accepted, RefusedFile, RemovedBody, SetAsideBody, SetAsideFiles, SetAsidePlace, UndoPlan,
};

const ID: &str = "backup-20260211-143022-a1b2c3d4";
const RESTORE: &str = "20260212-091502-0b7d93f4";
const OPERATION_ID: &str = "20260212-101130-5f0c1d2e";

pub(super) fn request(operation: &str) -> Option<Value> {
    match operation {
        "undo_restore" => Some(json!({"operation_id": RESTORE, "confirm": true})),
        _ => None,
    }
}

pub(super) fn answer(operation: &str, status: &str) -> Option<Value> {
    match (operation, status) {
        ("undo_restore", "200") => UndoPlan {
            dry_run: true,
            operation_id: RESTORE.to_owned(),
            backup_id: ID.to_owned(),
            returned_files: 12,
            returned_bytes: 19_083_264,
            removed_files: 3,
            unchanged_files: 0,
            returned: vec!["/srv/arc/data/arc.db".to_owned()],
            removed: Vec::new(),
            refused_files: 1,
            refused: vec![RefusedFile {
                path: "data/iot/temperature/2026/02/11/14/temperature_20260211_140000_104000000.parquet"
                    .to_owned(),
                reason: "it was changed after the restore".to_owned(),
            }],
            restart_required: true,
        }
        .to_json(),
        ("undo_restore", "202") => Accepted {
            message: "Undo started".to_owned(),
            status: "running".to_owned(),
            backup_id: ID.to_owned(),
            operation_id: OPERATION_ID.to_owned(),
            databases: Vec::new(),
            scope: Vec::new(),
            selection: None,
            restart_required: Some(true),
            restore: None,
            warnings: Vec::new(),
        }
        .to_json(),
        ("list_set_aside", "200") => SetAsideBody {
            set_aside: vec![kept()],
            count: 1,
            faults: Vec::new(),
        }
        .to_json(),
        ("remove_set_aside", "200") => RemovedBody { removed: kept() }.to_json(),
        ("undo_restore", "400") => error_body(format!(
            "operation {RESTORE} was taken back already, by {OPERATION_ID}"
        ))
        .to_json(),
        ("undo_restore" | "remove_set_aside", "404") => ErrorBody {
            detail: Some(format!(
                "no operation `{RESTORE}`: `arc-backup history` lists them, and `arc-backup set-aside` those that can be taken back"
            )),
            ..error_body("Operation not found")
        }
        .to_json(),
        ("remove_set_aside" | "list_set_aside", "400") => ErrorBody {
            detail: Some("known: p".to_owned()),
            ..error_body("Unknown query parameter \"verbose\"")
        }
        .to_json(),
        _ => None,
    }
}

fn kept() -> SetAsideFiles {
    SetAsideFiles {
        operation_id: Some(RESTORE.to_owned()),
        operation: Some("restore".to_owned()),
        backup_id: Some(ID.to_owned()),
        files: 12,
        bytes: 19_083_264,
        since: Some("2026-02-12T09:15:02.311Z".to_owned()),
        expires_at: Some("2026-02-19T09:15:02.311Z".to_owned()),
        can_be_undone: true,
        places: vec![SetAsidePlace {
            place: format!("/srv/arc/data/arc.before-restore/{RESTORE}"),
            files: 12,
            bytes: 19_083_264,
        }],
    }
}
