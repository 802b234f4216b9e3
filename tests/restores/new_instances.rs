//! Restores into a folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::*;

/// The data files of an instance, with their modes and times.
fn data(folder: &Path) -> BTreeMap<String, (Vec<u8>, u32, i128)> {
    support::tree(&folder.join("data/arc"))
}

/// Runs the program in an instance, and returns what it prints.
fn run_in(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arc-backup"));
    let output = command.arg("-C").arg(folder).args(arguments).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Guards against: a copy that lacks something, a live instance that is touched, and a folder that
/// is taken for an instance before it is one.
pub(super) fn a_backup_is_restored_into_a_folder() {
    let instance = small();
    let id = instance.backup();
    let of_backup = live(&instance);
    change(&instance);
    let before = live(&instance);
    let folder = instance.path("copies/one");
    let to = folder.display().to_string();

    let (code, planned) = instance.json(&["restore", &id, "--to", &to, "--dry-run"]);
    assert_eq!(code, 0, "{planned}");
    let location = planned["destination"]["storage"]["location"].as_str();
    assert_eq!(location.unwrap(), format!("{to}/data/arc"), "{planned}");
    assert_eq!(planned["restart_required"], false, "{planned}");
    assert!(!folder.exists(), "a dry run made the folder");
    let plan = planned["plan_id"].as_str().unwrap();

    // No question, as nothing is overwritten.
    let (code, ended) = instance.json(&["restore", &id, "--to", &to, "--plan", plan]);
    assert_eq!(code, 0, "{ended}");
    assert_eq!(ended["plan"], planned["plan"]);
    assert!(live(&instance) == before, "the live instance was touched");
    let copied = data(&folder);
    assert!(!copied.is_empty());
    // It is an instance: it can be backed up, and that backup restored.
    let own = run_in(&folder, &["--quiet", "backup"]);
    let back = instance.path("copies/two");
    let two = back.display().to_string();
    run_in(&folder, &["restore", own.trim(), "--to", &two]);
    assert!(data(&back) == copied);
    instance.ok(&["restore", &id, "--yes"]);
    assert!(live(&instance) == of_backup);
    assert!(
        data(&instance.path("")) == copied,
        "the copy is not the backup"
    );
    let rows = |folder: &Path| support::database_rows(&folder.join("data/arc.db"));
    assert_eq!(rows(&folder), rows(&instance.path("")));

    // What is refused, and changes nothing.
    let inside = instance.path("data/arc/copy").display().to_string();
    let above = instance.path("").display().to_string();
    let backups = instance.path("data/backups/x").display().to_string();
    let aside = instance
        .path("data/arc.before-restore/x")
        .display()
        .to_string();
    for (arguments, part) in [
        (vec!["--to", &*to], "is not empty"),
        (vec!["--to", &*inside], "one in the other"),
        (vec!["--to", &*above], "one in the other"),
        (vec!["--to", &*backups], "one in the other"),
        (vec!["--to", &*aside], "one in the other"),
        (
            vec!["--to", "copies/three", "--with-config"],
            "--with-config",
        ),
        (vec!["--to", "arc.toml"], "can't be restored into"),
    ] {
        let arguments = [&["restore", &*id], &*arguments].concat();
        refused(&instance, &arguments, &[part]);
    }
    let service = instance.serve();
    let answer = |to: &str| {
        let body = json!({"backup_id": id, "to": to}).to_string();
        service.post("/api/v1/backup/restore", &body)
    };
    let refused = answer("copies/three");
    assert!(
        refused.status == 400 && refused.text.contains("absolute"),
        "{refused:?}"
    );
    let refused = answer(&to);
    assert!(
        refused.status == 400 && refused.text.contains("is not empty"),
        "{refused:?}"
    );
    let three = instance.path("copies/three");
    let accepted = answer(&three.display().to_string());
    assert_eq!(accepted.status, 202, "{accepted:?}");
    assert_eq!(service.wait()["status"], "completed");
    assert!(data(&three) == copied);
}

/// Guards against: a restore into a folder that is killed and can't be completed, or that is
/// completed with another backup.
pub(super) fn a_killed_restore_into_a_folder_is_completed() {
    let instance = small();
    let (id, other) = (instance.backup(), instance.backup());
    let before = live(&instance);
    for number in [1, 2, 3] {
        let folder = instance.path(&format!("copies/{number}"));
        let to = folder.display().to_string();
        let arguments = ["restore", &*id, "--to", &*to];
        let fault = format!("die:after:{number}");
        let (killed, _) = faulty(&instance, &fault, "storage.promote", &arguments);
        assert_eq!(killed.status.code(), None, "{}", text(&killed));
        assert!(!folder.join("arc.toml").exists(), "it is not complete");
        let restored = ["restore", &*other, "--to", &*to];
        refused(&instance, &restored, &["interrupted restore of backup"]);
        instance.ok(&arguments);
        assert!(folder.join("arc.toml").exists());
        assert!(live(&instance) == before);
        assert!(data(&folder) == data(&instance.path("")));
        let left = support::files(&folder);
        let left = left.iter().find(|name| name.contains("arc-backup"));
        assert_eq!(left, None);
        // The live instance has no restore to complete.
        instance.ok(&["backup"]);
    }
}
