//! What a client that was written for Arc relies on, beyond each answer by itself.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{assert_answer, large_file};
use crate::support::{Instance, UNKNOWN};

const FIGURES: [&str; 5] = [
    "total_files",
    "processed_files",
    "skipped_files",
    "total_bytes",
    "processed_bytes",
];

/// Guards against an answer that depends on whether something runs, where Arc's does not.
#[test]
fn checks_are_made_in_arcs_order_while_an_operation_runs() {
    let instance = Instance::new();
    large_file(&instance);
    let service = instance.serve();
    let before = service.get("/api/v1/backup/status").json();
    assert_eq!(before, json!({"status": "idle"}));
    let accepted = service.post("/api/v1/backup", "");
    assert_eq!(accepted.status, 202, "{accepted:?}");
    // Arc's client finds its operation at once, by its start.
    let status = service.get("/api/v1/backup/status").json();
    assert_eq!(status["status"], "running", "{status}");
    assert_eq!(status["backup_id"], accepted.json()["backup_id"]);
    for field in FIGURES {
        assert!(status[field].is_u64(), "{field}: {status}");
    }
    assert!(status["started_at"].is_string(), "{status}");
    let restore = |body: Value| service.post("/api/v1/backup/restore", &body.to_string());
    let error = |text: &str| json!({ "error": text });
    let busy = error("A backup or restore operation is already in progress");
    for (answer, status, body) in [
        (restore(json!([])), 400, error("Invalid request body")),
        (
            restore(json!({})),
            400,
            error("Invalid or missing backup_id"),
        ),
        (
            restore(json!({"backup_id": UNKNOWN, "confirm": true})),
            409,
            busy.clone(),
        ),
        (
            service.delete("/api/v1/backup/nonsense"),
            400,
            error("Invalid backup ID format"),
        ),
        (
            service.delete(&format!("/api/v1/backup/{UNKNOWN}")),
            409,
            busy,
        ),
        (
            service.get(&format!("/api/v1/backup/{UNKNOWN}")),
            404,
            error("Backup not found"),
        ),
    ] {
        assert_answer(&answer, status, &body);
    }
    let unconfirmed = restore(json!({"backup_id": UNKNOWN}));
    assert_eq!(unconfirmed.status, 400, "{unconfirmed:?}");
    assert_eq!(service.post("/api/v1/backup/cancel", "").status, 202);
    let ended = service.wait();
    assert_eq!(ended["backup_id"], accepted.json()["backup_id"], "{ended}");
    assert!(ended["completed_at"].is_string() && ended["error"].is_string());
    // The status of the last operation stays, whatever is refused afterwards.
    assert_eq!(
        restore(json!({"backup_id": UNKNOWN, "confirm": true})).status,
        404
    );
    assert_eq!(service.get("/api/v1/backup/status").json(), ended);
}

/// Guards against secrets in a backup that was made without them on request, and ids in local time.
#[test]
fn a_request_may_omit_sections_and_ids_are_in_utc() {
    let instance = Instance::new();
    let service = instance.serve_with(|command| command.env("TZ", "Pacific/Kiritimati"));
    let begun = Timestamp::now();
    for (fields, metadata, config) in [
        (json!({"include_config": false}), true, false),
        (json!({"include_metadata": false}), false, true),
        (
            json!({"include_metadata": false, "include_config": false}),
            false,
            false,
        ),
    ] {
        let accepted = service.post("/api/v1/backup", &fields.to_string());
        assert_eq!(accepted.status, 202, "{accepted:?}");
        assert_eq!(service.wait()["status"], "completed");
        let id = accepted.json()["backup_id"].as_str().unwrap().to_owned();
        let manifest = service.get(&format!("/api/v1/backup/{id}")).json();
        assert_eq!(manifest["has_metadata"], metadata, "{manifest}");
        assert_eq!(manifest["has_config"], config, "{manifest}");
        let folder = instance.backup_folder(&id);
        assert_eq!(folder.join("metadata").exists(), metadata, "{fields}");
        assert_eq!(folder.join("config").exists(), config, "{fields}");
        let text = format!(
            "{}+0000",
            &id["backup-".len().."backup-20260211-143022".len()]
        );
        let made = Timestamp::strptime("%Y%m%d-%H%M%S%z", &text).unwrap();
        let late = made.duration_since(begun).as_secs();
        assert!((-1..600).contains(&late), "{id} at {begun}");
    }
}
