//! The REST surface, as Arc's documentation page and its own answers describe it.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod arc_client;
mod document;
#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use support::{ADMIN, ARC_NEW, ARC_OLD, Answer, Instance, Service};

/// Checks that the answer has this status and at least these fields.
fn assert_answer(answer: &Answer, status: u16, fields: &Value) {
    assert_eq!(answer.status, status, "{answer:?}");
    let body = answer.json();
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(&body[name], value, "{answer:?}");
    }
}

fn large_file(instance: &Instance) {
    std::fs::File::create(instance.path("data/arc/iot/large.parquet"))
        .unwrap()
        .set_len(3 << 30)
        .unwrap();
}

/// Guards against breaking clients that were written for Arc.
#[test]
fn each_case_answers_as_arc_does_with_and_without_a_trailing_slash() {
    let instance = Instance::new();
    let service = instance.serve();
    let unknown = "backup-20260101-000000-00000000";
    assert_answer(
        &service.get("/api/v1/backup/status"),
        200,
        &json!({"status": "idle"}),
    );
    for slash in ["", "/"] {
        let at = |path: &str| format!("/api/v1/backup{path}{slash}");
        let none = service.request("GET", &at(""), &[], None);
        assert_answer(
            &none,
            401,
            &json!({"success": false, "error": "Authentication required"}),
        );
        let bad_id = json!({"error": "Invalid backup ID format"});
        assert_answer(&service.get(&at("/nonsense")), 400, &bad_id);
        assert_answer(&service.delete(&at("/nonsense")), 400, &bad_id);
        let not_found = json!({"error": "Backup not found"});
        assert_answer(&service.get(&at(&format!("/{unknown}"))), 404, &not_found);
        assert_answer(
            &service.delete(&at(&format!("/{unknown}"))),
            404,
            &not_found,
        );
        let wrong_method = service.request("PUT", &at(""), &[], None);
        assert_answer(&wrong_method, 405, &json!({"error": "Method Not Allowed"}));
        let bad_body = json!({"error": "Invalid request body"});
        for body in ["{", "[]", "3", r#"{"include_metadata": 5}"#] {
            assert_answer(&service.post(&at(""), body), 400, &bad_body);
        }
        for body in ["{", r#"{"backup_id": 5}"#, r#"{"confirm": "yes"}"#] {
            assert_answer(&service.post(&at("/restore"), body), 400, &bad_body);
        }
        let bad_restore = json!({"error": "Invalid or missing backup_id"});
        for body in ["", "null", "{}", r#"{"backup_id": "x", "confirm": true}"#] {
            assert_answer(&service.post(&at("/restore"), body), 400, &bad_restore);
        }
        let unconfirmed =
            json!({"error": "Restore is a destructive operation. Set confirm: true to proceed."});
        assert_answer(
            &service.post(&at("/restore"), &json!({"backup_id": ARC_OLD}).to_string()),
            400,
            &unconfirmed,
        );
        let gone = json!({"backup_id": unknown, "confirm": true}).to_string();
        assert_answer(&service.post(&at("/restore"), &gone), 404, &not_found);
        assert_answer(
            &service.post(&at("/cancel"), ""),
            409,
            &json!({"error": "No operation is running"}),
        );
        // No operation was started.
        assert_answer(
            &service.get(&at("/status")),
            200,
            &json!({"status": "idle"}),
        );
    }
    for slash in ["", "/"] {
        let at = |path: &str| format!("/api/v1/backup{path}{slash}");
        let accepted = service.post(&at(""), "");
        assert_answer(
            &accepted,
            202,
            &json!({"message": "Backup started", "status": "running"}),
        );
        let status = service.wait();
        assert_eq!(
            (status["operation"].as_str(), status["status"].as_str()),
            (Some("backup"), Some("completed"))
        );
        let id = accepted.json()["backup_id"].as_str().unwrap().to_owned();
        assert_eq!(status["backup_id"], id.as_str(), "published before the 202");
        let list = service.get(&at("")).json();
        assert_eq!(list["backups"][0]["backup_id"], id.as_str(), "newest first");
        for field in [
            "backup_id",
            "created_at",
            "backup_type",
            "total_files",
            "total_size_bytes",
            "database_count",
        ] {
            assert!(!list["backups"][0][field].is_null(), "{field}");
        }
        let manifest = service.get(&at(&format!("/{id}"))).json();
        assert_eq!(manifest["total_files"], 105);
        // Without a body, all of it.
        assert_eq!(manifest["has_metadata"], true);
        assert_eq!(manifest["has_config"], true);
        let files = service
            .get(&format!(
                "/api/v1/backup/{id}/files?prefix=data/metrics/&limit=5"
            ))
            .json();
        assert_eq!(
            (&files["count"], files["next"].is_string()),
            (&5.into(), true),
            "{files}"
        );
        assert_eq!(service.post(&at(&format!("/{id}/verify")), "").status, 202);
        assert_eq!(service.wait()["status"], "completed");
        let restore = json!({"backup_id": id, "confirm": true}).to_string();
        let accepted = service.post(&at("/restore"), &restore);
        assert_answer(
            &accepted,
            202,
            &json!({
                "message": "Restore started", "backup_id": id, "status": "running",
                "restart_required": true,
            }),
        );
        assert_eq!(service.wait()["status"], "completed");
        let deleted = service.delete(&at(&format!("/{id}")));
        assert_answer(
            &deleted,
            200,
            &json!({"message": "Backup deleted", "backup_id": id}),
        );
        let operations = service.get(&at("/operations")).json();
        assert_eq!(operations["operations"][0]["operation"], "delete");
        let one = operations["operations"][1]["operation_id"]
            .as_str()
            .unwrap();
        assert_eq!(
            service.get(&at(&format!("/operations/{one}"))).json()["operation"],
            "restore"
        );
    }
}

