//! The REST surface beyond Arc's own: refusals, waiting, filters, and requests that are sent twice.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/stores.rs"]
mod stores;
mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stores::{Place, configure, s3_server};
use support::{ADMIN, ARC_OLD, Answer, Instance, Service, UNKNOWN};

const BACKUPS: &str = "/api/v1/backup";
const STATUS: &str = "/api/v1/backup/status";
const OPERATIONS: &str = "/api/v1/backup/operations";

/// An instance whose next backup runs long enough to be observed.
fn slow() -> Instance {
    let instance = Instance::new();
    std::fs::File::create(instance.path("data/arc/iot/large.parquet"))
        .unwrap()
        .set_len(4 << 30)
        .unwrap();
    instance
}

/// The error and the detail of an answer with this status.
fn refusal(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    let body = answer.json();
    let detail = body["detail"].as_str().unwrap_or_default();
    format!("{}: {detail}", body["error"].as_str().unwrap())
}

fn assert_names(text: &str, parts: &[&str]) {
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

/// How many operations have completed.
fn count(service: &Service) -> Value {
    let completed = format!("{OPERATIONS}?status=completed");
    service.get(&completed).json()["total"].clone()
}

/// Guards against restoring sections that a misspelt field should have excluded.
#[test]
fn a_misspelt_field_is_refused_in_a_restore_and_warned_about_elsewhere() {
    let instance = Instance::new();
    let service = instance.serve();
    let before = instance.live();
    let restore = |body: Value| service.post("/api/v1/backup/restore", &body.to_string());
    let misspelt = json!({"backup_id": ARC_OLD, "confirm": true, "restore_dta": false});
    assert_names(
        &refusal(&restore(misspelt), 400),
        &[
            "Invalid request body",
            "\"restore_dta\"",
            "did you mean \"restore_data\"?",
            "known: backup_id, restore_data,",
        ],
    );
    // The body is checked first, then the id, then the confirmation.
    for (body, named) in [
        (
            json!({"backup_id": "x", "colour": 1}),
            "Invalid request body",
        ),
        (json!({"backup_id": "x"}), "Invalid or missing backup_id"),
        (json!({"backup_id": UNKNOWN}), "confirm: true"),
        (
            json!({"backup_id": UNKNOWN, "confirm": false}),
            "confirm: true",
        ),
        (
            json!({"restore_data": "no"}),
            "restore_data must be true or false",
        ),
        (
            json!({"extra_files": "kep"}),
            "extra_files must be one of set_aside, keep, remove",
        ),
        (
            json!({"backup_id": UNKNOWN, "confirm": true, "target": "moon"}),
            "known targets: local",
        ),
    ] {
        assert_names(&refusal(&restore(body), 400), &[named]);
    }
    assert_eq!(service.get(STATUS).json()["status"], "idle");
    assert!(instance.live() == before);
    let made = service.post(BACKUPS, r#"{"include_metdata": false, "target": null}"#);
    assert_eq!(made.status, 202, "{made:?}");
    let warning = made.json()["warnings"][0].as_str().unwrap().to_owned();
    assert_names(
        &warning,
        &["\"include_metdata\" was ignored", "\"include_metadata\""],
    );
    assert_eq!(service.wait()["status"], "completed");
}

/// Guards against an answer to a filter that was not applied.
#[test]
fn a_misspelt_parameter_is_refused_by_every_endpoint() {
    let instance = Instance::new();
    let service = instance.serve();
    let document: Value = serde_json::from_str(include_str!("../openapi/openapi.json")).unwrap();
    let bearer = format!("Bearer {ADMIN}");
    let token = [("authorization", &*bearer)];
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let path =
            (path.replace("{id}", UNKNOWN)).replace("{operation_id}", "20260101-000000-00000000");
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase();
            let ask = |query: &str, headers: &[_]| {
                service.request(&method, &format!("{path}?{query}"), headers, None)
            };
            let text = refusal(&ask("colour=red", &token), 400);
            assert_names(&text, &["\"colour\"", "known: ", "p"]);
            if operation["security"].is_array() {
                assert_eq!(ask("colour=red", &[]).status, 401, "{method} {path}");
            }
            asked += 1;
        }
    }
    assert!(asked >= 13, "{asked}");
    assert_eq!(service.get(STATUS).json()["status"], "idle", "it did start");
    let text = refusal(&service.get("/api/v1/backup/?targt=local"), 400);
    assert_names(&text, &["\"targt\"", "did you mean \"target\"?"]);
    for (query, name) in [
        ("limit=1&limit=1", "limit"),
        ("since=1d&limit=2&since=2d", "since"),
        ("label=a&label=b&limit=1&%6Cimit=2", "limit"),
    ] {
        let text = refusal(&service.get(&format!("{BACKUPS}?{query}")), 400);
        assert!(
            text.contains(&format!("{name:?} is given more than once")),
            "{text}"
        );
    }
    let lists = service.get(&format!("{BACKUPS}?label=a&label=b"));
    assert_eq!(lists.status, 200, "{}", lists.text);
    let by_parameter = service.request("GET", &format!("{BACKUPS}?p={ADMIN}"), &[], None);
    assert_eq!(by_parameter.status, 200);
}

