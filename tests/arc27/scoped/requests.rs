//! The requests of Arc's page, and their answers.

use serde_json::json;

use super::{ARCS, fails, held, is_of, put, small, small_files, write_arcs};
use crate::stores::done;
use crate::support::{ADMIN, Service, named_like, warnings};

const CREATE: &str = "/api/v1/backup";

fn refused(service: &Service, body: &str, named: &str) {
    let answer = service.post(CREATE, body);
    assert_eq!(answer.status, 400, "{body}: {}", answer.text);
    assert!(answer.text.contains(named), "{body}: {}", answer.text);
}

/// Guards against: another answer than the page has, and a backup that is not said to be of some
/// databases.
#[test]
fn a_scoped_backup_is_answered_and_shown_as_the_page_says() {
    let instance = small();
    let service = instance.serve();
    let body = r#"{"databases": ["web", "iot"]}"#;
    let bearer = format!("Bearer {ADMIN}");
    // Arc refuses this one without a type; here JSON is JSON under any.
    for content_type in ["application/json", "text/plain"] {
        let headers = [("authorization", &*bearer), ("content-type", content_type)];
        let answer = service.request("POST", CREATE, &headers, Some(body.as_bytes()));
        assert_eq!(answer.status, 202, "{}", answer.text);
        let accepted = answer.json();
        assert_eq!(accepted["message"], "Backup started");
        assert_eq!(accepted["status"], "running");
        assert_eq!(accepted["databases"], json!(["iot", "web"]), "{accepted}");
        assert_eq!(accepted["scope"], json!(["iot", "web"]), "{accepted}");
        assert_eq!(service.wait()["status"], "completed");
    }
    let status = service.get("/api/v1/backup/status").json();
    assert_eq!(status["scope"], json!(["iot", "web"]), "{status}");
    let omitted = status["not_included"].to_string();
    assert!(omitted.contains("the data of iot, web only"), "{omitted}");
    assert!(!omitted.contains("include_metadata"), "{omitted}");
    assert_eq!(warnings(&status), Vec::<String>::new(), "{status}");
    let id = status["backup_id"].as_str().unwrap();
    let manifest = service.get(&format!("/api/v1/backup/{id}")).json();
    assert_eq!(manifest["scope"], json!(["iot", "web"]), "{manifest}");
    assert_eq!(manifest["backup_type"], "full");
    assert_eq!(manifest["has_metadata"], false);
    assert_eq!(manifest["has_config"], false);
    let list = service.get(CREATE).json();
    assert_eq!(list["backups"][0]["scope"], json!(["iot", "web"]), "{list}");
    assert_eq!(list["backups"][0]["backup_type"], "full");
    let history = service.get("/api/v1/backup/operations").json();
    let last = &history["operations"][0];
    assert_eq!(last["scope"], json!(["iot", "web"]), "{history}");
    let mut expected: Vec<_> = small_files().into_keys().collect();
    expected.retain(|key| is_of(key, &["iot", "web"]));
    assert_eq!(held(&instance, id), expected);
    done(&service, &format!("/api/v1/backup/{id}/verify"), "");

    // A database synced from an edge node is all that lies under its first segment.
    let made = done(
        &service,
        CREATE,
        r#"{"databases":["spoke1"],"include_config":true}"#,
    );
    let id = made["backup_id"].as_str().unwrap();
    let manifest = service.get(&format!("/api/v1/backup/{id}")).json();
    assert_eq!(manifest["databases"][0]["name"], "spoke1/telemetry");
    assert_eq!(manifest["has_config"], true);

    // Not given.
    let whole = service.post(CREATE, r#"{"databases": null}"#).json();
    assert_eq!(whole.get("databases"), None, "{whole}");
    let whole = service.wait();
    assert_eq!(
        (whole.get("scope"), &whole["status"]),
        (None, &json!("completed"))
    );
    let id = whole["backup_id"].as_str().unwrap();
    let manifest = service.get(&format!("/api/v1/backup/{id}")).json();
    assert_eq!(
        (manifest.get("scope"), &manifest["has_metadata"]),
        (None, &json!(true))
    );
}

/// Guards against: a request that backs up something else than its author meant.
#[test]
fn a_wrong_request_is_400_and_names_the_value() {
    let instance = small();
    put(&instance, "top.parquet", b"a file is no database");
    let service = instance.serve();
    let before = service.get(CREATE).text;
    for (body, named) in [
        (r#"{"databases": ["iott"]}"#, r#"did you mean \"iot\""#),
        (r#"{"databases": ["iot", "nowhere"]}"#, "nowhere"),
        (r#"{"databases": ["top.parquet"]}"#, "top.parquet"),
        (
            r#"{"databases": ["web", "iot", "web"]}"#,
            r#"\"web\" is named twice"#,
        ),
        (r#"{"databases": ["spoke1/telemetry"]}"#, "spoke1/telemetry"),
        (r#"{"databases": [""]}"#, r#"\"\" is not"#),
        (r#"{"databases": [".."]}"#, r#"\"..\" is not"#),
        (r#"{"databases": ["_schema"]}"#, "_schema"),
        (r#"{"databases": [".hidden"]}"#, ".hidden"),
        (r#"{"databases": []}"#, "empty"),
        (r#"{"databases": "iot"}"#, "databases must be a list"),
        (
            r#"{"databases": ["iot", 7]}"#,
            "databases[1] is 7, and must be a string",
        ),
        (r#"{"databases": [null]}"#, "databases[0] is null"),
        (
            r#"{"databases": ["iot"], "include_metadata": true}"#,
            "include_metadata",
        ),
    ] {
        refused(&service, body, named);
    }
    let many: Vec<_> = (0..257).map(|number| format!("d{number}")).collect();
    refused(&service, &json!({"databases": many}).to_string(), "257");
    assert_eq!(service.get(CREATE).text, before);
    assert_eq!(
        service.get("/api/v1/backup/status").json()["status"],
        "idle"
    );
}

/// Guards against: a restore with the page's defaults that fails or warns, as the backup has no
/// SQLite databases.
#[test]
fn the_pages_restore_of_a_scoped_backup_has_no_noise() {
    let instance = small();
    let mut files = small_files();
    files.retain(|key, _| is_of(key, &["web"]));
    write_arcs(&instance.path("data/backups"), &["web"], &files);
    let service = instance.serve();
    let ours = done(&service, CREATE, r#"{"databases":["iot"]}"#);
    let database = std::fs::read(instance.path("data/arc.db")).unwrap();
    for (id, scope) in [(ours["backup_id"].as_str().unwrap(), "iot"), (ARCS, "web")] {
        put(&instance, &format!("{scope}/cpu/extra.parquet"), b"extra");
        let body = format!(
            r#"{{"backup_id": "{id}", "restore_data": true, "restore_metadata": true,
                "restore_config": false, "confirm": true}}"#
        );
        let answer = service.post("/api/v1/backup/restore", &body).json();
        assert_eq!(answer["restart_required"], false, "{answer}");
        assert_eq!(answer["restore"]["scope"], json!([scope]), "{answer}");
        let ended = service.wait();
        assert_eq!(ended["status"], "completed", "{ended}");
        assert_eq!(warnings(&ended), Vec::<String>::new(), "{ended}");
        assert_eq!(ended["restart_required"], false, "{ended}");
        assert_eq!(ended["set_aside_files"], 1, "{ended}");
        // Nothing is left to restore.
        let body = format!(r#"{{"backup_id":"{id}","restore_data":false,"confirm":true}}"#);
        let answer = service.post("/api/v1/backup/restore", &body);
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(
            answer.text.contains("nothing to restore"),
            "{}",
            answer.text
        );
    }
    assert!(std::fs::read(instance.path("data/arc.db")).unwrap() == database);
    assert!(named_like(&instance.path("data"), &["arc.db.before-restore"]).is_empty());
}

/// Guards against: a file of another database in a scoped backup, which no verification finds.
#[test]
fn a_file_out_of_the_scope_of_the_backup_does_not_verify() {
    let instance = small();
    let mut files = small_files();
    files.retain(|key, _| is_of(key, &["web", "iot"]));
    write_arcs(&instance.path("data/backups"), &["web"], &files);
    let (code, verified) = instance.json(&["verify", ARCS]);
    assert_eq!(code, 1, "{verified}");
    let problems = verified["problems"].to_string();
    assert!(
        problems.contains("not in the scope of the backup"),
        "{problems}"
    );
    let path = "data/iot/cpu/2027/01/14/00/a.parquet";
    assert!(problems.contains(path), "{problems}");
    // What is in scope is restored, and nothing else.
    put(&instance, "iot/cpu/2027/01/14/00/a.parquet", b"newer");
    let mut before = instance.live();
    put(&instance, "web/cpu/extra.parquet", b"extra");
    let (code, done) = instance.json(&["restore", ARCS, "--yes"]);
    assert_eq!(code, 0, "{done}");
    let warnings = done["warnings"].to_string();
    assert!(
        warnings.contains("5 files of other databases"),
        "{warnings}"
    );
    let mut after = instance.live();
    for data in [&mut before, &mut after] {
        data.retain(|key, _| !is_of(key, &["web"]));
    }
    assert!(before == after);
    // A scope that none of the files has is no reason to take the database away.
    write_arcs(&instance.path("data/backups"), &["web/cpu"], &files);
    let said = fails(&instance, &["restore", ARCS, "--yes"], 1);
    assert!(
        said.contains("none of its own") && said.contains("nothing was changed"),
        "{said}"
    );
}

/// Guards against: a command line that takes what REST refuses, or does not show the scope.
#[test]
fn the_command_line_has_the_same_rules_and_shows_the_scope() {
    let instance = small();
    for (names, named) in [
        (&["nowhere"][..], "nowhere"),
        (&["iot", "iot"], "twice"),
        (&["a/b"], "a/b"),
        (&[""], "is not the name"),
    ] {
        let arguments = names.iter().flat_map(|name| ["--database", name]);
        let arguments: Vec<_> = ["backup"].into_iter().chain(arguments).collect();
        let said = fails(&instance, &arguments, 2);
        assert!(said.contains(named), "{said}");
    }
    fails(&instance, &["backup", "--with-config"], 2);
    let whole = instance.backup();
    let list = instance.ok(&["list"]);
    assert!(!list.contains("SCOPE"), "{list}");
    assert!(!instance.ok(&["show", &whole]).contains("scope"));
    let arguments = ["backup", "--database", "web", "--database", "iot"];
    let id = instance.ok(&[&arguments[..], &["--with-config"]].concat());
    let shown = instance.ok(&["show", &id]);
    assert!(shown.contains("scope         iot, web"), "{shown}");
    assert!(instance.backup_folder(&id).join("config/arc.toml").exists());
    let list = instance.ok(&["list"]);
    assert!(
        list.contains("SCOPE") && list.contains("iot, web"),
        "{list}"
    );
    let status = instance.ok(&["status"]);
    assert!(status.contains("databases iot, web"), "{status}");
    let history = instance.ok(&["history"]);
    assert!(
        history.contains(&format!("{id} of iot, web in target")),
        "{history}"
    );
    assert!(history.contains(&format!("{whole} in target")), "{history}");
    let (_, list) = instance.json(&["list"]);
    assert_eq!(list["backups"][0]["scope"], json!(["iot", "web"]), "{list}");
    let preview = instance.run(&["restore", &id, "--yes"]);
    let preview = crate::support::text(&preview);
    assert!(
        preview.contains("iot, web: no other database is touched"),
        "{preview}"
    );
    // The folder of the database is there, and nothing is in it.
    std::fs::create_dir_all(instance.path("data/arc/empty")).unwrap();
    let (code, done) = instance.json(&["backup", "--database", "empty"]);
    assert_eq!(code, 0, "{done}");
    let warnings = done["warnings"].to_string();
    assert!(
        warnings.contains("\"empty\\\" has no data files"),
        "{warnings}"
    );
}