/// Guards against accepting a token without rights, and refusing a valid one.
#[test]
fn each_token_of_the_sample_answers_as_it_did_to_arc() {
    let instance = Instance::new();
    let service = instance.serve();
    let path = "/api/v1/backup";
    for (token, status, error) in [
        (ADMIN, 200, ""),
        ("-2wqFHN-rN8OGY-gmkGLpJanjUyGrajVE2YXHfrDP9g=", 200, ""),
        ("OzH4A66qW18J578KTwUl3kA5gu2vYCO_041S3Wp2NJw=", 200, ""),
        ("legacy-bcrypt-token-0123456789abcdef", 200, ""),
        ("legacy-sha256-token-0123456789abcdef", 200, ""),
        (
            "UpknfaHWF-HAvX1ulEQcqGd80NSbGfVket_EWtdvLFQ=",
            403,
            "Permission denied: admin required",
        ),
        (
            "9YHbxnLVpIz4AD_yy71UQAECJRx5FN_X5QCbkiJ7kuA=",
            403,
            "Permission denied: admin required",
        ),
        (
            "YGyuqqRp-U7Isu1X6nOpi-b9ResYUzYgIaeJdOKG1gU=",
            401,
            "Invalid or expired token",
        ),
        (
            "xa6ZklhFktff_WhpHDLXK2YBn7NBYcAGEWC1YnUxzeY=",
            401,
            "Invalid or expired token",
        ),
        ("unknown-token", 401, "Invalid or expired token"),
    ] {
        let bearer = format!("Bearer {token}");
        let answer = service.request("GET", path, &[("authorization", &bearer)], None);
        assert_eq!(answer.status, status, "{token}: {answer:?}");
        if status != 200 {
            assert_eq!(answer.json()["error"], error);
            assert_eq!(answer.json()["success"], false);
        }
    }
    let token = format!("Token {ADMIN}");
    for headers in [
        [("authorization", &*token)],
        [("authorization", ADMIN)],
        [("x-api-key", ADMIN)],
    ] {
        assert_eq!(
            service.request("GET", path, &headers, None).status,
            200,
            "{headers:?}"
        );
    }
    assert_eq!(
        service
            .request("GET", &format!("{path}?p={ADMIN}"), &[], None)
            .status,
        200
    );
    let wrong_first = [("authorization", "Bearer wrong"), ("x-api-key", ADMIN)];
    assert_eq!(service.request("GET", path, &wrong_first, None).status, 401);
}

