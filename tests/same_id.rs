//! Two targets that hold a backup of the same id.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use support::{ARC_NEW, ARC_OLD, Instance, UNKNOWN, change_live, copy_tree, text};

/// Guards against restoring the wrong copy of a backup, perhaps a damaged one.
#[test]
fn one_of_two_targets_with_the_same_id_has_to_be_chosen() {
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
    // A deletion needs the target, too.
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

/// Guards against restoring the wrong backup, and deleting the last good one by accident.
#[test]
fn backups_have_short_names_and_the_last_good_one_is_not_deleted_in_passing() {
    let instance = Instance::new();
    let (first, second) = (instance.backup(), instance.backup());
    let named = |name: &str| {
        let (code, shown) = instance.json(&["show", name]);
        (code, shown["backup_id"].as_str().map(str::to_owned))
    };
    assert_eq!(named("latest"), (0, Some(second.clone())));
    for name in [&second, &second[..27], &second[7..]] {
        assert_eq!(named(name), (0, Some(second.clone())), "{name}");
    }
    let refused = |arguments: &[&str], code: i32, parts: &[&str]| {
        let output = instance.run(arguments);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert!(instance.backup_folder(&first).exists(), "{arguments:?}");
    };
    refused(&["show", "backup-2"], 2, &[&first, &second, ARC_OLD]);
    refused(&["verify", "19991231"], 1, &["19991231"]);
    refused(&["delete", "latest", "--yes"], 2, &["give the ids"]);
    // Damage of the newest backup makes the one before it the latest.
    let victim = support::data_file(&instance.backup_folder(&second));
    std::fs::remove_file(instance.backup_folder(&second).join(victim)).unwrap();
    assert_eq!(instance.run(&["verify", "latest"]).status.code(), Some(1));
    assert_eq!(named("latest"), (0, Some(first.clone())));
    instance.ok(&["restore", "latest", "--yes"]);

    let quiet = instance.run(&["-q", "verify", &first]);
    assert_eq!((quiet.status.code(), &*text(&quiet)), (Some(0), ""));
    let quiet = text(&instance.run(&["-q", "verify", &second]));
    assert!(quiet.contains("does not verify"), "{quiet}");

    for command in [
        &["list", "--all"][..],
        &["history"],
        &["sweep"],
        &["show", &first],
    ] {
        let said = instance.ok(command);
        let widest = said.lines().map(|line| line.chars().count()).max();
        // Paths are not truncated.
        let is_path = said.contains(&instance.path("").display().to_string());
        assert!(widest <= Some(100) || is_path, "{command:?}: {said}");
    }
    assert!(instance.ok(&["list"]).contains("DAMAGED"));
    let operation = instance.json(&["status"]).1["operation_id"].to_string();
    assert!(
        instance
            .ok(&["history"])
            .contains(operation.trim_matches('"'))
    );
    let (_, some) = instance.json(&["list", "--state", "damaged", "--limit", "1"]);
    assert_eq!(some["backups"][0]["backup_id"], *second, "{some}");
    let (_, some) = instance.json(&["history", "--operation", "restore"]);
    assert_eq!(some["count"], 1, "{some}");

    let all = ["delete", &second, &first, ARC_OLD, ARC_NEW, "--yes"];
    refused(&all, 2, &["target local", "--even-last"]);
    refused(&["delete", &second, UNKNOWN, "--yes"], 1, &[UNKNOWN]);
    assert!(instance.backup_folder(&second).exists());
    let (code, deleted) = instance.json(&["delete", &second, ARC_OLD, ARC_NEW, "--yes"]);
    assert_eq!((code, &deleted["count"]), (0, &3.into()), "{deleted}");
    let service = instance.serve();
    let deleted = service.delete(&format!("/api/v1/backup/{first}")).json();
    assert!(
        deleted["warnings"][0]
            .as_str()
            .unwrap()
            .contains("no good backup"),
        "{deleted}"
    );
    let page = service
        .get("/api/v1/backup?state=ok&since=7d&limit=5")
        .json();
    assert_eq!(page["count"], 0, "{page}");
    for query in ["state=fine", "since=soon", "start_after=x", "limit=0"] {
        assert_eq!(
            service.get(&format!("/api/v1/backup?{query}")).status,
            400,
            "{query}"
        );
    }
}