/// Guards against clients that poll every second and still learn of the end a second late.
#[test]
fn a_client_gets_the_status_url_and_may_wait_for_the_end() {
    let instance = Instance::new();
    let service = instance.serve();
    let accepted = service.post(BACKUPS, "");
    let id = accepted.json()["operation_id"].as_str().unwrap().to_owned();
    let place = format!("{OPERATIONS}/{id}");
    assert_eq!(accepted.headers["location"], place);
    assert_eq!(accepted.headers["retry-after"], "1");
    let ended = service.get(&format!("{place}?wait=30s")).json();
    assert_eq!(ended["status"], "completed", "{ended}");
    for path in [STATUS, &place] {
        for wait in ["61", "2m", "soon"] {
            let refused = service.get(&format!("{path}?wait={wait}"));
            assert_names(&refusal(&refused, 400), &["wait must be", "60 s", "30s"]);
        }
    }
    let unknown = format!("{OPERATIONS}/20260101-000000-00000000?wait=60s");
    assert_eq!(service.get(&unknown).status, 404, "and that at once");
}

/// Guards against a waiting request without an answer, and a service that can't stop because of it.
#[test]
fn a_wait_ends_with_its_time_with_the_operation_and_with_the_service() {
    let instance = slow();
    let mut service = instance.serve();
    let begun = service.post(BACKUPS, "").json();
    let place = format!("{OPERATIONS}/{}", begun["operation_id"].as_str().unwrap());
    let started = Instant::now();
    let running = service.get(&format!("{STATUS}?wait=1")).json();
    assert_eq!(running["status"], "running", "{running}");
    assert!(started.elapsed() >= Duration::from_secs(1));
    // Another request gets 409 with the time to come again. An invalid one gets its own error.
    let busy = service.post(BACKUPS, "");
    assert_eq!((busy.status, &*busy.headers["retry-after"]), (409, "10"));
    let moon = service.post(BACKUPS, r#"{"target": "moon"}"#);
    assert_names(&refusal(&moon, 400), &["moon", "local"]);
    let wait = format!("{place}?wait=60");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| service.get(&wait));
        assert_eq!(service.post("/api/v1/backup/cancel", "").status, 202);
        let ended = waiting.join().unwrap().json();
        assert_ne!(ended["status"], "running", "{ended}");
    });
    // An operation of another process.
    let mut other = instance.command(&["backup"]).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while service.get(STATUS).json()["status"] != "running" {
        assert!(Instant::now() < until, "the other process does not begin");
    }
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| service.get(&format!("{STATUS}?wait=60s")));
        signal(other.id(), "-INT");
        assert_ne!(waiting.join().unwrap().json()["status"], "running");
    });
    other.wait().unwrap();
    assert_eq!(service.post(BACKUPS, "").status, 202);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| service.get(&format!("{STATUS}?wait=60s")));
        // The service is handling that operation, so the order does not matter here.
        service.get(&format!("{STATUS}?wait=1"));
        signal(service.child.id(), "-TERM");
        let answer = waiting.join().unwrap().json();
        assert_ne!(answer["status"], "running", "{answer}");
    });
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
}