/// Guards against a second backup that runs at the same time.
#[test]
fn of_sixteen_at_once_one_runs_and_it_can_be_cancelled() {
    let instance = Instance::new();
    large_file(&instance);
    let service = instance.serve();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let posts: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| service.post("/api/v1/backup", "")))
            .collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });
    let accepted: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 202)
        .collect();
    assert_eq!(accepted.len(), 1);
    let busy = json!({"error": "A backup or restore operation is already in progress", "status": "running", "operation": "backup"});
    for refused in answers.iter().filter(|answer| answer.status != 202) {
        assert_answer(refused, 409, &busy);
    }
    let restore = json!({"backup_id": ARC_NEW, "confirm": true}).to_string();
    assert_answer(
        &service.post("/api/v1/backup/restore", &restore),
        409,
        &busy,
    );
    assert_answer(
        &service.delete(&format!("/api/v1/backup/{ARC_NEW}")),
        409,
        &busy,
    );
    assert_eq!(instance.run(&["backup"]).status.code(), Some(3));
    assert_eq!(service.post("/api/v1/backup/cancel", "").status, 202);
    let status = service.wait();
    assert_eq!(status["status"], "cancelled");
    assert!(
        status["error"]
            .as_str()
            .unwrap()
            .contains("cancelled by admin"),
        "{status}"
    );
    // The next backup resumes the stored files, and no list shows them.
    let id = accepted[0].json()["backup_id"].as_str().unwrap().to_owned();
    let list = service.get("/api/v1/backup").json().to_string();
    assert!(!list.contains(&id), "{list}");
    assert_eq!(service.post("/api/v1/backup", "").status, 202);
    let status = service.wait();
    assert_eq!(status["status"], "completed", "{status}");
    assert!(!instance.backup_folder(&id).exists());
}

