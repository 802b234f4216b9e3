//! The OpenAPI document: what poem-openapi derives from the types, with what types can't say.
//!
//! One enumeration has all faults, so every operation would claim all of them: here each keeps those that it can answer.
//! And each body gets an example, made of the same types as the answers are.

use poem_openapi::OpenApiService;
use poem_openapi::types::ToJSON;
use serde_json::{Value, json};

use super::answers::{
    Accepted, DeletedBody, FileBody, FilesBody, HealthBody, ListBody, OperationsBody,
};
use super::constraints;
use super::faults::{ErrorBody, body};
use super::routes::Api;
use crate::doctor::{Check, Report};
use crate::operations::{
    BackupOrigin, Operation, RestoreDestination, RestorePlan, RestorePreview, Status,
};
use crate::repository::{LastVerified, Summary};

const ID: &str = "backup-20260211-143022-a1b2c3d4";
const OPERATION_ID: &str = "20260211-143022-5f0c1d2e";
const STARTED: &str = "2026-02-11T14:30:22.104Z";
const INSTANCE: &str = "6b1f0c9a1e5f0c9a1e7d204b3a86e512";
const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// The statuses of refusal and failure that each operation can answer.
const FAULTS: [(&str, &[u16]); 13] = [
    ("create_backup", &[400, 401, 403, 408, 409, 413, 500]),
    ("list_backups", &[400, 401, 403, 500]),
    ("get_status", &[401, 403, 500]),
    (
        "restore_backup",
        &[400, 401, 403, 404, 408, 409, 413, 422, 500],
    ),
    ("cancel_operation", &[401, 403, 408, 409, 413, 500]),
    ("list_operations", &[400, 401, 403, 500]),
    ("get_operation", &[400, 401, 403, 404, 500]),
    ("get_backup", &[400, 401, 403, 404, 422, 500]),
    ("delete_backup", &[400, 401, 403, 404, 408, 409, 413, 500]),
    ("list_files", &[400, 401, 403, 404, 422, 500]),
    ("verify_backup", &[400, 401, 403, 404, 408, 409, 413, 500]),
    ("run_doctor", &[401, 403, 408, 413, 500]),
    ("get_health", &[]),
];

/// The document for `service`, as JSON text.
pub(super) fn of(service: &OpenApiService<Api, ()>) -> String {
    let mut document: Value =
        serde_json::from_str(&service.spec()).expect("the derived document is JSON");
    for operation in constraints::operations(&mut document) {
        complete(operation);
    }
    constraints::add_to(&mut document);
    serde_json::to_string_pretty(&document).expect("plain data is valid JSON")
}

/// The page of Swagger UI for `service`, with the whole document in it.
pub(super) fn page_of(service: &OpenApiService<Api, ()>) -> String {
    service
        .swagger_ui_html()
        .replace(&service.spec(), &of(service))
}

