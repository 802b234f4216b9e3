//! Copies of backups over several targets: the copy is another backup of the same id.

use serde_json::json;

use super::scene::{change, live};
use super::{copied, fails, holders, two_folders};
use crate::support::Instance;

/// Backups go to `near` and `leg`, and copies to `far`.
fn routed() -> Instance {
    let instance = two_folders();
    instance.configure(
        "[backup.targets.leg]\ntype = \"local\"\nlocal_path = \"./leg\"\ndatabases = [\"iot\"]",
    );
    instance
}

/// Guards against: a copy that makes its original one that nothing can be done with, and a
/// retention that never deletes anything since.
#[test]
fn a_copy_does_not_stand_in_the_way_of_its_original() {
    let instance = routed();
    let before = live(&instance);
    let (older, newer) = (instance.backup(), instance.backup());
    for id in [&older, &newer] {
        copied(&instance, id);
    }
    for action in ["pin", "unpin"] {
        let (code, done) = instance.json(&[action, &older]);
        assert_eq!(
            (code, &done["targets"]),
            (0, &json!(["leg", "near"])),
            "{done}"
        );
    }
    instance.ok(&["verify", &older]);
    change(&instance);
    instance.ok(&["restore", &older, "--yes"]);
    assert!(live(&instance) == before);
    // One leg is still refused.
    let leg = ["delete", &older, "--target", "near", "--yes"];
    fails(&instance, &leg, 2, &["without --target"]);

    let (code, plan) = instance.json(&["prune", "--keep-last", "1"]);
    assert_eq!((code, &plan["delete_count"]), (0, &json!(1)), "{plan}");
    assert!(plan["freed_files"].as_u64() > Some(0), "{plan}");
    let (code, done) = instance.json(&["prune", "--keep-last", "1", "--confirm"]);
    assert_eq!(
        (code, &done["deleted_backups"]),
        (0, &json!([older])),
        "{done}"
    );
    assert_eq!(done["freed_files"], plan["freed_files"], "{done}");
    assert_eq!(holders(&instance, &older), ["far"]);

    instance.ok(&["delete", &newer, "--yes", "--even-last"]);
    assert_eq!(holders(&instance, &newer), ["far"]);
    instance.ok(&["verify", &newer, "--target", "far"]);
    // The copies are pruned by themselves.
    let of_copies = ["prune", "--keep-last", "1", "--target", "far", "--confirm"];
    let (code, done) = instance.json(&of_copies);
    assert_eq!(
        (code, &done["deleted_backups"]),
        (0, &json!([older])),
        "{done}"
    );
}

/// Guards against: a deletion that was interrupted, is asked for again, and takes the copy.
#[test]
fn a_deletion_that_is_done_again_does_not_take_the_copy() {
    let instance = routed();
    let id = instance.backup();
    copied(&instance, &id);
    for target in ["near", "leg"] {
        std::fs::remove_file(instance.path(target).join(&id).join("manifest.json")).unwrap();
    }
    let again = ["delete", &id, "--yes", "--even-last"];
    fails(&instance, &again, 2, &["far", "leg", "near", "--target"]);
    for target in ["near", "leg"] {
        instance.ok(&[&again[..], &["--target", target]].concat());
    }
    assert_eq!(holders(&instance, &id), ["far"]);
    instance.ok(&["verify", &id]);
    instance.ok(&again);
    assert!(!instance.path("far").join(&id).exists());
}

/// Guards against: advice that can't be followed, as a copy has no other id.
#[test]
fn a_copy_into_the_folder_of_a_deleted_one_says_what_to_delete() {
    let instance = two_folders();
    let (base, other) = (instance.backup(), instance.backup());
    for id in [&base, &other] {
        copied(&instance, id);
    }
    let config = arc_backup_local::LocalConfig::new(instance.path("far"));
    let sink = arc_backup_local::LocalSink::new(config);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(super::referring::refer(&sink, &other, &base));
    instance.ok(&["delete", &base, "--target", "far", "--yes"]);
    let said = fails(
        &instance,
        &["copy", &base, "--to", "far"],
        1,
        &[&other, "delete these first"],
    );
    assert!(!said.contains("another id"), "{said}");
    instance.ok(&["delete", &other, "--target", "far", "--yes", "--even-last"]);
    for id in [&base, &other] {
        copied(&instance, id);
    }
}
