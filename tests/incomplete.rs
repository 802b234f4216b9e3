//! Incomplete copies: the readable files of a source, kept for emergencies.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/faults/mod.rs"]
mod faults;
#[path = "support/scene.rs"]
mod scene;
#[path = "support/stores.rs"]
mod stores;
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use faults::{by_name, faulty};
use scene::{leftovers, listed, live, small};
use serde_json::Value;
use stores::Place;
use support::{Instance, copy_tree, files, text};

fn main() -> ExitCode {
    faults::main(by_name![
        an_incomplete_copy_of_another_instance_stays,
        readable_files_are_kept_as_an_incomplete_copy,
        the_incomplete_copy_of_a_lost_database_stays,
        an_incomplete_copy_ends_with_the_next_backup_or_a_deletion,
        readable_files_are_kept_on_an_object_store_too,
        one_of_two_incomplete_copies_has_to_be_chosen
    ])
}

/// The folders in the target that have the name of a backup.
fn folders(instance: &Instance) -> Vec<PathBuf> {
    let Ok(children) = std::fs::read_dir(instance.path("data/backups")) else {
        return Vec::new();
    };
    let mut found: Vec<_> = (children.map(|child| child.unwrap().path()))
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("backup-")
        })
        .collect();
    found.sort();
    found
}

fn operation(instance: &Instance) -> Value {
    let (code, operation) = instance.json(&["backup"]);
    assert_eq!(code, 0, "{operation}");
    operation
}