fn terminate(service: &Service) {
    let sent = std::process::Command::new("kill")
        .args(["-TERM", &service.child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// Guards against a stop that looks like a crash, and a partial backup that stays.
#[test]
fn sigterm_cancels_the_operation_and_ends_with_success_and_a_kill_is_reported_afterwards() {
    let instance = Instance::new();
    large_file(&instance);
    let mut service = instance.serve();
    let id = service.post("/api/v1/backup", "").json()["backup_id"]
        .as_str()
        .unwrap()
        .to_owned();
    terminate(&service);
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
    assert!(!instance.backup_folder(&id).join("manifest.json").exists());
    let mut service = instance.serve();
    assert_eq!(service.post("/api/v1/backup", "").status, 202);
    service.child.kill().unwrap();
    service.child.wait().unwrap();
    let service = instance.serve();
    let status = service.get("/api/v1/backup/status").json();
    assert_eq!(
        (status["status"].as_str(), status["error"].as_str()),
        (Some("failed"), Some("interrupted"))
    );
    assert_eq!(service.get("/api/v1/backup").json()["count"], 2);
}

/// Guards against a client that can't see the result of its restore because its token was replaced.
#[test]
fn the_token_that_started_a_restore_reads_its_status_to_the_end() {
    let instance = Instance::new();
    let id = instance.backup();
    let token = "late-token-0123456789abcdef0123456789";
    let hash = arc_backup_core::Digest::of(token.as_bytes()).to_string();
    rusqlite::Connection::open(instance.path("data/arc.db"))
        .unwrap()
        .execute(
            "INSERT INTO api_tokens (name, token_hash, permissions, token_prefix) VALUES ('late', ?1, 'admin', '__legacy__')",
            [hash],
        )
        .unwrap();
    let service = instance.serve();
    let bearer = format!("Bearer {token}");
    let with = [("authorization", &*bearer)];
    let body = json!({"backup_id": id, "confirm": true}).to_string();
    let started = service.request(
        "POST",
        "/api/v1/backup/restore",
        &with,
        Some(body.as_bytes()),
    );
    assert_eq!(started.status, 202, "{started:?}");
    assert_eq!(service.wait()["status"], "completed");
    let status = service.request("GET", "/api/v1/backup/status", &with, None);
    assert_answer(
        &status,
        200,
        &json!({"status": "completed", "actor": "late"}),
    );
    assert_eq!(
        service.request("GET", "/api/v1/backup", &with, None).status,
        401
    );
    let all = service.get("/api/v1/backup/operations").json();
    let path = |id: &Value| format!("/api/v1/backup/operations/{}", id.as_str().unwrap());
    let other = path(&all["operations"][1]["operation_id"]);
    assert_eq!(
        service.request("GET", &other, &with, None).status,
        401,
        "another's operation"
    );
    let own = path(&started.json()["operation_id"]);
    assert_eq!(service.request("GET", &own, &with, None).status, 200);
}

/// Guards against a service that fails because of a malformed request.
#[test]
fn hostile_requests_get_a_json_answer_and_never_a_500() {
    let instance = Instance::new();
    let service = instance.serve();
    let long = "a".repeat(5000);
    for id in [
        "..%2f..%2fetc",
        "%2e%2e%2f",
        "a%2Fb",
        "a%252Fb",
        "%00",
        "backup-20260211-143022-a1b2c3d4%2F..",
        &*long,
        "%ff",
    ] {
        for answer in [
            service.get(&format!("/api/v1/backup/{id}")),
            service.delete(&format!("/api/v1/backup/{id}")),
        ] {
            assert!((400..500).contains(&answer.status), "{id}: {answer:?}");
            assert!(answer.json()["error"].is_string(), "{answer:?}");
        }
    }
    let large = " ".repeat((1 << 20) + 1);
    let refused = service.post("/api/v1/backup", &large);
    assert_eq!(refused.status, 413);
    assert!(refused.json()["error"].is_string());
    assert_eq!(
        service.get("/api/v1/backup/status").json()["status"],
        "idle"
    );
    for query in [
        "limit=0",
        "limit=x",
        "limit=10001",
        "limit=99999999999999999999",
        "offset=-1",
        "offset=9007199254740992",
    ] {
        let refused = service.get(&format!("/api/v1/backup/operations?{query}"));
        assert_eq!(refused.status, 400, "{query}");
        let error = refused.json()["error"].as_str().unwrap().to_owned();
        let (name, _) = query.split_once('=').unwrap();
        let wanted = format!("{name} must be from ");
        assert!(error.starts_with(&wanted), "{query}: {error}");
    }
    let refused = service.get("/api/v1/backup?all=perhaps");
    assert_answer(
        &refused,
        400,
        &json!({"error": "all must be true or false"}),
    );
    let head = service.request("HEAD", "/health", &[], None);
    assert_eq!((head.status, &*head.text), (200, ""));
    assert_eq!(head.headers["x-content-type-options"], "nosniff");
    let docs = service.request("GET", "/docs", &[], None);
    assert!(docs.status == 200 && docs.text.contains("SwaggerUIBundle"));
    let document = service.request("GET", "/openapi.json", &[], None).json();
    let committed = include_str!("../../openapi/openapi.json");
    assert_eq!(document, serde_json::from_str::<Value>(committed).unwrap());
    assert_eq!(
        service.request("GET", "/nothing", &[], None).json()["error"],
        "Not Found"
    );
}

/// Guards against a service that does not start and gives no reason.
#[test]
fn a_service_that_cannot_start_says_why() {
    let instance = Instance::new();
    let service = instance.serve();
    let taken = service.address.trim_start_matches("http://");
    let refused = instance.run(&["serve", "--listen", taken]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(support::text(&refused).contains("--listen"));
    let off = Instance::with_config("[backup]\nenabled = false\n").run(&["serve"]);
    assert_eq!(off.status.code(), Some(2));
    assert!(support::text(&off).contains("backup.enabled"));
    let bare = Instance::with_config("");
    let made = bare.serve();
    let token = made.printed.last().unwrap();
    let bearer = format!("Bearer {token}");
    assert_eq!(
        made.request("GET", "/api/v1/backup", &[("authorization", &bearer)], None)
            .status,
        200
    );
    let kept = std::fs::read_to_string(bare.path("data/backups/.arc-backup/admin-token")).unwrap();
    assert!(!kept.contains(token.as_str()));
}
