//! Notes beside the backups: when each was last verified, and which files its samples have read.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use std::path::PathBuf;

use serde_json::{Value, json};
use support::{ARC_OLD, Instance, text};

fn note(instance: &Instance, id: &str) -> PathBuf {
    instance.path(&format!("data/backups/.arc-backup/notes/{id}.json"))
}

fn read(path: &PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The row of a backup in the listing.
fn listed(instance: &Instance, id: &str) -> Value {
    let (code, list) = instance.json(&["list"]);
    assert_eq!(code, 0, "{list}");
    let mut rows = list["backups"].as_array().unwrap().iter();
    rows.find(|row| row["backup_id"] == id).unwrap().clone()
}

/// Changes a byte of a file of the backup.
fn flip(instance: &Instance, id: &str, path: &str) {
    let path = instance.backup_folder(id).join(path);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// Guards against backups of which nobody can see whether they were verified.
#[test]
fn the_list_shows_when_each_backup_was_verified_and_the_result() {
    let instance = Instance::new();
    let id = instance.backup();
    let manifest = instance.backup_folder(&id).join("manifest.json");
    let sealed = std::fs::read(&manifest).unwrap();
    assert_eq!(listed(&instance, &id).get("last_verified"), None);
    assert!(instance.ok(&["list"]).contains("unverified"));
    let (_, verified) = instance.json(&["verify", &id]);
    let row = listed(&instance, &id);
    let last = &row["last_verified"];
    assert_eq!(
        (&last["mode"], &last["ok"], &last["operation_id"]),
        (&json!("full"), &json!(true), &verified["operation_id"]),
        "{row}"
    );
    assert!(
        last["at"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .is_ok()
    );
    instance.ok(&["verify", ARC_OLD, "--quick"]);
    assert_eq!(listed(&instance, ARC_OLD)["last_verified"]["mode"], "quick");
    assert!(instance.ok(&["list"]).contains("ok ("));

    flip(&instance, &id, "metadata/arc.db");
    assert_eq!(instance.run(&["verify", &id]).status.code(), Some(1));
    assert_eq!(listed(&instance, &id)["last_verified"]["ok"], false);
    assert!(instance.ok(&["list"]).contains("DAMAGED"));
    assert!(
        std::fs::read(&manifest).unwrap() == sealed,
        "the manifest changed"
    );

    let service = instance.serve();
    let list = service.get("/api/v1/backup").json();
    let mut rows = list["backups"].as_array().unwrap().iter();
    let row = rows.find(|row| row["backup_id"] == id.as_str()).unwrap();
    assert_eq!(row["last_verified"]["ok"], false, "{row}");
}

/// Guards against a verification that hides known damage because it did not read the damaged file.
#[test]
fn a_failed_verification_shows_until_a_full_one_is_clean() {
    let instance = Instance::new();
    let id = instance.backup();
    let service = instance.serve();
    let victim = support::data_file(&instance.backup_folder(&id));
    let state = |expected: &str| {
        let row = listed(&instance, &id);
        let shown = service.get(&format!("/api/v1/backup/{id}")).json();
        let (_, detail) = instance.json(&["show", &id]);
        assert_eq!(row["state"], expected, "{row}");
        assert_eq!(
            (&shown["state"], &shown["has_checksums"]),
            (&row["state"], &json!(true))
        );
        assert_eq!(detail, shown);
        assert_eq!((&row["files"], &shown["files"]), (&json!(107), &json!(107)));
        assert_eq!(
            row.get("last_failed").is_some() || row["last_verified"]["ok"] == false,
            expected == "damaged"
        );
    };
    let verify = |arguments: &[&str], code: i32, state: &str| {
        let (done, verified) = instance.json(&[&["verify", &id], arguments].concat());
        assert_eq!(
            (done, &verified["backup_state"]),
            (code, &json!(state)),
            "{verified}"
        );
    };
    state("unverified");
    flip(&instance, &id, &victim);
    verify(&[], 1, "damaged");
    state("damaged");
    // Neither reads the damaged byte.
    verify(&["--quick"], 0, "damaged");
    state("damaged");
    assert!(instance.ok(&["list"]).contains("DAMAGED"));
    flip(&instance, &id, &victim);
    verify(&["--sample", "100%"], 0, "damaged");
    verify(&[], 0, "ok");
    state("ok");
    assert_eq!(listed(&instance, ARC_OLD)["has_checksums"], false);
    assert_eq!(listed(&instance, ARC_OLD).get("files"), None);
}

/// Guards against a night without a backup that nobody notices, and a monitoring host that needs
/// the admin token.
#[test]
fn check_says_in_a_line_whether_backups_are_as_they_should_be() {
    const MONITOR: &str = "a-long-random-text";
    let instance = Instance::new();
    std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
    instance.configure(&format!("[arc_backup]\nmonitor_token = \"{MONITOR}\""));
    let service = instance.serve();
    let check = |arguments: &[&str], code: i32, words: &[&str]| {
        let output = instance.run(&[&["check"], arguments].concat());
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.lines().count() == 1 || code == 2, "{said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?}: {said}");
        }
    };
    let ask = |token: &str, query: &str| {
        let bearer = format!("Bearer {token}");
        let path = format!("/api/v1/backup/check{query}");
        service.request("GET", &path, &[("authorization", &bearer)], None)
    };
    check(&[], 1, &["CRITICAL: target local: no good backup"]);
    assert_eq!(ask(MONITOR, "").status, 503);
    let id = instance.backup();
    let newest = format!("OK: target local: newest backup {id} ");
    check(&[], 0, &[&newest, "s old (limit 26h), never verified"]);
    check(
        &["--verified-within", "7d"],
        1,
        &["CRITICAL: target local: never verified (limit 7d)"],
    );
    check(&["--max-age", "0s"], 1, &["CRITICAL"]);
    check(
        &["--min-backups", "2"],
        1,
        &["1 good backups of at least 2"],
    );
    check(&["--max-age", "soon"], 2, &["26h"]);
    check(&["--target", "moon"], 2, &["known targets: local"]);
    instance.ok(&["verify", &id]);
    check(
        &["--verified-within", "7d"],
        0,
        &["verified ", " ago (limit 7d)"],
    );
    let (code, report) = instance.json(&["check"]);
    assert_eq!((code, &report["targets"][0]["newest"]), (0, &json!(id)));

    let answer = ask(MONITOR, "?max_age=26h&verified_within=7d");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json()["line"].as_str().unwrap().starts_with(&newest));
    let late = ask(MONITOR, "?max_age=0s");
    assert_eq!((late.status, &late.json()["ok"]), (503, &json!(false)));
    assert_eq!(ask(MONITOR, "?max_age=soon").status, 400);
    // The sample's read-only token, and no token.
    assert_eq!(
        ask("UpknfaHWF-HAvX1ulEQcqGd80NSbGfVket_EWtdvLFQ=", "").status,
        200
    );
    assert_eq!(ask("nobody", "").status, 401);
    for (method, path) in [
        ("GET", ""),
        ("GET", "/status"),
        ("POST", ""),
        ("POST", "/restore"),
    ] {
        let bearer = format!("Bearer {MONITOR}");
        let path = format!("/api/v1/backup{path}");
        let answer = service.request(method, &path, &[("authorization", &bearer)], None);
        assert_eq!(answer.status, 403, "{method} {path}");
    }
    flip(&instance, &id, "metadata/arc.db");
    assert_eq!(instance.run(&["verify", &id]).status.code(), Some(1));
    check(&[], 1, &["no good backup", &format!("{id} is damaged")]);
}