fn signal(pid: u32, signal: &str) {
    let sent = std::process::Command::new("kill")
        .args([signal, &pid.to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// Guards against a failed operation that nobody finds among the operations of a year.
#[test]
fn the_history_can_be_filtered() {
    let instance = Instance::new();
    let id = instance.backup();
    instance.ok(&["verify", &id]);
    let service = instance.serve();
    let ids = |query: &str| {
        let answer = service.get(&format!("{OPERATIONS}?{query}"));
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        let body = answer.json();
        let operations = body["operations"].as_array().unwrap();
        let kinds = operations
            .iter()
            .map(|one| one["operation"].as_str().unwrap());
        (
            kinds.collect::<Vec<_>>().join(" "),
            body["total"].as_u64().unwrap(),
        )
    };
    for (query, kinds, total) in [
        ("limit=1", "verify", 2),
        ("limit=1&offset=1", "backup", 2),
        ("operation=backup", "backup", 1),
        ("operation=backup,verify", "verify backup", 2),
        ("operation=backup&operation=verify", "verify backup", 2),
        ("target=local&status=completed", "verify backup", 2),
        ("target=offsite", "", 0),
        ("status=failed,running", "", 0),
        ("since=1h", "verify backup", 2),
        ("until=1h", "", 0),
        (
            "until=2099-01-01T00:00:00Z&since=2026-01-01T00:00:00+02:00",
            "verify backup",
            2,
        ),
    ] {
        assert_eq!(ids(query), (kinds.to_owned(), total), "{query}");
    }
    assert_eq!(ids(&format!("backup_id={id}")).1, 2);
    assert_eq!(ids(&format!("backup_id={UNKNOWN}")).1, 0);
    for (query, named) in [
        (
            "status=done",
            "status must be one of running, completed, failed",
        ),
        (
            "operation=backups",
            "operation must be one of backup, restore, verify, rehearse, delete",
        ),
        ("backup_id=x", "Invalid backup ID format"),
        ("since=yesterday", "since must be a date"),
        ("until=24x", "until must be a date"),
    ] {
        let refused = service.get(&format!("{OPERATIONS}?{query}"));
        assert_names(&refusal(&refused, 400), &[named]);
    }
}

/// Guards against a second backup or restore for every answer that a network loses.
#[test]
fn a_request_with_a_key_starts_one_operation_however_often_it_is_sent() {
    let instance = Instance::new();
    let service = instance.serve();
    let bearer = format!("Bearer {ADMIN}");
    let post = |service: &Service, token: &str, path: &str, key: &str, body: &str| {
        let headers = [("authorization", token), ("idempotency-key", key)];
        service.request("POST", path, &headers, Some(body.as_bytes()))
    };
    let admin = |path: &str, key: &str, body: &str| post(&service, &bearer, path, key, body);
    for key in ["", "two words", "a\ttab", &"k".repeat(256)] {
        let refused = admin(BACKUPS, key, "");
        assert_names(
            &refusal(&refused, 400),
            &["Idempotency-Key must be 1 to 255"],
        );
    }
    // A refused request is not stored: it is valid once the backup exists.
    let key = "k".repeat(255);
    let restore = "/api/v1/backup/restore";
    let gone = json!({"backup_id": UNKNOWN, "confirm": true}).to_string();
    assert_eq!(admin(restore, &key, &gone).status, 404);

    // Of many at once, one starts the operation. The others get 409, or the answer of the first.
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let sent = (0..8).map(|_| {
            scope.spawn(|| {
                admin(
                    BACKUPS,
                    &key,
                    r#"{"include_metadata": true, "target": "local"}"#,
                )
            })
        });
        sent.collect::<Vec<_>>()
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect()
    });
    let first = answers.iter().find(|one| one.status == 202).unwrap().json();
    assert_eq!(service.wait()["status"], "completed");
    for answer in &answers {
        match answer.status {
            202 => assert_eq!(answer.json(), first),
            409 => assert_names(&refusal(answer, 409), &["Idempotency-Key"]),
            _ => panic!("{answer:?}"),
        }
    }
    assert_eq!(count(&service), 1);
    // The same request with its fields in another order, and then different requests.
    let same = r#" {"target": "local", "include_config": null, "include_metadata": true}"#;
    let again = admin(BACKUPS, &key, same);
    assert_eq!((again.status, again.json()), (202, first.clone()));
    assert!(again.headers["location"].ends_with(first["operation_id"].as_str().unwrap()));
    let id = first["backup_id"].as_str().unwrap();
    let verify = format!("{BACKUPS}/{id}/verify");
    for (path, body) in [(BACKUPS, r#"{"include_metadata": false}"#), (&*verify, "")] {
        let refused = admin(path, &key, body);
        assert_names(&refusal(&refused, 422), &["was used for another request"]);
    }
    assert_eq!(count(&service), 1);
    // Another token has its own keys.
    let other = "Bearer legacy-sha256-token-0123456789abcdef";
    let theirs = post(&service, other, &verify, &key, "");
    assert_eq!(theirs.status, 202, "{theirs:?}");
    assert_eq!(service.wait()["operation"], "verify");
    assert_eq!(count(&service), 2);
    // The service may have been restarted in between.
    drop(service);
    let service = instance.serve();
    let again = post(&service, &bearer, BACKUPS, &key, same);
    assert_eq!((again.status, again.json()), (202, first));
    assert_eq!(count(&service), 2);
}

/// Guards against a target's fault that looks like a fault of the service.
#[test]
fn a_target_that_refuses_its_credentials_is_502() {
    let server = s3_server();
    let instance = Instance::new();
    let live = Place::local(&instance, "data/arc");
    let mut far = Place::s3(&server, "backups", "of/arc-1");
    let secret = &server.options().secret_key;
    far.config = far.config.replace(secret, "another");
    configure(&instance, &live, &far);
    let service = instance.serve();
    let refused = service.post(BACKUPS, r#"{"target": "far"}"#);
    assert_names(&refusal(&refused, 502), &["target `far`"]);
    let shown = service.get(&format!("{BACKUPS}/{UNKNOWN}?target=far"));
    assert_names(&refusal(&shown, 502), &["target `far`"]);
}
