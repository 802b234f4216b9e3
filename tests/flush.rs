//! Arc is asked to flush its buffers before its files are listed.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};
use support::{ADMIN, Instance, text};

/// An Arc that answers each request with `answer`, and reports its first line and its token.
fn arc(answer: &'static str) -> (String, Receiver<(String, Option<String>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (report, asked) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines: Vec<String> = (BufReader::new(stream.try_clone().unwrap()).lines())
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let token = (lines.iter())
                .find_map(|line| line.strip_prefix("authorization: "))
                .map(str::to_owned);
            // A test that does not read the reports is answered anyway.
            let _ = report.send((lines[0].clone(), token));
            let head =
                format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
        }
    });
    (url, asked)
}

fn configure(instance: &Instance, lines: &str) {
    let path = instance.path("arc.toml");
    let old = std::fs::read_to_string(&path).unwrap();
    assert!(old.contains("[backup]\n"), "the fixture has no [backup]");
    std::fs::write(
        path,
        old.replace("[backup]\n", &format!("[backup]\n{lines}\n")),
    )
    .unwrap();
}

fn manifest(instance: &Instance, id: &Value) -> Value {
    let path = instance
        .backup_folder(id.as_str().unwrap())
        .join("manifest.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

const FLUSH: &str = "POST /api/v1/write/line-protocol/flush HTTP/1.1";

/// Guards against losing the rows of the last seconds, which are only in Arc's memory.
#[test]
fn a_backup_flushes_arc_first_with_its_own_token_or_the_callers() {
    let (url, asked) = arc("200 OK");
    let instance = Instance::new();
    configure(&instance, &format!("arc_url = \"{url}/\""));
    let service = instance.serve();
    assert_eq!(service.post("/api/v1/backup", "").status, 202);
    let made = service.wait();
    assert_eq!(
        (&made["status"], &made["flushed"]),
        (&json!("completed"), &json!(true)),
        "{made}"
    );
    assert_eq!(
        manifest(&instance, &made["backup_id"])["consistency"]["flushed"],
        true
    );
    let (line, token) = asked.recv().unwrap();
    assert_eq!(
        (line.as_str(), token),
        (FLUSH, Some(format!("Bearer {ADMIN}")))
    );
    let history = std::fs::read(instance.path("data/backups/.arc-backup/history.db")).unwrap();
    let secret = ADMIN.as_bytes();
    assert!(
        !history.windows(secret.len()).any(|bytes| bytes == secret),
        "a token is kept"
    );
    drop(service);

    configure(&instance, "arc_token = \"of the configuration\"");
    let (_, made) = instance.json(&["backup"]);
    assert_eq!(
        (&made["flushed"], &made["warnings"]),
        (&json!(true), &Value::Null),
        "{made}"
    );
    assert_eq!(
        asked.recv().unwrap().1.unwrap(),
        "Bearer of the configuration"
    );
    // Without `arc_url` and a running Arc, nobody is asked, and nothing is claimed.
    let made = Instance::new().json(&["backup"]).1;
    assert_eq!(made.get("flushed"), None, "{made}");
}

/// Guards against a backup that fails because Arc is down or its token is wrong.
#[test]
fn a_flush_that_fails_costs_no_backup_and_says_what_to_do() {
    let (other, asked_elsewhere) = arc("200 OK");
    let redirect = format!("307 Temporary Redirect\r\nLocation: {other}/");
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let cases = [
        (arc("401 Unauthorized").0, "backup.arc_token"),
        (arc("403 Forbidden").0, "backup.arc_token"),
        (arc("404 Not Found").0, "backup.arc_url"),
        (arc("500 Internal Server Error").0, "Arc's log"),
        (arc(redirect.leak()).0, "redirects"),
        (gone, "cannot reach"),
    ];
    for (url, named) in cases {
        let instance = Instance::new();
        configure(
            &instance,
            &format!("arc_url = \"{url}\"\narc_token = \"hush-hush\""),
        );
        let output = instance.run(&["--json", "backup"]);
        let said = text(&output);
        let made: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&made["status"], &made["flushed"]),
            (&json!("completed"), &json!(false)),
            "{said}"
        );
        let warning = made["warnings"][0].as_str().unwrap();
        assert!(
            warning.contains(named) && warning.contains("arc_"),
            "{warning}"
        );
        assert!(!said.contains("hush-hush"), "{said}");
        let kept = manifest(&instance, &made["backup_id"]);
        assert_eq!(kept["consistency"]["flushed"], false, "{kept}");
    }
    assert!(
        asked_elsewhere.try_recv().is_err(),
        "a redirect was followed"
    );
}

