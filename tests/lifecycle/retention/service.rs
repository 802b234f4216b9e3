//! The same over REST.

use serde_json::{Value, json};

use super::history::{add, ids, planned, row, small};
use crate::support::UNKNOWN;

const PRUNE: &str = "/api/v1/backup/prune";

/// Guards against: a request that deletes without being asked to, and a plan that is another one
/// than the command line's.
#[test]
fn a_prune_is_a_plan_unless_it_says_otherwise() {
    let instance = small();
    let base = instance.backup();
    let old = add(&instance, &base, "2026-02-10T00:00:00Z");
    let service = instance.serve();
    let answer = service.post(PRUNE, r#"{"keep_last": 1}"#);
    assert_eq!(answer.status, 200, "{answer:?}");
    let plan = answer.json();
    let (_, same) = instance.json(&["prune", "--keep-last", "1"]);
    assert_eq!(plan["backups"], same["backups"]);
    assert_eq!(planned(&plan, false), std::slice::from_ref(&old), "{plan}");
    assert_eq!(ids(&instance).len(), 2);
    // No body, no rule.
    let plan = service.post(PRUNE, "").json();
    assert_eq!(plan["delete_count"], 0, "{plan}");
    assert!(
        plan["warnings"].to_string().contains("no retention rule"),
        "{plan}"
    );

    let answer = service.post(PRUNE, r#"{"keep_last": 1, "dry_run": false}"#);
    assert_eq!(answer.status, 202, "{answer:?}");
    assert!(
        answer.headers["location"].contains("/operations/"),
        "{answer:?}"
    );
    let done = service.wait();
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(done["deleted_backups"], json!([old]), "{done}");
    assert_eq!(
        (&done["operation"], &done["origin"]),
        (&json!("prune"), &json!("rest"))
    );
    assert_eq!(ids(&instance), [base]);
}

/// Guards against: a misspelt rule that is ignored, and a pin for a backup that is not there.
#[test]
fn wrong_requests_are_refused_by_name() {
    let instance = small();
    let id = instance.backup();
    let service = instance.serve();
    let pin = format!("/api/v1/backup/{id}/pin");
    for (path, body, named) in [
        (PRUNE, r#"{"keep_dayly": 1}"#, "keep_daily"),
        (
            PRUNE,
            r#"{"keep_last": -1}"#,
            "`keep_last` must be a whole number, not -1",
        ),
        (PRUNE, r#"{"keep_last": "1"}"#, "keep_last"),
        (PRUNE, r#"{"keep_within": "7w"}"#, "2y5m7d3h"),
        (PRUNE, r#"{"dry_run": "no"}"#, "dry_run"),
        (PRUNE, r#"{"target": "moon"}"#, "moon"),
        (&pin, r#"{"until": "soon"}"#, "until"),
        (&pin, r#"{"until": "2026-01-01"}"#, "until"),
        (&pin, r#"{"reasons": "x"}"#, "reason"),
        ("/api/v1/backup/latest/pin", "", "backup ID"),
    ] {
        let answer = service.post(path, body);
        assert_eq!(answer.status, 400, "{path} {body}: {answer:?}");
        assert!(answer.text.contains(named), "{path} {body}: {answer:?}");
    }
    let unknown = format!("/api/v1/backup/{UNKNOWN}/pin");
    assert_eq!(service.post(&unknown, "").status, 404);
    assert_eq!(service.delete(&unknown).status, 404);
    let unsigned = service.request("POST", PRUNE, &[], Some(b"{}"));
    assert_eq!(unsigned.status, 401);
}

/// Guards against: a pinned backup that the service deletes; and an answer that does not say how to
/// go on.
#[test]
fn a_pinned_backup_is_not_deleted() {
    let instance = small();
    let base = instance.backup();
    let old = add(&instance, &base, "2026-02-10T00:00:00Z");
    let service = instance.serve();
    let (backup, pin) = (
        format!("/api/v1/backup/{old}"),
        format!("/api/v1/backup/{old}/pin"),
    );
    let answer = service.post(&pin, r#"{"reason": "audit", "until": "2126-12-31"}"#);
    assert_eq!(answer.status, 200, "{answer:?}");
    let pinned = answer.json();
    assert_eq!(pinned["locked"], true, "{pinned}");
    // The end of that day.
    assert_eq!(pinned["pin"]["until"], "2127-01-01T00:00:00Z", "{pinned}");
    let refused = service.delete(&backup);
    assert_eq!(refused.status, 409, "{refused:?}");
    let said = refused.json()["detail"].to_string();
    assert!(
        said.contains("audit") && said.contains("/pin"),
        "{refused:?}"
    );
    let plan = service.post(PRUNE, r#"{"keep_last": 1}"#).json();
    assert_eq!(row(&plan, &old)["locked"], true, "{plan}");
    let unpinned = service.delete(&pin).json();
    assert_eq!(
        (&unpinned["locked"], &unpinned["pin"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(service.delete(&backup).status, 200);
    assert_eq!(ids(&instance), [base]);
}
