//! Two targets that hold a backup of the same id.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use support::{ARC_OLD, Instance, UNKNOWN, change_live, copy_tree, text};

/// Lost otherwise: live data, to the copy of a backup that was not meant, perhaps a damaged one.
#[test]
fn which_of_two_is_restored_or_verified_has_to_be_said() {
    let instance = Instance::new();
    instance.configure("[backup.targets.copy]\ntype = \"local\"\nlocal_path = \"./copy\"");
    let id = instance.backup();
    let copy = instance.path("copy").join(&id);
    copy_tree(&instance.backup_folder(&id), &copy);
    let victim = support::data_file(&copy);
    std::fs::remove_file(copy.join(victim)).unwrap();
    let refused = |arguments: &[&str], code: i32, parts: &[&str]| {
        let before = instance.live();
        let output = instance.run(arguments);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert!(instance.live() == before, "{arguments:?}");
    };
    refused(&["verify", &id], 2, &["copy, local", "--target"]);
    refused(&["restore", &id, "--yes"], 2, &["copy, local", "--target"]);
    refused(
        &["verify", &id, "--target", "moon"],
        2,
        &["moon", "copy, local"],
    );
    refused(&["restore", &id, "--yes", "--target", "moon"], 2, &["moon"]);
    refused(&["verify", UNKNOWN, "--target", "copy"], 1, &[UNKNOWN]);
    refused(&["verify", ARC_OLD, "--target", "copy"], 1, &[ARC_OLD]);
    refused(
        &["verify", &id, "--target", "copy"],
        1,
        &["does not hold it"],
    );
    refused(
        &["restore", &id, "--yes", "--target", "copy"],
        1,
        &["the backup is not whole", "; nothing was changed"],
    );
    instance.ok(&["verify", &id, "--target", "local"]);
    let before = instance.live();
    change_live(&instance);
    instance.ok(&["restore", &id, "--yes", "--target", "local"]);
    assert!(instance.live() == before);
    instance.ok(&["verify", ARC_OLD, "--quick"]);

    let service = instance.serve();
    let body = format!(r#"{{"backup_id":"{id}","confirm":true}}"#);
    let answer = service.post("/api/v1/backup/restore", &body);
    assert!(
        answer.status == 400 && answer.text.contains("copy, local"),
        "{answer:?}"
    );
    let path = format!("/api/v1/backup/{id}/verify");
    let of = |target: &str| format!("/api/v1/backup/{id}?target={target}");
    for target in ["copy", "local"] {
        let answer = service.get(&of(target));
        assert_eq!(answer.json()["target"], target, "{answer:?}");
        let files = format!("/api/v1/backup/{id}/files?target={target}");
        assert_eq!(service.get(&files).status, 200);
    }
    assert_eq!(service.get(&of("moon")).status, 400);
    assert_eq!(service.delete(&of("moon")).status, 400);
    let answer = service.post(&path, "");
    assert!(
        answer.status == 400 && answer.text.contains("copy, local"),
        "{answer:?}"
    );
    assert_eq!(service.post(&path, r#"{"target":7}"#).status, 400);
    assert_eq!(service.post(&path, r#"{"target":"local"}"#).status, 202);
    let ended = service.wait();
    assert!(
        ended["status"] == "completed" && ended["target"] == "local",
        "{ended}"
    );
    // Deleting says which, too.
    let answer = service.delete(&format!("/api/v1/backup/{id}"));
    assert!(
        answer.status == 400 && answer.text.contains("copy, local"),
        "{answer:?}"
    );
    assert_eq!(service.delete(&of("copy")).status, 200);
    assert!(!copy.exists() && instance.backup_folder(&id).exists());
    assert_eq!(service.get(&of("copy")).status, 404);
    assert_eq!(service.delete(&of("copy")).status, 404);
    drop(service);
    instance.ok(&["show", &id, "--target", "local"]);
    refused(&["delete", &id, "--yes", "--target", "copy"], 1, &[&id]);
    instance.ok(&["delete", &id, "--yes", "--target", "local"]);
    assert!(!instance.backup_folder(&id).exists());
}
