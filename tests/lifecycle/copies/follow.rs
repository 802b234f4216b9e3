//! Copies that follow a backup: `copy_to`, `--copy-to`, and over REST.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{fails, holders, two_folders};
use crate::support::{Instance, Service, text};

fn with_copies() -> Instance {
    let instance = two_folders();
    instance.configure(
        "[backup.targets.third]\ntype = \"local\"\nlocal_path = \"./third\"\n\
         [arc_backup]\ncopy_to = [\"far\"]",
    );
    instance
}

/// Guards against: a second place that holds nothing, as nobody copied.
#[test]
fn a_backup_is_copied_to_the_configured_targets() {
    let instance = with_copies();
    let id = instance.ok(&["backup"]);
    assert_eq!(holders(&instance, &id), ["far", "near"]);
    let alone = instance.ok(&["backup", "--no-copy"]);
    assert_eq!(holders(&instance, &alone), ["near"]);
    let both = ["backup", "--copy-to", "far", "--copy-to", "third"];
    let (code, made) = instance.json(&both);
    let id = made["backup_id"].as_str().unwrap();
    assert_eq!(code, 0, "{made}");
    let copies = made["copies"].as_array().unwrap();
    let to: Vec<_> = copies.iter().map(|copy| &copy["to_target"]).collect();
    assert_eq!(to, ["far", "third"], "{made}");
    assert_eq!(holders(&instance, id), ["far", "near", "third"]);
    // Made in the target that copies go to: there is nothing left to do.
    let there = instance.ok(&["backup", "--target", "far"]);
    assert_eq!(holders(&instance, &there), ["far"]);
    // By its id, it is the original that is copied.
    let (code, ended) = instance.json(&["copy", id, "--to", "third"]);
    assert_eq!((code, &ended["unchanged"]), (0, &true.into()), "{ended}");
    instance.ok(&["check"]);
}

/// Guards against: a backup that is lost or called failed as its copy failed, and a failed copy
/// that is called done.
#[test]
fn a_target_that_is_down_is_told_and_the_others_get_their_copies() {
    let instance = with_copies();
    std::fs::write(instance.path("far"), b"no folder").unwrap();
    let output = instance.run(&["backup", "--copy-to", "far", "--copy-to", "third"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let id = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(said.contains("not copied to far"), "{said}");
    std::fs::remove_file(instance.path("far")).unwrap();
    assert_eq!(holders(&instance, &id), ["near", "third"]);
    let (_, history) = instance.json(&["history"]);
    let rows: Vec<_> = (history["operations"].as_array().unwrap().iter())
        .map(|row| (&row["operation"], &row["status"], &row["to_target"]))
        .collect();
    let (none, row) = (&Value::Null, |name: &str| json!(name));
    let [copy, backup, far, third] = ["copy", "backup", "far", "third"].map(row);
    let [done, failed] = ["completed", "failed"].map(row);
    assert_eq!(
        rows,
        [
            (&copy, &done, &third),
            (&copy, &failed, &far),
            (&backup, &done, none)
        ],
        "{history}"
    );
    instance.ok(&["copy", &id, "--to", "far"]);
    assert_eq!(holders(&instance, &id), ["far", "near", "third"]);
}

/// Waits until the history has so many copies that have ended.
fn wait_for_copies(service: &Service, count: usize) -> Vec<Value> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let path = "/api/v1/backup/operations?operation=copy";
        let rows = service.get(path).json()["operations"].clone();
        let rows: Vec<_> = (rows.as_array().unwrap().iter())
            .filter(|row| row["status"] != "running")
            .cloned()
            .collect();
        if rows.len() >= count {
            return rows;
        }
        assert!(Instant::now() < until, "no copies: {rows:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Guards against: a service that does not copy, or copies what nobody asked for.
#[test]
fn the_service_copies_what_it_made() {
    let instance = with_copies();
    let service = instance.serve();
    let accepted = service.post("/api/v1/backup", r#"{"copy_to": ["third", "far"]}"#);
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let id = accepted.json()["backup_id"].as_str().unwrap().to_owned();
    let copies = wait_for_copies(&service, 2);
    assert!(
        copies.iter().all(|copy| copy["status"] == "completed"),
        "{copies:?}"
    );
    assert!(
        copies.iter().all(|copy| copy["origin"] == "rest"),
        "{copies:?}"
    );
    assert_eq!(holders(&instance, &id), ["far", "near", "third"]);
    let accepted = service.post("/api/v1/backup", r#"{"copy_to": []}"#);
    let alone = accepted.json()["backup_id"].as_str().unwrap().to_owned();
    assert_eq!(service.wait()["status"], "completed");
    let path = format!("/api/v1/backup/{alone}/copy");
    for (body, status, said) in [
        (r#"{"to":"moon"}"#, 400, "moon"),
        (r#"{"to":"near"}"#, 400, "alone"),
        (r#"{"to":7}"#, 400, "to"),
        ("{}", 400, "to"),
        ("", 400, "to"),
        (r#"{"to":"far","timeout":"soon"}"#, 400, "timeout"),
    ] {
        let answer = service.post(&path, body);
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.text.contains(said), "{body}: {answer:?}");
    }
    assert_eq!(holders(&instance, &alone), ["near"]);
    let accepted = service.post(&path, r#"{"to":"far","target":"near"}"#);
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let ended = service.wait();
    assert_eq!(ended["operation"], "copy", "{ended}");
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(
        (&ended["target"], &ended["to_target"]),
        (&json!("near"), &json!("far"))
    );
    let shown = service
        .get(&format!("/api/v1/backup/{alone}?target=far"))
        .json();
    assert_eq!(shown["copied_from"]["target"], "near", "{shown}");
    assert_eq!(
        service
            .post("/api/v1/backup", r#"{"copy_to":["moon"]}"#)
            .status,
        400
    );
    drop(service);
    fails(
        &instance,
        &["copy", &alone, "--to", "far", "--wait", "1s"],
        0,
        &["already in target far"],
    );
}
