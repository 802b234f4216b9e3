//! What a backup of some databases is not counted as: the newest, a good one, a younger copy.

use super::{backup_of, fails, small};

/// Guards against: a restore of `latest`, or a check, that takes one database for the instance.
#[test]
fn the_latest_the_check_and_the_last_good_one_have_all_databases() {
    let instance = small();
    let scoped = backup_of(&instance, "iot");
    let said = fails(&instance, &["restore", "latest", "--yes"], 1);
    assert!(
        said.contains(&scoped) && said.contains("(of iot)"),
        "{said}"
    );
    let said = fails(&instance, &["check"], 1);
    assert!(said.contains("no good backup of all databases"), "{said}");
    assert!(
        said.contains("1 backup of some databases does not count"),
        "{said}"
    );

    let whole = instance.backup();
    let newer = backup_of(&instance, "iot");
    let (code, check) = instance.json(&["check"]);
    assert_eq!(code, 0, "{check}");
    assert_eq!(check["targets"][0]["newest"], whole.as_str(), "{check}");
    assert_eq!(check["targets"][0]["backups"], 1, "{check}");
    assert!(
        check["line"]
            .to_string()
            .contains("2 backups of some databases"),
        "{check}"
    );
    let (_, shown) = instance.json(&["show", "latest"]);
    assert_eq!(shown["backup_id"], whole.as_str(), "{shown}");
    fails(&instance, &["check", "--min-backups", "2"], 1);

    // The last whole one is guarded, a scoped one is not.
    let said = fails(&instance, &["delete", &whole, "--yes"], 2);
    assert!(said.contains("no good backup"), "{said}");
    instance.ok(&["delete", &newer, "--yes"]);
    instance.ok(&["delete", &whole, "--yes", "--even-last"]);
    instance.ok(&["delete", &scoped, "--yes"]);
}

/// Guards against: an alarm that no good backup of the same database ends, and a warning of the
/// last good one with each backup that never was one.
#[test]
fn a_damaged_or_deleted_scoped_backup_changes_nothing_for_the_whole() {
    let instance = small();
    let whole = instance.backup();
    let scoped = backup_of(&instance, "iot");
    let victim = "data/iot/cpu/2027/01/14/00/a.parquet";
    let path = instance.backup_folder(&scoped).join(victim);
    std::fs::write(path, b"damaged").unwrap();
    assert_eq!(instance.run(&["verify", &scoped]).status.code(), Some(1));
    let (code, check) = instance.json(&["check"]);
    assert_eq!(code, 0, "{check}");
    let line = check["line"].to_string();
    assert!(
        line.contains("1 backup of some databases is damaged"),
        "{line}"
    );

    let good = backup_of(&instance, "web");
    let service = instance.serve();
    let deleted = |id: &str| {
        let answer = service.delete(&format!("/api/v1/backup/{id}"));
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["warnings"].to_string()
    };
    let said = deleted(&whole);
    assert!(said.contains("no good backup of all databases"), "{said}");
    assert_eq!(deleted(&good), "null");
    assert_eq!(deleted(&scoped), "null");
}
