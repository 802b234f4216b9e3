//! The check of answers against the OpenAPI document is itself checked.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::support::{Answer, UNKNOWN, contract};

/// Guards against a check that finds nothing, on which all promises of the document rely.
#[test]
fn an_answer_that_the_document_does_not_promise_fails_a_test() {
    let answer = |status: u16, body: Value, headers: &[(&str, &str)]| {
        let mut all = BTreeMap::from([(
            "content-type".to_owned(),
            "application/json; charset=utf-8".to_owned(),
        )]);
        all.extend(
            headers
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned())),
        );
        Answer {
            status,
            text: body.to_string(),
            headers: all,
        }
    };
    let fault = |method: &str, path: &str, answer: &Answer| {
        contract::find_fault(method, path, answer)
            .err()
            .unwrap_or_default()
    };
    let accepted = json!({
        "message": "Backup started", "status": "running", "backup_id": UNKNOWN,
        "operation_id": "20260101-000000-00000000", "warnings": [],
    });
    let headers_sent = [
        ("location", "/api/v1/backup/operations/1"),
        ("retry-after", "1"),
    ];
    let good = answer(202, accepted.clone(), &headers_sent);
    assert_eq!(fault("POST", "/api/v1/backup/?p=x", &good), "");
    for (field, value, named) in [
        ("warnings", None, "warnings"),
        ("status", Some(json!("started")), "started"),
        ("backup_id", Some(json!("backup-1")), "backup-1"),
        ("more", Some(json!(1)), "more"),
    ] {
        let mut body = accepted.clone();
        match value {
            Some(value) => body[field] = value,
            None => drop(body.as_object_mut().unwrap().remove(field)),
        }
        let found = fault("POST", "/api/v1/backup", &answer(202, body, &headers_sent));
        assert!(found.contains(named), "{field}: {found:?}");
    }
    let error = json!({"error": "no"});
    for (method, path, answer, named) in [
        (
            "POST",
            "/api/v1/backup",
            answer(202, accepted.clone(), &headers_sent[1..]),
            "202 without Location",
        ),
        (
            "POST",
            "/api/v1/backup",
            answer(418, error.clone(), &[]),
            "418",
        ),
        (
            "GET",
            "/api/v1/nothing",
            answer(200, error.clone(), &[]),
            "no such path",
        ),
        ("PUT", "/health", answer(405, error.clone(), &[]), "Allow"),
        (
            "PUT",
            "/health",
            answer(405, error.clone(), &[("allow", "POST")]),
            "lacks get",
        ),
        (
            "GET",
            "/api/v1/backup",
            answer(401, error.clone(), &[]),
            "WWW-Authenticate",
        ),
        (
            "GET",
            "/health",
            answer(200, json!({"status": "ok"}), &[]),
            "version",
        ),
    ] {
        let found = fault(method, path, &answer);
        assert!(found.contains(named), "{method} {path}: {found:?}");
    }
    let mut operation = json!({
        "operation": "backup", "operation_id": "20260101-000000-00000000", "backup_id": UNKNOWN,
        "status": "completed", "total_files": 1, "processed_files": 1, "skipped_files": 0, "total_bytes": 1,
        "processed_bytes": 1, "started_at": "2026-01-01T00:00:00Z", "actor": "admin", "origin": "rest",
        "problems": [], "problem_count": 0,
    });
    let path = "/api/v1/backup/operations/20260101-000000-00000000";
    assert_eq!(fault("GET", path, &answer(200, operation.clone(), &[])), "");
    operation["started_at"] = json!("yesterday");
    let found = fault("GET", path, &answer(200, operation, &[]));
    assert!(found.contains("yesterday"), "{found:?}");
}
