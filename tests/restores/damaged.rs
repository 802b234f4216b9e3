//! Restores of the undamaged files of a damaged backup.

use super::*;

/// Guards against losing the only backup because one file is damaged, and replacing a live file
/// without a good copy.
pub(super) fn undamaged_files_of_a_damaged_backup_are_restored_on_request() {
    let instance = small();
    let id = instance.backup();
    let folder = instance.backup_folder(&id);
    let lines = crate::support::inventory_of(&folder);
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
    let expected = format!("restored {} of {all} files; 2 are damaged", all - 2);
    assert!(error.contains(&expected), "{error}");
    assert!(
        has_problem(&done, &format!("data/{LARGE}"), "checksum"),
        "{done}"
    );
    assert!(
        has_problem(&done, &format!("data/{gone}"), "missing"),
        "{done}"
    );
    assert_eq!(done["problem_count"], 2, "{done}");
    // All files equal the backup, except for the damaged one, which is unchanged.
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
    // A damaged database is left unchanged, too, also over REST.
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

/// The same, where nothing can be staged: damage is found before the first object is written.
pub(super) fn undamaged_files_are_restored_to_s3() {
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