fn complete(operation: &mut Value) {
    let id = operation["operationId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let faults = FAULTS.iter().find(|(name, _)| *name == id);
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    responses.retain(|status, _| {
        let status: u16 = status.parse().unwrap_or(0);
        status < 400 || faults.is_none_or(|(_, some)| some.contains(&status))
    });
    for (status, response) in responses {
        if response["description"].as_str().is_none_or(str::is_empty) {
            response["description"] = "What was asked for.".into();
        }
        set_example(response, answer(&id, status));
    }
    if let Some(request) = operation.get_mut("requestBody") {
        set_example(request, request_example(&id));
        request["required"] = (id == "restore_backup").into();
    }
}

fn set_example(place: &mut Value, example: Option<Value>) {
    let Some(content) = place.get_mut("content").and_then(Value::as_object_mut) else {
        return;
    };
    for media in content.values_mut() {
        if let (Some(media), Some(example)) = (media.as_object_mut(), &example) {
            media.insert("example".to_owned(), example.clone());
        }
    }
}

fn request_example(operation: &str) -> Option<Value> {
    Some(match operation {
        "create_backup" => json!({"include_metadata": true, "include_config": true}),
        "restore_backup" => json!({
            "backup_id": ID,
            "restore_data": true,
            "restore_metadata": true,
            "restore_config": false,
            "confirm": true
        }),
        "verify_backup" => json!({"mode": "sample", "percent": 5.0}),
        _ => return None,
    })
}

fn answer(operation: &str, status: &str) -> Option<Value> {
    match (operation, status) {
        ("create_backup", "202") => accepted("Backup started", None),
        ("restore_backup", "202") => accepted("Restore started", Some(true)),
        ("verify_backup", "202") => accepted("Verification started", None),
        ("cancel_operation", "202") => accepted("Cancel requested", None),
        ("delete_backup", "202") => accepted("Backup is being deleted", None),
        ("delete_backup", "200") => DeletedBody {
            message: "Backup deleted".to_owned(),
            backup_id: ID.to_owned(),
        }
        .to_json(),
        ("list_backups", "200") => ListBody {
            backups: vec![Summary {
                backup_id: ID.to_owned(),
                created_at: STARTED.to_owned(),
                backup_type: "full".to_owned(),
                total_files: 1200,
                total_size_bytes: 5_368_709_120,
                database_count: 2,
                target: "local".to_owned(),
                instance: Some(INSTANCE.to_owned()),
                source_location: Some("local /var/lib/arc/data".to_owned()),
                verified: true,
                last_verified: Some(LastVerified {
                    at: "2026-02-12T03:00:41.215Z".to_owned(),
                    mode: "full".to_owned(),
                    ok: true,
                    operation_id: "20260212-030000-0b7d93f4".to_owned(),
                    share: None,
                    covered: None,
                }),
                last_full: None,
            }],
            count: 1,
            damaged: Vec::new(),
            unreadable: Vec::new(),
            incomplete: None,
            errors: Vec::new(),
        }
        .to_json(),
        ("get_status", "200") => running().to_json(),
        ("list_operations", "200") => OperationsBody {
            operations: vec![ended()],
            count: 1,
        }
        .to_json(),
        ("get_operation", "200") => ended().to_json(),
        ("get_backup", "200") => Some(manifest()),
        ("list_files", "200") => FilesBody {
            files: vec![FileBody {
                path: "data/iot/temperature/2026/02/11/14/temperature_20260211_140000_104000000.parquet"
                    .to_owned(),
                size: 1237,
                sha256: Some(SHA256.to_owned()),
            }],
            count: 1,
            next: None,
        }
        .to_json(),
        ("run_doctor", "200") => Report {
            ok: false,
            checks: vec![Check {
                subject: "target offsite".to_owned(),
                check: "put".to_owned(),
                ok: false,
                state: None,
                detail: "cannot write `.arc-backup/probe-5f0c1d2e`: access denied".to_owned(),
                setting: Some("backup.targets.offsite.s3_access_key".to_owned()),
                remedy: Some("grant s3:PutObject to the key".to_owned()),
            }],
        }
        .to_json(),
        ("get_health", "200") => HealthBody {
            status: "ok".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
        .to_json(),
        ("cancel_operation", "409") => body("No operation is running").to_json(),
        ("get_operation", "404") => body("Operation not found").to_json(),
        ("restore_backup", "400") => {
            body("Restore is a destructive operation. Set confirm: true to proceed.").to_json()
        }
        ("create_backup" | "verify_backup", "400") => ErrorBody {
            detail: Some("expected value at line 1 column 1".to_owned()),
            ..body("Invalid request body")
        }
        .to_json(),
        ("list_backups", "400") => {
            body(r#"unknown target "offsite"; known targets: local"#).to_json()
        }
        ("list_operations", "400") => body("limit must be from 1 to 10000").to_json(),
        (_, "400") => body("Invalid backup ID format").to_json(),
        (_, "401") => denied("Authentication required"),
        (_, "403") => denied("Permission denied: admin required"),
        (_, "404") => body("Backup not found").to_json(),
        (_, "408") => body("Request body did not arrive within 30 s").to_json(),
        (_, "409") => ErrorBody {
            status: Some("running".to_owned()),
            operation: Some("backup".to_owned()),
            operation_id: Some(OPERATION_ID.to_owned()),
            pid: Some(4711),
            host: Some("arc-1".to_owned()),
            ..body("A backup or restore operation is already in progress")
        }
        .to_json(),
        (_, "413") => body("Request body is larger than 1 MiB").to_json(),
        (_, "422") => ErrorBody {
            detail: Some("manifest.json does not have the SHA-256 that it names".to_owned()),
            ..body(format!("Backup {ID} is damaged"))
        }
        .to_json(),
        (_, "500") => body("cannot read `./data/backups`: permission denied").to_json(),
        _ => None,
    }
}

fn accepted(message: &str, restart_required: Option<bool>) -> Option<Value> {
    Accepted {
        message: message.to_owned(),
        status: "running".to_owned(),
        backup_id: ID.to_owned(),
        operation_id: OPERATION_ID.to_owned(),
        restart_required,
        restore: restart_required.map(|_| Box::new(restore_preview())),
        warnings: Vec::new(),
    }
    .to_json()
}

fn restore_preview() -> RestorePreview {
    let origin = BackupOrigin {
        backend: "local".to_owned(),
        location: "/var/lib/arc/data".to_owned(),
        instance: Some(INSTANCE.to_owned()),
    };
    RestorePreview {
        backup_id: ID.to_owned(),
        target: "local".to_owned(),
        created_at: STARTED.to_owned(),
        age_seconds: Some(86_400),
        source: Some(origin.clone()),
        destination: RestoreDestination {
            storage: origin,
            databases: vec!["/var/lib/arc/arc.db".to_owned()],
            config: None,
        },
        databases: vec!["iot".to_owned(), "metrics".to_owned()],
        sqlite_databases: vec!["arc.db".to_owned()],
        plan: Some(RestorePlan {
            unchanged_files: 1100,
            written_files: 101,
            replaced_files: 1,
            extra_files: 12,
            bytes_to_write: 412_876_800,
            ..RestorePlan::default()
        }),
        arc_running: Some(false),
        restart_required: true,
        ..RestorePreview::default()
    }
}

fn denied(text: &str) -> Option<Value> {
    ErrorBody {
        success: Some(false),
        ..body(text)
    }
    .to_json()
}

fn running() -> Operation {
    Operation {
        operation: "backup".to_owned(),
        operation_id: OPERATION_ID.to_owned(),
        backup_id: ID.to_owned(),
        status: Status::Running,
        target: Some("local".to_owned()),
        phase: Some("copying".to_owned()),
        total_files: 1200,
        processed_files: 450,
        total_bytes: 5_368_709_120,
        processed_bytes: 2_147_483_648,
        bytes_per_second: Some(536_870_912),
        eta_seconds: Some(6),
        started_at: STARTED.to_owned(),
        actor: "admin".to_owned(),
        origin: "rest".to_owned(),
        ..Operation::default()
    }
}

fn ended() -> Operation {
    Operation {
        status: Status::Completed,
        phase: None,
        processed_files: 1200,
        processed_bytes: 5_368_709_120,
        bytes_per_second: None,
        eta_seconds: None,
        completed_at: Some("2026-02-11T14:30:32.870Z".to_owned()),
        ..running()
    }
}

fn manifest() -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "backup_id": ID,
        "created_at": STARTED,
        "backup_type": "full",
        "databases": [{
            "name": "iot",
            "measurements": [{"name": "temperature", "file_count": 1200, "size_bytes": 5_368_709_120_u64}],
            "file_count": 1200,
            "size_bytes": 5_368_709_120_u64
        }],
        "total_files": 1200,
        "total_size_bytes": 5_368_709_120_u64,
        "has_metadata": true,
        "has_config": true,
        "target": "local",
        "format": crate::manifest::FORMAT,
        "inventory": {"entries": 1202, "bytes": 5_368_820_395_u64, "sha256": SHA256},
        "sha256": SHA256,
        "verified": true
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader of the document must find every operation with its statuses and an example of each body.
    #[test]
    fn every_operation_has_its_statuses_and_examples() {
        let document: Value =
            serde_json::from_str(&of(&super::super::app::service())).expect("JSON");
        let mut seen = Vec::new();
        for operation in document["paths"].as_object().expect("paths").values() {
            for operation in operation.as_object().expect("methods").values() {
                let id = operation["operationId"].as_str().expect("an id");
                seen.push(id.to_owned());
                let (_, faults) = FAULTS
                    .iter()
                    .find(|(name, _)| *name == id)
                    .unwrap_or_else(|| panic!("{id} is in no table"));
                let responses = operation["responses"].as_object().expect("responses");
                for status in *faults {
                    assert!(
                        responses.contains_key(&status.to_string()),
                        "{id} lacks {status}"
                    );
                }
                for (status, response) in responses {
                    let example =
                        &response["content"]["application/json; charset=utf-8"]["example"];
                    assert!(
                        example.is_object(),
                        "{id} {status} has no example: {response}"
                    );
                    assert!(
                        response["description"]
                            .as_str()
                            .is_some_and(|d| !d.is_empty())
                    );
                }
                assert!(operation["summary"].is_string(), "{id} has no summary");
            }
        }
        let mut known: Vec<_> = FAULTS.iter().map(|(name, _)| (*name).to_owned()).collect();
        known.sort();
        seen.sort();
        assert_eq!(seen, known, "the table has operations that are none");
    }

    /// Swagger UI must show the same document that is served.
    #[test]
    fn the_page_has_the_whole_document() {
        let service = super::super::app::service();
        assert!(page_of(&service).contains(&of(&service)));
    }
}