/// Guards against losing fields of a newer release, and failing because of a damaged note.
#[test]
fn unknown_fields_stay_and_a_broken_note_is_rewritten() {
    let instance = Instance::new();
    let id = instance.backup();
    let path = note(&instance, &id);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, r#"{"pin":{"by":"me"},"label":"before"}"#).unwrap();
    instance.ok(&["verify", &id, "--quick"]);
    let kept = read(&path);
    assert_eq!(
        (
            &kept["pin"]["by"],
            &kept["label"],
            &kept["last_verified"]["mode"]
        ),
        (&json!("me"), &json!("before"), &json!("quick")),
        "{kept}"
    );
    for broken in ["", "{", "[]", "\u{0}\u{1}"] {
        std::fs::write(&path, broken).unwrap();
        assert_eq!(
            listed(&instance, &id).get("last_verified"),
            None,
            "{broken}"
        );
        let (code, verified) = instance.json(&["verify", &id]);
        assert_eq!(code, 0, "{verified}");
        assert!(
            verified["warnings"][0]
                .as_str()
                .unwrap()
                .contains("is not a note")
        );
        assert_eq!(read(&path)["last_verified"]["ok"], true, "{broken}");
        // It may have had one.
        assert!(read(&path)["pin"].is_object(), "{broken}");
    }
    // A field that is not understood costs no other.
    std::fs::write(&path, r#"{"last_verified":7,"pin":"legal hold"}"#).unwrap();
    instance.ok(&["verify", &id, "--quick"]);
    let kept = read(&path);
    assert_eq!(kept["last_verified"]["mode"], "quick", "{kept}");
    assert_eq!(kept["pin"], "legal hold", "{kept}");
}

/// Guards against a verification that fails because the target can't be written.
#[test]
fn a_note_that_cannot_be_written_is_a_warning() {
    let instance = Instance::new();
    let id = instance.backup();
    let path = note(&instance, &id);
    // A folder in its place: not even root can write a file there.
    std::fs::create_dir_all(path.join("full")).unwrap();
    let (code, verified) = instance.json(&["verify", &id]);
    assert_eq!(
        (code, &verified["status"]),
        (0, &json!("completed")),
        "{verified}"
    );
    let warnings = verified["warnings"].to_string();
    assert!(warnings.contains("cannot record"), "{warnings}");
    // A sample is drawn at random each time.
    let drawn: std::collections::BTreeSet<_> = (0..8)
        .map(|_| {
            let (code, verified) = instance.json(&["verify", &id, "--sample", "25%"]);
            assert_eq!(code, 0, "{verified}");
            assert!(
                verified["warnings"]
                    .to_string()
                    .contains("this sample is random")
            );
            verified["processed_bytes"].as_u64()
        })
        .collect();
    assert!(drawn.len() > 1, "each sample reads the same files");
    let output = instance.run(&["list"]);
    assert!(
        output.status.success() && text(&output).contains(&id),
        "{}",
        text(&output)
    );
    instance.ok(&["delete", &id, "--yes", "--even-last"]);
}

/// Guards against a note that survives its backup, and removing the notes of others.
#[test]
fn a_deletion_removes_its_note_and_a_sweep_keeps_the_others() {
    let instance = Instance::new();
    let (first, second) = (instance.backup(), instance.backup());
    for id in [&first, &second] {
        instance.ok(&["verify", id, "--quick"]);
    }
    instance.ok(&["delete", &first, "--yes", "--even-last"]);
    instance.ok(&["sweep", "--apply"]);
    assert!(!note(&instance, &first).exists());
    assert_eq!(listed(&instance, &second)["last_verified"]["ok"], true);
    let folder = note(&instance, &second);
    let files = std::fs::read_dir(folder.parent().unwrap()).unwrap().count();
    assert_eq!(files, 1);
}

/// Guards against a damaged file that no sample ever reads.
#[test]
fn samples_take_turns_until_every_file_was_read() {
    let instance = Instance::new();
    let id = instance.backup();
    let folder = instance.backup_folder(&id);
    let victim = support::data_file(&folder);
    flip(&instance, &id, &victim);
    let (mut found, mut read) = (0, 0);
    for covered in [0.25, 0.5, 0.75, 1.0] {
        let (code, verified) = instance.json(&["verify", &id, "--sample", "25%"]);
        let faults = verified["problems"].as_array().unwrap();
        assert_eq!(code, i32::from(!faults.is_empty()), "{verified}");
        assert!(
            faults.iter().all(|fault| fault["path"] == *victim),
            "{verified}"
        );
        found += faults.len();
        read += verified["total_files"].as_u64().unwrap();
        let sample = &verified["sample"];
        assert_eq!(
            (&sample["of_files"], &sample["covered"]),
            (&json!(107), &json!(covered))
        );
        let last = &listed(&instance, &id)["last_verified"];
        assert_eq!(
            (&last["mode"], &last["ok"], &last["share"], &last["covered"]),
            (
                &json!("sample"),
                &json!(code == 0),
                &json!(0.25),
                &json!(covered)
            ),
            "{last}"
        );
    }
    assert_eq!((found, read), (1, 107), "a file was read twice or never");
    // Another kind of verification in between does not change the order.
    instance.ok(&["verify", &id, "--quick"]);
    let (_, verified) = instance.json(&["verify", &id, "--sample", "50%"]);
    assert_eq!(verified["sample"]["covered"], 0.5, "{verified}");
}