/// A backup for which one file could not be read; returns its id.
fn incomplete(instance: &Instance) -> (String, String) {
    let (output, trace) = faulty(instance, "error:3", "storage.get", &["--json", "backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done["status"], "failed");
    assert_eq!(done["problem_count"], 1, "{done}");
    let missing = trace[2].rsplit('\t').next().unwrap().to_owned();
    assert_eq!(done["problems"][0]["path"], format!("data/{missing}"));
    assert_eq!(done["problems"][0]["kind"], "unreadable");
    let id = done["backup_id"].as_str().unwrap().to_owned();
    let copy = done["incomplete_copy"].as_str().unwrap();
    assert!(copy.contains(&id), "{copy}");
    (id, missing)
}

/// Guards against losing what a dying disk can still read, and an incomplete copy that looks
/// complete.
fn readable_files_are_kept_as_an_incomplete_copy() {
    let instance = small();
    let before = live(&instance);
    let (id, missing) = incomplete(&instance);
    assert_eq!(listed(&instance, "incomplete"), Vec::<String>::new());
    assert_eq!(folders(&instance), Vec::<PathBuf>::new());
    let folder = instance
        .path("data/backups/.arc-backup/incomplete")
        .join(&id);
    assert!(folder.join("incomplete.json").exists());
    assert!(!folder.join("manifest.json").exists());
    assert!(!folder.join("data").join(&missing).exists());
    let (code, list) = instance.json(&["list", "--all"]);
    assert_eq!(code, 0, "{list}");
    assert_eq!(list["incomplete"][0]["backup_id"], id.as_str());
    assert_eq!(list["incomplete"][0]["missing_files"], 1);
    let named = list["incomplete"][0]["missing"][0].as_str().unwrap();
    assert!(named.starts_with(&format!("data/{missing}: ")), "{named}");
    let human = instance.ok(&["list", "--all"]);
    assert!(
        human.contains("lacks 1 files") && human.contains(&format!("data/{missing}:")),
        "{human}"
    );
    let (_, plain) = instance.json(&["list"]);
    assert_eq!(plain.get("incomplete"), None);
    for command in [&["show", &*id][..], &["verify", &id]] {
        let output = instance.run(command);
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        let said = text(&output);
        assert!(said.contains("is an incomplete copy"), "{said}");
    }
    let refused = instance.run(&["restore", &id, "--yes"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused).contains("--allow-incomplete"),
        "{}",
        text(&refused)
    );
    assert_eq!(live(&instance), before);
    // The live version of the missing file may be the only one.
    let arguments = ["restore", &id, "--allow-incomplete", "--yes"];
    let (code, restored) = instance.json(&arguments);
    assert_eq!(code, 0, "{restored}");
    assert_eq!(live(&instance), before);
    // The disk has died.
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    std::fs::remove_file(instance.path("data/arc.db")).unwrap();
    let (code, restored) = instance.json(&arguments);
    assert_eq!(code, 0, "{restored}");
    let warnings = restored["warnings"].to_string();
    assert!(warnings.contains(&missing), "{warnings}");
    let (mut expected, rows) = before;
    assert!(expected.remove(&missing).is_some());
    assert_eq!(live(&instance), (expected, rows));
    // One wrong byte in it fails the restore, as with a backup.
    let victim = files(&folder.join("data")).into_iter().next().unwrap();
    let path = folder.join("data").join(&victim);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (code, failed) = instance.json(&arguments);
    assert_eq!(code, 1, "{failed}");
    assert_eq!(failed["problems"][0]["path"], format!("data/{victim}"));
}

/// Guards against removing an incomplete copy because another instance completed its backup.
fn an_incomplete_copy_of_another_instance_stays() {
    let instance = small();
    let (id, _) = incomplete(&instance);
    let folder = instance.path("data/backups/.arc-backup/incomplete");
    let other = small();
    let shared = format!(
        "[backup.targets.shared]\ntype = \"local\"\nlocal_path = \"{}\"",
        instance.path("data/backups").display()
    );
    other.configure(&shared);
    other.ok(&["backup", "--target", "shared"]);
    assert!(folder.join(&id).exists());
    // A backup does not supersede it if it lacks the databases, or was made without the volume.
    instance.ok(&["backup", "--no-metadata"]);
    assert!(folder.join(&id).exists());
    std::fs::rename(instance.path("data/arc"), instance.path("data/away")).unwrap();
    std::fs::create_dir(instance.path("data/arc")).unwrap();
    operation(&instance);
    assert!(folder.join(&id).exists());
    std::fs::remove_dir(instance.path("data/arc")).unwrap();
    std::fs::rename(instance.path("data/away"), instance.path("data/arc")).unwrap();
    operation(&instance);
    assert!(!folder.join(&id).exists());
}

/// Guards against incomplete copies that use disk space after nobody needs them.
fn an_incomplete_copy_ends_with_the_next_backup_or_a_deletion() {
    let instance = small();
    let (id, _) = incomplete(&instance);
    let folder = instance
        .path("data/backups/.arc-backup/incomplete")
        .join(&id);
    instance.ok(&["sweep", "--apply"]);
    assert!(
        folder.exists(),
        "a sweep removes what nothing names as unfinished"
    );
    instance.ok(&["delete", &id, "--yes", "--even-last"]);
    assert!(!folder.exists());
    assert_eq!(
        instance
            .run(&["delete", &id, "--yes", "--even-last"])
            .status
            .code(),
        Some(1)
    );
    let (id, _) = incomplete(&instance);
    let folder = instance
        .path("data/backups/.arc-backup/incomplete")
        .join(&id);
    assert!(folder.exists());
    operation(&instance);
    assert!(!folder.exists());
    assert_eq!(
        leftovers(&instance, false, "a backup since"),
        Vec::<String>::new()
    );
}

/// Guards against the same, where objects can't be renamed.
fn readable_files_are_kept_on_an_object_store_too() {
    let instance = small();
    let server = stores::s3_server();
    let far = Place::s3(&server, "backups", "of/arc-1");
    stores::configure(&instance, &Place::local(&instance, "data/arc"), &far);
    let before = live(&instance);
    let arguments = ["--json", "backup", "--target", "far"];
    let (output, trace) = faulty(&instance, "error:3", "storage.get", &arguments);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    let id = done["backup_id"].as_str().unwrap();
    let missing = trace[2].rsplit('\t').next().unwrap().to_owned();
    let below = format!(".arc-backup/incomplete/{id}/");
    let stored = stores::keys(&far.sink);
    let others: Vec<_> = (stored.iter())
        .filter(|key| !key.starts_with(&below) && *key != ".arc-backup/lock")
        .collect();
    assert_eq!(others, Vec::<&String>::new());
    assert!(
        stored.contains(&format!("{below}incomplete.json")),
        "{stored:?}"
    );
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    std::fs::remove_file(instance.path("data/arc.db")).unwrap();
    std::fs::create_dir(instance.path("data/arc")).unwrap();
    instance.ok(&["restore", id, "--allow-incomplete", "--yes"]);
    let (mut expected, rows) = before;
    assert!(expected.remove(&missing).is_some());
    assert_eq!(live(&instance), (expected, rows));
    instance.ok(&["backup", "--target", "far"]);
    assert!(
        !stores::keys(&far.sink)
            .iter()
            .any(|key| key.starts_with(&below))
    );
}

/// Guards against restoring the wrong one of two copies, and removing the only copy with another's
/// leftovers.
fn one_of_two_incomplete_copies_has_to_be_chosen() {
    let instance = small();
    instance.configure("[backup.targets.second]\ntype = \"local\"\nlocal_path = \"./second\"");
    let (id, _) = incomplete(&instance);
    let place = |target: &str| {
        instance
            .path(target)
            .join(".arc-backup/incomplete")
            .join(&id)
    };
    copy_tree(&place("data/backups"), &place("second"));
    let restore = ["restore", &id, "--allow-incomplete", "--yes"];
    let before = live(&instance);
    let refused = instance.run(&restore);
    let said = text(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("local, second") && said.contains("--target"),
        "{said}"
    );
    assert!(live(&instance) == before);
    instance.ok(&[&restore[..], &["--target", "second"]].concat());
    // A folder without its record is not an incomplete copy.
    std::fs::remove_file(place("second").join("incomplete.json")).unwrap();
    instance.ok(&restore);
    std::fs::remove_dir_all(place("data/backups")).unwrap();
    assert_eq!(instance.run(&restore).status.code(), Some(1));
}

/// Guards against: the only copy of a lost database that goes with a backup that has nothing of it.
fn the_incomplete_copy_of_a_lost_database_stays() {
    let instance = small();
    let lost = instance.path("data/arc/lost");
    std::fs::create_dir_all(lost.join("hits")).unwrap();
    for name in ["a", "b", "c"] {
        std::fs::write(lost.join(format!("hits/{name}.parquet")), name).unwrap();
    }
    std::fs::create_dir_all(instance.path("data/arc/_schema/lost")).unwrap();
    std::fs::write(
        instance.path("data/arc/_schema/lost/hits.parquet"),
        b"columns",
    )
    .unwrap();
    let arguments = ["--json", "backup", "--database", "lost"];
    let (output, _) = faulty(&instance, "error:3", "storage.get", &arguments);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    let id = done["backup_id"].as_str().unwrap();
    let copy = instance
        .path("data/backups/.arc-backup/incomplete")
        .join(id);
    assert!(copy.exists(), "{done}");
    let held = files(&copy.join("data/lost")).len();
    assert!(held > 0, "{done}");
    // The disk with the database is lost; its companions are still there.
    std::fs::remove_dir_all(&lost).unwrap();
    std::fs::create_dir(&lost).unwrap();
    for arguments in [
        &["--database", "iot", "--database", "lost"][..],
        &["--database", "lost"],
        &[],
    ] {
        instance.ok(&[&["backup"], arguments].concat());
        assert!(copy.exists(), "{arguments:?}");
    }
    instance.ok(&["restore", id, "--allow-incomplete", "--yes"]);
    assert_eq!(files(&lost).len(), held);
    instance.ok(&["backup", "--database", "lost"]);
    assert!(!copy.exists());
}
