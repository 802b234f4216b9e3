//! Restores that must not begin, that begin again, and that restore what is whole.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/faults/mod.rs"]
mod faults;
#[path = "support/scene.rs"]
mod scene;
#[path = "support/stores.rs"]
mod stores;
mod support;

use std::process::ExitCode;

use faults::faulty;
use libtest_mimic::{Arguments, Trial};
use scene::{live, small, strays};
use serde_json::{Value, json};
use stores::{Kind, Place, configure, contents, put, s3_server};
use support::{Instance, has_problem, named_like, text};

fn main() -> ExitCode {
    if let Some(code) = faults::child() {
        return code;
    }
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let trials = vec![
        trial(
            "a_backup_of_another_instance_is_not_restored_over_files_unasked",
            a_backup_of_another_instance_is_not_restored_over_files_unasked,
        ),
        trial(
            "a_copy_of_an_arc_toml_makes_no_instance_the_other",
            a_copy_of_an_arc_toml_makes_no_instance_the_other,
        ),
        trial(
            "what_a_restore_would_do_is_said_before",
            what_a_restore_would_do_is_said_before,
        ),
        trial(
            "an_arc_toml_that_names_other_places_is_restored_by_itself",
            an_arc_toml_that_names_other_places_is_restored_by_itself,
        ),
        trial(
            "what_is_whole_in_a_damaged_backup_is_restored_when_asked_for",
            what_is_whole_in_a_damaged_backup_is_restored_when_asked_for,
        ),
        trial(
            "what_is_whole_is_restored_to_s3",
            what_is_whole_is_restored_to_s3,
        ),
        trial(
            "what_a_restore_has_staged_is_used_by_the_next_one",
            what_a_restore_has_staged_is_used_by_the_next_one,
        ),
        trial(
            "what_a_restore_has_written_to_s3_is_not_written_again",
            what_a_restore_has_written_to_s3_is_not_written_again,
        ),
        trial(
            "a_request_has_a_timeout_of_its_own",
            a_request_has_a_timeout_of_its_own,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Runs a command that has to be refused with exit code 2, and to change nothing.
fn refused(instance: &Instance, arguments: &[&str], parts: &[&str]) {
    let before = live(instance);
    let output = instance.run(arguments);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{arguments:?}: no {part:?} in {said}");
    }
    assert!(live(instance) == before, "{arguments:?}: live data changed");
}

/// Changes what is live, but for the token that the tests use.
fn change(instance: &Instance) {
    let root = instance.path("data/arc");
    std::fs::write(root.join(LARGE), b"rewritten").unwrap();
    std::fs::remove_file(root.join("iot/temperature/b.parquet")).unwrap();
    std::fs::write(root.join("iot/added.parquet"), b"added").unwrap();
    let connection = rusqlite::Connection::open(instance.path("data/arc.db")).unwrap();
    let delete = "DELETE FROM api_tokens WHERE id > 1";
    connection.execute_batch(delete).unwrap();
}

fn restore_body(id: &str, fields: &Value) -> String {
    let mut body = json!({"backup_id": id, "confirm": true});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.to_string()
}

/// Lost otherwise: the data of a machine, to a backup of another one that has the same target.
fn a_backup_of_another_instance_is_not_restored_over_files_unasked() {
    let (production, other) = (small(), small());
    let target = production.path("shared").display().to_string();
    for instance in [&production, &other] {
        instance.configure(&format!(
            "default_target = \"shared\"\n[backup.targets.shared]\ntype = \"local\"\nlocal_path = \"{target}\""
        ));
    }
    for name in [LARGE, "iot/temperature/a.parquet"] {
        std::fs::write(other.path("data/arc").join(name), b"of the other").unwrap();
    }
    let id = production.backup();
    let own = other.backup();
    change(&other);
    let source = production.path("data/arc").display().to_string();
    let here = other.path("data/arc").display().to_string();
    let parts = [
        "is of another instance",
        &source,
        &here,
        "ago",
        "auth.db_path",
        "--into-other-instance",
    ];
    refused(&other, &["restore", &id, "--yes"], &parts);
    refused(&other, &["--json", "restore", &id, "--yes"], &parts);
    // Of a part of it, too; and its own is no other one's.
    refused(&other, &["restore", &id, "--yes", "--no-data"], &parts[..1]);
    refused(
        &other,
        &["restore", &id, "--yes", "--no-metadata"],
        &parts[..1],
    );
    let service = other.serve();
    let answer = service.post("/api/v1/backup/restore", &restore_body(&id, &json!({})));
    assert!(
        answer.status == 400 && parts.iter().all(|part| answer.text.contains(part)),
        "{answer:?}"
    );
    let (_, list) = other.json(&["list"]);
    let rows = list["backups"].as_array().unwrap();
    let row = |id: &str| rows.iter().find(|row| row["backup_id"] == id).unwrap();
    assert_ne!(row(&id)["instance"], row(&own)["instance"], "{list}");
    assert_eq!(row(&id)["source_location"], format!("local {source}"));
    // Asked for, over REST; and interrupted, which is completed without being asked for again.
    let fields = json!({"into_other_instance": true});
    let answer = service.post("/api/v1/backup/restore", &restore_body(&id, &fields));
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(
        answer.json()["restore"]["other_instance"],
        true,
        "{answer:?}"
    );
    assert_eq!(service.wait()["status"], "completed");
    drop(service);
    assert!(live(&other) == live(&production));
    other.ok(&["restore", &own, "--yes"]);
    let arguments = ["restore", &id, "--yes", "--into-other-instance"];
    let (killed, _) = faulty(&other, "die:after:2", "storage.promote", &arguments);
    assert_eq!(killed.status.code(), None, "{}", text(&killed));
    other.ok(&["restore", &id, "--yes"]);
    assert!(live(&other) == live(&production));
    // Nothing is there that could be lost.
    std::fs::remove_dir_all(other.path("data")).unwrap();
    other.ok(&["restore", &id, "--yes"]);
    assert!(live(&other) == live(&production));
}

/// Lost otherwise: production's data, to a test machine that has production's `arc.toml` and mounts
/// the same storage.
fn a_copy_of_an_arc_toml_makes_no_instance_the_other() {
    let instance = small();
    let id = instance.backup();
    let name = instance.path("data/backups/.arc-backup/instance-id");
    let own = std::fs::read_to_string(&name).unwrap();
    // One that has made backups of its own, and one that has made none.
    std::fs::write(&name, "0123456789abcdef0123456789abcdef").unwrap();
    let arguments = ["restore", &id, "--yes"];
    refused(
        &instance,
        &arguments,
        &["is of another instance", &own, "0123456789abcdef"],
    );
    std::fs::remove_file(&name).unwrap();
    refused(
        &instance,
        &arguments,
        &["is of another instance", "no instance name yet"],
    );
    // Configuration is no data.
    let output = instance.run(&[
        "restore",
        &id,
        "--yes",
        "--with-config",
        "--no-data",
        "--no-metadata",
    ]);
    assert!(output.status.success(), "{}", text(&output));
    std::fs::write(&name, own).unwrap();
    instance.ok(&arguments);
}

/// Lost otherwise: what somebody would not have confirmed, had they known.
fn what_a_restore_would_do_is_said_before() {
    let instance = small();
    let id = instance.backup();
    let before = live(&instance);
    change(&instance);
    let output = instance.run(&["restore", &id, "--yes"]);
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.status.success(), "{said}");
    let state = instance.path("data/arc").display().to_string();
    for part in [
        " ago (",
        &state,
        "iot, metrics",
        "SQLite        arc.db",
        "3 written (2 in place of live files, which are set aside)",
        "restart Arc",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let shown = said.lines().take_while(|line| !line.contains("completed"));
    for line in shown.filter(|line| !line.contains(&state)) {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert!(live(&instance) == before);
    // The same figures, in one document; and over REST before and after.
    change(&instance);
    let (code, done) = instance.json(&["restore", &id, "--yes"]);
    assert_eq!(code, 0, "{done}");
    let plan = json!({
        "unchanged_files": done["unchanged_files"],
        "written_files": 3,
        "replaced_files": 2,
        "extra_files": 1,
        "extra_files_policy": "set_aside",
        "bytes_to_write": done["plan"]["bytes_to_write"],
    });
    assert_eq!(done["plan"], plan, "{done}");
    change(&instance);
    let service = instance.serve();
    let answer = service.post("/api/v1/backup/restore", &restore_body(&id, &json!({})));
    let told = &answer.json()["restore"];
    assert_eq!(told["plan"], plan, "{answer:?}");
    assert_eq!(told["other_instance"], false, "{answer:?}");
    let databases = told["destination"]["databases"].as_array().unwrap();
    assert_eq!(
        databases[0],
        instance.path("data/arc.db").display().to_string()
    );
    let ended = service.wait();
    assert_eq!(ended["plan"], plan, "{ended}");
    assert_eq!(
        told["source"]["instance"],
        told["destination"]["storage"]["instance"]
    );
}

/// Lost otherwise: all of it, to a new host: restored to the defaults of a small `arc.toml`, while
/// Arc looks where the restored one says.
fn an_arc_toml_that_names_other_places_is_restored_by_itself() {
    let production = small();
    let config = production.path("arc.toml");
    let text_of = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
    let elsewhere = (text_of(&config).replace("./data/arc\"", "./store/arc\""))
        .replace("./data/arc.db\"", "./store/arc.db\"");
    std::fs::write(&config, elsewhere).unwrap();
    std::fs::create_dir(production.path("store")).unwrap();
    for name in ["arc", "arc.db"] {
        let from = production.path(&format!("data/{name}"));
        std::fs::rename(from, production.path(&format!("store/{name}"))).unwrap();
    }
    let id = production.backup();
    let target = production.path("data/backups").display().to_string();
    let small_one = format!(
        "[auth]\nenabled = false\n[backup]\ndefault_target = \"old\"\n\
         [backup.targets.old]\ntype = \"local\"\nlocal_path = \"{target}\"\n"
    );
    let host = Instance::with_config(&small_one);
    let (data, database) = (host.path("data/arc"), host.path("data/arc.db"));
    let untouched = |case: &str| {
        assert!(!data.exists() && !database.exists(), "{case}");
        assert_eq!(text_of(&host.path("arc.toml")), small_one, "{case}");
    };
    let place = |rest: &str| host.path(rest).display().to_string();
    let parts = [
        "`storage.local_path` is",
        &place("store/arc"),
        &place("data/arc"),
        "`auth.db_path` is",
        &place("store/arc.db"),
        "(Arc's default)",
        "--with-config --no-data --no-metadata",
    ];
    let refused = |arguments: &[&str], parts: &[&str], missing: &[&str]| {
        let output = host.run(arguments);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert!(!missing.iter().any(|part| said.contains(part)), "{said}");
        untouched(&said);
    };
    let all = ["restore", &id, "--with-config", "--yes"];
    refused(&all, &parts, &[]);
    let some = [&all[..], &["--no-data"]].concat();
    refused(&some, &["`auth.db_path` is"], &["storage.local_path"]);
    let some = [&all[..], &["--no-metadata"]].concat();
    refused(&some, &["`storage.local_path` is"], &["auth.db_path"]);
    let service = host.serve();
    let body = restore_body(&id, &json!({"restore_config": true}));
    let answer = service.post("/api/v1/backup/restore", &body);
    assert!(
        answer.status == 400 && parts.iter().all(|part| answer.text.contains(part)),
        "{answer:?}"
    );
    drop(service);
    untouched("REST");
    // Variables are in force over both files: then both mean the same places.
    let mut named = host.command(&all);
    named.env("ARC_STORAGE_LOCAL_PATH", place("mine/arc"));
    named.env("ARC_AUTH_DB_PATH", place("mine/arc.db"));
    let output = named.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(host.path("mine/arc.db").exists() && !data.exists());
    // In two steps, with the small one again.
    std::fs::write(host.path("arc.toml"), &small_one).unwrap();
    host.ok(&[&all[..], &["--no-data", "--no-metadata"]].concat());
    assert_eq!(text_of(&host.path("arc.toml")), text_of(&config));
    host.configure(&small_one[small_one.find("[backup.targets").unwrap()..]);
    // A restore that was interrupted there is completed without a word, and nothing that it had not
    // begun is.
    let part = ["restore", &id, "--yes", "--target", "old", "--no-data"];
    let (killed, _) = faulty(&host, "die:before:1", "source-metadata.apply", &part);
    assert_eq!(killed.status.code(), None, "{}", text(&killed));
    std::fs::create_dir_all(host.path("store/arc/iot")).unwrap();
    std::fs::write(host.path("store/arc/iot/of_another.parquet"), "x").unwrap();
    let more = ["restore", &id, "--yes", "--target", "old"];
    let output = host.run(&more);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--into-other-instance"), "{said}");
    std::fs::remove_dir_all(host.path("store/arc")).unwrap();
    host.ok(&["restore", &id, "--yes", "--target", "old"]);
    let tree = |instance: &Instance| support::tree(&instance.path("store/arc"));
    assert!(tree(&host) == tree(&production));
    assert!(!data.exists() && host.path("store/arc.db").exists());
    // What names the same places goes in one.
    let again = ["--target", "old", "--into-other-instance"];
    host.ok(&[&all[..], &again].concat());
}

const LARGE: &str = "metrics/large.parquet";

fn flip(path: &std::path::Path) {
    let modified = std::fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(modified).unwrap();
}

/// Lost otherwise: all of the only backup there is, to one file of it; or what is live where that
/// has none.
fn what_is_whole_in_a_damaged_backup_is_restored_when_asked_for() {
    let instance = small();
    let id = instance.backup();
    let folder = instance.backup_folder(&id);
    let lines = std::fs::read_to_string(folder.join("inventory.jsonl")).unwrap();
    let all = lines.lines().count() - 1;
    let old = live(&instance);
    let gone = "iot/temperature/a.parquet";
    flip(&folder.join("data").join(LARGE));
    std::fs::remove_file(folder.join("data").join(gone)).unwrap();
    change(&instance);
    let before = live(&instance);
    let output = instance.run(&["restore", &id, "--yes"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "the only backup in target `local`",
        "--skip-damaged",
        "nothing was changed",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(live(&instance) == before);
    let skip = ["restore", &id, "--yes", "--skip-damaged"];
    refused(
        &instance,
        &[&skip[..], &["--extra-files", "remove"]].concat(),
        &["--skip-damaged"],
    );
    let (code, done) = instance.json(&skip);
    assert_eq!((code, &done["status"]), (1, &"failed".into()), "{done}");
    let error = done["error"].as_str().unwrap();
    let told = format!("restored {} of {all} files; 2 are damaged", all - 2);
    assert!(error.contains(&told), "{error}");
    assert!(
        has_problem(&done, &format!("data/{LARGE}"), "checksum"),
        "{done}"
    );
    assert!(
        has_problem(&done, &format!("data/{gone}"), "missing"),
        "{done}"
    );
    assert_eq!(done["problem_count"], 2, "{done}");
    // All but what is damaged is the backup's; that is as it was.
    let (mut wanted, now) = (old.clone(), live(&instance));
    wanted.0.insert(LARGE.to_owned(), b"rewritten".to_vec());
    assert!(now == wanted, "{:?}", now.0.keys());
    assert!(before.0.contains_key("iot/added.parquet"));
    let (_, status) = instance.json(&["status"]);
    assert_eq!(status.get("restore_in_progress"), None, "{status}");
    assert_eq!(
        named_like(&instance.path("data"), &[".tmp"]),
        Vec::<String>::new()
    );
    // A damaged database stays as it is, too, and so does one over REST.
    flip(&folder.join("metadata/arc.db"));
    change(&instance);
    let service = instance.serve();
    let body = restore_body(&id, &json!({"skip_damaged": true}));
    let answer = service.post("/api/v1/backup/restore", &body);
    assert_eq!(answer.status, 202, "{answer:?}");
    let ended = service.wait();
    assert_eq!(ended["status"], "failed", "{ended}");
    assert!(
        has_problem(&ended, "metadata/arc.db", "checksum"),
        "{ended}"
    );
    let now = live(&instance);
    assert!(now.0 == wanted.0 && now.1 != old.1);
}

/// An instance with its data in S3, and a backup of it in the local target `far`.
fn in_s3(server: &arc_backup_test_s3::S3Server) -> (Instance, Place, String) {
    let instance = small();
    let data = stores::storage(Kind::S3, &instance, server, true);
    let far = Place::local(&instance, "data/far");
    configure(&instance, &data, &far);
    let id = instance.ok(&["backup", "--target", "far"]);
    (instance, data, id)
}

/// The same, where nothing can be staged: what is damaged is known before the first object is
/// written.
fn what_is_whole_is_restored_to_s3() {
    let server = s3_server();
    let (instance, data, id) = in_s3(&server);
    let mut wanted = contents(&data.sink);
    flip(&instance.path("data/far").join(&id).join("data").join(LARGE));
    for key in wanted.keys() {
        put(&data.sink, key, b"rewritten");
    }
    put(&data.sink, "iot/added.parquet", b"added");
    let (code, done) = instance.json(&["restore", &id, "--yes", "--skip-damaged"]);
    assert_eq!(code, 1, "{done}");
    assert!(
        has_problem(&done, &format!("data/{LARGE}"), "checksum"),
        "{done}"
    );
    wanted.insert(LARGE.to_owned(), b"rewritten".to_vec());
    assert!(contents(&data.sink) == wanted, "{done}");
    let (_, status) = instance.json(&["status"]);
    assert_eq!(status.get("restore_in_progress"), None, "{status}");
}

/// Lost otherwise: hours of copying, to a restore that was not given enough of them, or was killed.
fn what_a_restore_has_staged_is_used_by_the_next_one() {
    let instance = small();
    let (id, other) = (instance.backup(), instance.backup());
    let old = live(&instance);
    let root = instance.path("data/arc");
    let lose = || {
        std::fs::remove_dir_all(&root).unwrap();
        std::fs::create_dir(&root).unwrap();
    };
    let staged = || named_like(&root, &[".arc-backup-"]);
    let kill = || {
        lose();
        let arguments = ["restore", &id, "--yes"];
        let (killed, _) = faulty(&instance, "die:before:6", "storage.commit", &arguments);
        assert_eq!(killed.status.code(), None, "{}", text(&killed));
        assert_eq!(staged().len(), 6);
    };
    let whole = |done: &Value, reused: Option<u64>, case: &str| {
        assert_eq!(
            done.get("reused_files").and_then(Value::as_u64),
            reused,
            "{case}: {done}"
        );
        assert!(live(&instance) == old, "{case}");
        assert_eq!(staged(), Vec::<String>::new(), "{case}");
        assert_eq!(strays(&instance, false, case), Vec::<String>::new());
    };
    lose();
    let arguments = ["restore", &id, "--yes", "--timeout", "1s"];
    let (late, _) = faulty(&instance, "delay:2500:6", "storage.commit", &arguments);
    let said = text(&late);
    assert_eq!(late.status.code(), Some(1), "{said}");
    for part in [
        "the timeout of the request (1 s)",
        "nothing was changed",
        "staged files (6)",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let (_, swept) = instance.json(&["sweep"]);
    assert_eq!(swept["staged_files"], 6, "{swept}");
    // One that ends before it comes to them throws nothing away, planned or not.
    for call in ["source-metadata.plan", "source-data.plan"] {
        // Without the preview, which makes a plan of its own.
        let arguments = ["--json", "restore", &id, "--yes"];
        let (early, _) = faulty(&instance, "unavailable:1", call, &arguments);
        assert_eq!(early.status.code(), Some(1), "{}", text(&early));
        assert_eq!(staged().len(), 6, "{call}");
    }
    // One of them is not what it was: it is copied again.
    flip(std::path::Path::new(&staged()[2]));
    let (code, done) = instance.json(&["restore", &id, "--yes"]);
    assert_eq!(code, 0, "{done}");
    whole(&done, Some(5), "after a timeout");
    kill();
    let (code, done) = instance.json(&["restore", &id, "--yes"]);
    assert_eq!(code, 0, "{done}");
    whole(&done, Some(5), "after a death");
    // What is live is the same by now: what was staged for it is of no use.
    kill();
    support::copy_tree(&instance.backup_folder(&id).join("data"), &root);
    let (code, done) = instance.json(&["restore", &id, "--yes"]);
    assert_eq!(code, 0, "{done}");
    whole(&done, None, "nothing needed");
    kill();
    let (code, done) = instance.json(&["restore", &other, "--yes"]);
    assert_eq!(code, 0, "{done}");
    whole(&done, None, "another backup");
    kill();
    instance.ok(&["sweep", "--apply"]);
    assert_eq!(staged(), Vec::<String>::new());
    let (_, done) = instance.json(&["restore", &id, "--yes"]);
    whole(&done, None, "swept");
}

/// Where nothing is staged, objects that were written are live, and the same.
fn what_a_restore_has_written_to_s3_is_not_written_again() {
    let server = s3_server();
    let (instance, data, id) = in_s3(&server);
    let old = contents(&data.sink);
    let keys: Vec<&str> = old.keys().map(String::as_str).collect();
    stores::delete(&data.sink, &keys);
    let arguments = ["restore", &id, "--yes"];
    let (killed, _) = faulty(&instance, "die:before:6", "storage.commit", &arguments);
    assert_eq!(killed.status.code(), None, "{}", text(&killed));
    let written = contents(&data.sink).into_keys();
    let written = written
        .filter(|key| !key.starts_with(".arc-backup"))
        .count();
    assert!(written >= 4, "{written}");
    let (code, done) = instance.json(&arguments);
    assert_eq!(code, 0, "{done}");
    assert_eq!(done["unchanged_files"], written, "{done}");
    assert!(contents(&data.sink) == old);
}

/// Lost otherwise: a restore of more than two hours.
fn a_request_has_a_timeout_of_its_own() {
    let instance = small();
    instance.configure("timeout = \"1s\"");
    let run = |arguments: &[&str]| {
        let (output, _) = faulty(&instance, "delay:1500:3", "target.commit", arguments);
        (output.status.code(), text(&output))
    };
    let (code, said) = run(&["backup"]);
    assert!(
        code == Some(1) && said.contains("`backup.timeout` (1 s)"),
        "{said}"
    );
    let (code, said) = run(&["backup", "--timeout", "0"]);
    assert_eq!(code, Some(0), "{said}");
    let path = instance.path("arc.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, config.replace("timeout = \"1s\"", "timeout = 0")).unwrap();
    let (code, said) = run(&["backup", "--timeout", "1s"]);
    assert!(
        code == Some(1) && said.contains("of the request (1 s)"),
        "{said}"
    );
    let (code, said) = run(&["backup"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        instance.run(&["backup", "--timeout", "soon"]).status.code(),
        Some(2)
    );
    let service = instance.serve();
    let answer = service.post("/api/v1/backup", r#"{"timeout": "soon"}"#);
    assert!(
        answer.status == 400 && answer.text.contains("6h"),
        "{answer:?}"
    );
    let answer = service.post("/api/v1/backup", r#"{"timeout": "6h"}"#);
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(service.wait()["status"], "completed");
}
