//! Runs that can't be seen whole: a target that is not mounted, another instance's, and legs that
//! pass for the whole.

use serde_json::{Value, json};

use super::arc::{self, ID, change_manifest};
use super::ours::{FAR, NEAR, bytes, instance};
use crate::support::{Instance, text};

fn refused(instance: &Instance, arguments: &[&str], part: &str) {
    let output = instance.run(arguments);
    let said = text(&output);
    assert!(
        !output.status.success() && said.contains(part),
        "{arguments:?}: {said}"
    );
}

/// Guards against: the advice to delete a good backup because a disk is not mounted, and following
/// it.
#[test]
fn a_target_that_is_not_mounted_makes_no_run_incomplete() {
    let instance = instance(&[NEAR, FAR]);
    let id = instance.backup();
    let (far, moved) = (instance.path("far"), instance.path("moved"));
    std::fs::rename(&far, &moved).unwrap();
    for has_folder in [false, true] {
        if has_folder {
            std::fs::create_dir_all(&far).unwrap();
        }
        let (_, list) = instance.json(&["list"]);
        assert_eq!(list["incomplete_runs"], json!([]), "{list}");
        assert_eq!(list["backups"][0]["partial_view"], true, "{list}");
        assert_eq!(list["unreachable_targets"], json!(["far"]), "{list}");
        refused(
            &instance,
            &["delete", &id, "--yes", "--even-last"],
            "is it mounted?",
        );
        refused(
            &instance,
            &["delete", &id, "--yes", "--target", "near"],
            "--even-last",
        );
        refused(&instance, &["restore", "latest", "--yes"], "no good backup");
        assert!(
            instance
                .path("near")
                .join(&id)
                .join("manifest.json")
                .exists()
        );
    }
    std::fs::remove_dir_all(&far).unwrap();
    std::fs::rename(&moved, &far).unwrap();
    instance.ok(&["verify", &id]);
}

/// Guards against: good runs of another instance that are listed as incomplete, with the advice to
/// delete them.
#[test]
fn runs_of_another_instance_are_left_to_it() {
    for has_owner in [true, false] {
        let ours = instance(&[NEAR, FAR]);
        let far = format!(
            "type = \"local\"\nlocal_path = {:?}\ndatabases = [\"iot\"]",
            ours.path("far")
        );
        let other = instance(&[NEAR, ("far", &far)]);
        if has_owner {
            for (one, digit) in [(&ours, '1'), (&other, '2')] {
                let uuid = "6a1f9d0e-3b2c-4d5e-8f90-11223344556x".replace('x', &digit.to_string());
                std::fs::write(one.path("data/.arc-backup-instance-id"), uuid).unwrap();
            }
        }
        let (own, foreign) = (ours.backup(), other.backup());
        let (_, list) = ours.json(&["list"]);
        assert_eq!(
            (&list["count"], &list["backups"][0]["backup_id"]),
            (&json!(1), &json!(own))
        );
        let shown = list["incomplete_runs"].as_array().unwrap().len();
        assert_eq!(shown, usize::from(!has_owner), "{list}");
        if has_owner {
            assert_eq!(list["foreign_backups"], 1, "{list}");
        }
        let said = ours.ok(&["list", "--include-foreign"]);
        assert!(
            said.contains(&foreign) && !said.contains("delete the rest"),
            "{said}"
        );
        refused(
            &ours,
            &["delete", &foreign, "--yes", "--even-last"],
            "another instance",
        );
        other.ok(&["verify", &foreign]);
        ours.ok(&["verify", &own]);
    }
}

/// Guards against: a leg that is restored as the whole, so that all other databases are set aside,
/// and a run that every restore refuses in a list of good ones.
#[test]
fn a_leg_by_its_own_words_is_never_the_whole() {
    let changes: [&[(&str, &str, Value)]; 6] = [
        &[("far", "run_targets", json!(["far"]))],
        &[("far", "run_targets", json!(null))],
        &[("far", "run_targets", json!(["near"]))],
        &[("far", "is_default_target", json!(true))],
        &[("near", "is_default_target", json!(false))],
        &[
            ("near", "is_default_target", json!(null)),
            ("far", "is_default_target", json!(null)),
        ],
    ];
    for (number, changes) in changes.iter().enumerate() {
        let instance = arc::run();
        for (target, field, value) in *changes {
            change_manifest(&instance, target, field, value.clone());
        }
        if number < 3 {
            // It is the only one.
            std::fs::remove_dir_all(instance.path("near").join(ID)).unwrap();
            std::fs::create_dir(instance.path("near/.arc-backup")).unwrap();
        }
        let before = bytes(&instance);
        let case = &changes[0];
        for arguments in [
            &["restore", ID, "--yes"][..],
            &["restore", ID, "--yes", "--target", "far"],
            &["restore", "latest", "--yes"],
            &["check", "--max-age", "99999d"],
        ] {
            let output = instance.run(arguments);
            assert!(!output.status.success(), "{case:?}: {}", text(&output));
            assert!(bytes(&instance) == before, "{case:?}");
        }
        let (_, list) = instance.json(&["list"]);
        assert_eq!(
            (&list["count"], &list["incomplete_runs"][0]["backup_id"]),
            (&json!(0), &json!(ID))
        );
    }
}

/// Guards against: a list of one target that calls every leg partly unreadable, so that there is no
/// `latest` in it.
#[test]
fn a_list_of_one_target_sees_the_other_legs() {
    let instance = instance(&[NEAR, FAR]);
    let id = instance.backup();
    for target in ["near", "far"] {
        let (_, list) = instance.json(&["list", "--target", target]);
        let one = &list["backups"][0];
        assert_eq!(
            (&one["backup_id"], &one["partial_view"], &list["count"]),
            (&json!(id), &json!(false), &json!(1)),
            "{list}"
        );
        instance.ok(&["verify", "latest", "--target", target]);
        refused(
            &instance,
            &["restore", "latest", "--yes", "--target", target],
            "only a leg",
        );
    }
}