/// Guards against a wrong `arc_url` that nobody notices before the first backup.
#[test]
fn the_doctor_asks_arc_without_flushing_it_and_a_wrong_url_is_refused() {
    let found = |instance: &Instance| {
        let (_, report) = instance.json(&["doctor"]);
        let checks = report["checks"].as_array().unwrap();
        checks
            .iter()
            .find(|check| check["subject"] == "Arc")
            .cloned()
    };
    let instance = Instance::new();
    assert_eq!(found(&instance), None);
    for (answer, ok, named) in [
        ("200 OK", true, "an admin's"),
        ("403 Forbidden", false, "not an admin's"),
        ("401 Unauthorized", false, "refuses the token"),
        ("404 Not Found", true, "first backup"),
        ("502 Bad Gateway", false, "502"),
    ] {
        let (url, asked) = arc(answer);
        let instance = Instance::new();
        configure(
            &instance,
            &format!("arc_url = \"{url}\"\narc_token = \"t\""),
        );
        let check = found(&instance).unwrap();
        assert_eq!(check["ok"], ok, "{check}");
        assert!(check["detail"].as_str().unwrap().contains(named), "{check}");
        assert!(
            asked
                .recv()
                .unwrap()
                .0
                .starts_with("GET /api/v1/backup/status ")
        );
    }
    configure(&instance, "arc_url = \"http://me:hush@localhost\"");
    let output = instance.run(&["list"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("backup.arc_url") && !text(&output).contains("hush"));
}

/// Guards against backups that silently lack the rows of the last seconds.
#[test]
fn a_running_arc_that_is_not_flushed_is_reported() {
    let instance = Instance::new();
    // It looks like a running Arc.
    let open = rusqlite::Connection::open(instance.path("data/arc.db")).unwrap();
    let _: String = (open.query_row("PRAGMA journal_mode", [], |row| row.get(0))).unwrap();
    let _: i64 = (open.query_row("SELECT count(*) FROM api_tokens", [], |row| row.get(0))).unwrap();
    let (code, made) = instance.json(&["backup"]);
    assert_eq!((code, &made["flushed"]), (0, &json!(false)), "{made}");
    let warning = made["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("rows which it holds in memory") && warning.contains("`backup.arc_url`"),
        "{warning}"
    );
    let (code, report) = instance.json(&["doctor"]);
    let checks = report["checks"].as_array().unwrap();
    let of_arc = checks
        .iter()
        .find(|check| check["subject"] == "Arc")
        .unwrap();
    assert_eq!(
        (code, &of_arc["status"], &of_arc["ok"]),
        (0, &json!("warn"), &json!(true))
    );
    assert_eq!(of_arc["setting"], "backup.arc_url");
    drop(open);
    let (_, made) = instance.json(&["backup"]);
    assert_eq!(made.get("flushed"), None, "{made}");
}

/// Guards against a backup without these rows where the configuration requires them.
#[test]
fn a_required_flush_succeeds_or_nothing_is_copied() {
    let backups = |instance: &Instance| -> Vec<String> {
        let folder = std::fs::read_dir(instance.path("data/backups")).unwrap();
        let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("backup-")).collect();
        names.sort();
        names
    };
    let instance = Instance::new();
    let before = backups(&instance);
    let (code, failed) = instance.json(&["backup", "--require-flush"]);
    let error = failed["error"].as_str().unwrap();
    assert!(
        code == 1 && error.contains("`backup.arc_url` is not set"),
        "{error}"
    );
    let (refusing, asked) = arc("403 Forbidden");
    configure(
        &instance,
        &format!("arc_url = \"{refusing}\"\narc_token = \"t\""),
    );
    let service = instance.serve();
    let accepted = service.post("/api/v1/backup", r#"{"require_flush": true}"#);
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let failed = service.wait();
    let error = failed["error"].as_str().unwrap();
    assert!(
        failed["status"] == "failed" && error.contains("`backup.arc_token`"),
        "{failed}"
    );
    assert_eq!(
        (&failed["flushed"], asked.recv().unwrap().0.as_str()),
        (&json!(false), FLUSH)
    );
    drop(service);
    assert_eq!(backups(&instance), before);
    let wrong = instance
        .serve()
        .post("/api/v1/backup", r#"{"require_flush": 1}"#);
    assert_eq!(wrong.status, 400, "{}", wrong.text);

    let instance = Instance::new();
    let (url, asked) = arc("200 OK");
    configure(
        &instance,
        &format!("arc_url = \"{url}\"\nrequire_flush = true"),
    );
    let (code, made) = instance.json(&["backup"]);
    assert_eq!((code, &made["flushed"]), (0, &json!(true)), "{made}");
    assert_eq!(asked.recv().unwrap().0, FLUSH);
}
