//! Restores that resume, and their timeout.

use super::*;

/// Guards against copying again for hours after a restore that timed out or was killed.
pub(super) fn staged_files_are_used_by_the_next_restore() {
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
        assert_eq!(leftovers(&instance, false, case), Vec::<String>::new());
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
    // A restore that fails earlier removes no staged files, whether it had a plan or not.
    for call in ["source-metadata.plan", "source-data.plan"] {
        // Without the preview, which makes its own plan.
        let arguments = ["--json", "restore", &id, "--yes"];
        let (early, _) = faulty(&instance, "unavailable:1", call, &arguments);
        assert_eq!(early.status.code(), Some(1), "{}", text(&early));
        assert_eq!(staged().len(), 6, "{call}");
    }
    // One staged file is damaged: it is copied again.
    flip(std::path::Path::new(&staged()[2]));
    let (code, done) = instance.json(&["restore", &id, "--yes"]);
    assert_eq!(code, 0, "{done}");
    whole(&done, Some(5), "after a timeout");
    kill();
    let (code, done) = instance.json(&["restore", &id, "--yes"]);
    assert_eq!(code, 0, "{done}");
    whole(&done, Some(5), "after a death");
    // The live files equal the backup by now, so the staged files are not needed.
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

/// Where nothing is staged, objects that were written are live and unchanged.
pub(super) fn objects_that_a_restore_wrote_to_s3_are_not_written_again() {
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

/// Guards against a restore that can't run for more than two hours.
pub(super) fn a_request_has_a_timeout_of_its_own() {
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
