//! Objects of the base that are missing, overwritten, archived, or can't be copied.

use std::time::Duration;

use arc_backup_test_s3::{Fault, Rule, S3Server, Verb};
use serde_json::Value;

use super::stores::done;
use super::targets::{in_buckets, made};
use crate::support::Service;

const KEY: &str = "iot/cpu/2026/01/03/000003.parquet";
const INCREMENTAL: &str = r#"{"target":"far","type":"incremental"}"#;
const FULL: &str = r#"{"target":"far"}"#;

fn stored(id: &str) -> String {
    format!("of/arc-1/{id}/data/{KEY}")
}

fn states(service: &Service) -> Vec<Value> {
    let list = service.get("/api/v1/backup?target=far").json();
    let backups = list["backups"].as_array().unwrap();
    backups.iter().map(|one| one["state"].clone()).collect()
}

/// The newest backup has every byte, and the one before it is noted as damaged.
fn assert_found(service: &Service, (id, one): &(String, Value), reused: usize, case: &str) {
    let said = one["warnings"].to_string();
    assert!(said.contains("is damaged"), "{case}: {said}");
    assert!(said.contains(KEY), "{case}: {said}");
    assert_eq!(one["reused_files"], reused, "{case}: {one}");
    done(service, &format!("/api/v1/backup/{id}/verify"), "");
    assert_eq!(states(service)[1], "damaged", "{case}");
}

/// Guards against: a backup that refers to objects which are gone, whether a holder's folder is
/// listed, or each object is asked for.
#[test]
fn objects_that_are_gone_are_copied_from_the_data() {
    for count in [80, 5] {
        for body in [INCREMENTAL, FULL] {
            let case = format!("{count} files, {body}");
            let (instance, server, _live) = in_buckets(count);
            let service = instance.serve();
            let (first, _) = made(&service, FULL);
            server.remove("backups", &stored(&first));
            let second = made(&service, body);
            assert_found(&service, &second, count - 1, &case);
        }
    }
}

/// Guards against: a line of warning for each of a thousand files that are missing.
#[test]
fn many_missing_objects_are_one_warning() {
    let (instance, server, _live) = in_buckets(80);
    let service = instance.serve();
    let (first, _) = made(&service, FULL);
    for key in server.keys("backups") {
        if key.contains(&format!("{first}/data/iot")) {
            server.remove("backups", &key);
        }
    }
    let (_, one) = made(&service, INCREMENTAL);
    let warnings = one["warnings"].as_array().unwrap();
    let damaged = |text: &&Value| text.as_str().unwrap().contains("is damaged");
    assert_eq!(warnings.iter().filter(damaged).count(), 1, "{one}");
    let said = one["warnings"].to_string();
    assert!(said.contains("80 of its files"), "{said}");
}

/// Guards against: bytes that something wrote over an object after its backup was made, which go
/// into each later backup, a full one too.
#[test]
fn an_object_that_was_written_again_is_read() {
    for body in [INCREMENTAL, FULL] {
        let (instance, server, _live) = in_buckets(70);
        let service = instance.serve();
        let (first, _) = made(&service, FULL);
        // Stores give some times in seconds.
        std::thread::sleep(Duration::from_millis(3200));
        server.put("backups", &stored(&first), "X");
        // And one with the bytes that it had.
        let other = format!("of/arc-1/{first}/data/iot/cpu/2026/01/04/000004.parquet");
        server.put("backups", &other, "4");
        let second = made(&service, body);
        // What a backup refers to is copied again, so that it is not read each time.
        let reused = if body == FULL { 69 } else { 68 };
        assert_found(&service, &second, reused, body);
    }
}

/// Guards against: full backups that fail for ever, as a lifecycle rule moved an object of an
/// earlier one.
#[test]
fn an_object_that_can_not_be_copied_within_the_store_is_copied_from_the_data() {
    for (status, code) in [
        (403, "InvalidObjectState"),
        (403, "ObjectNotInActiveTierError"),
        (412, "PreconditionFailed"),
    ] {
        let (instance, server, _live) = in_buckets(5);
        let service = instance.serve();
        made(&service, FULL);
        let refused = Fault::Answer(status, code, "not now");
        server.fault(Rule::new(refused).verb(Verb::CopyObject).key(KEY));
        let (second, one) = made(&service, FULL);
        server.heal();
        let said = one["warnings"].to_string();
        assert!(
            said.contains("could not be copied within the target") && said.contains(KEY),
            "{code}: {said}"
        );
        assert_eq!(one["reused_files"], 4, "{code}: {one}");
        done(&service, &format!("/api/v1/backup/{second}/verify"), "");
        assert_eq!(states(&service)[1], "unverified", "{code}");
    }
}

/// Guards against: a whole backup that is noted as damaged, as one of its objects is archived.
#[test]
fn an_archived_object_is_not_a_damaged_one() {
    let (instance, server, _live) = in_buckets(5);
    let service = instance.serve();
    let (first, _) = made(&service, FULL);
    server.move_to_class("backups", &stored(&first), "GLACIER");
    let (second, one) = made(
        &service,
        r#"{"target":"far","type":"incremental","rehash":true}"#,
    );
    let said = one["warnings"].to_string();
    assert!(
        said.contains("could not be compared") && said.contains("archive"),
        "{said}"
    );
    assert!(!said.contains("is damaged"), "{said}");
    assert_eq!(one["reused_files"], 4, "{one}");
    assert_eq!(states(&service)[1], "unverified");
    done(&service, &format!("/api/v1/backup/{second}/verify"), "");
}

fn refuse_copies(server: &S3Server) {
    let gone = Fault::Answer(404, "NoSuchKey", "it is gone");
    server.fault(Rule::new(gone).verb(Verb::CopyObject).key(KEY));
}

/// Guards against: the incomplete copy of a dying source that is lost for one object of an earlier
/// backup.
#[test]
fn an_incomplete_copy_is_kept_without_what_the_target_has_lost() {
    let (instance, server, live) = in_buckets(5);
    let service = instance.serve();
    made(&service, FULL);
    super::stores::put(&live.sink, "iot/dying.parquet", b"dying");
    let denied = Rule::new(Fault::Deny)
        .verb(Verb::GetObject)
        .key("iot/dying.parquet");
    server.fault(denied);
    refuse_copies(&server);
    let accepted = service.post("/api/v1/backup", INCREMENTAL);
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let ended = service.wait();
    server.heal();
    assert_eq!(ended["status"], "failed", "{ended}");
    assert!(ended["incomplete_copy"].is_string(), "{ended}");
    let problems = ended["problems"].to_string();
    assert!(
        problems.contains("dying.parquet") && problems.contains(KEY),
        "{problems}"
    );
    let list = service.get("/api/v1/backup?target=far&all=true").json();
    assert_eq!(list["incomplete"][0]["missing_files"], 2, "{list}");
    assert_eq!(states(&service)[0], "damaged");
}
