//! Backups of other days: copies of one that was made, with another id and time.

use std::path::{Path, PathBuf};
use std::process::Command;

use arc_backup::testing::{Manifest, seal};
use serde_json::{Value, json};

use crate::support::{Instance, files, text};

/// The sample instance with two files of data and no backup.
pub fn small() -> Instance {
    let instance = Instance::new();
    std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
    let root = instance.path("data/arc");
    for file in files(&root).iter().skip(2) {
        std::fs::remove_file(root.join(file)).unwrap();
    }
    instance
}

/// Copies the backup `of` to that of a moment (`2026-02-11T03:00:00Z`), and returns its id.
pub fn add(instance: &Instance, of: &str, moment: &str) -> String {
    add_with(instance, of, moment, |_| {})
}

/// The same, with a change of its manifest.
pub fn add_with(
    instance: &Instance,
    of: &str,
    moment: &str,
    change: impl FnOnce(&mut Manifest),
) -> String {
    let digits: String = moment.chars().filter(char::is_ascii_digit).collect();
    let id = format!("backup-{}-{}-0000000a", &digits[..8], &digits[8..14]);
    let (from, to) = (instance.backup_folder(of), instance.backup_folder(&id));
    let copied = Command::new("cp").arg("-a").args([&from, &to]).output();
    let copied = copied.unwrap();
    assert!(copied.status.success(), "{}", text(&copied));
    let path = to.join("manifest.json");
    let mut manifest: Manifest = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest.backup_id.clone_from(&id);
    manifest.created_at = moment.to_owned();
    change(&mut manifest);
    let bytes = seal(&mut manifest).unwrap();
    std::fs::write(&path, bytes).unwrap();
    id
}

pub fn note_path(instance: &Instance, id: &str) -> PathBuf {
    instance.path(&format!("data/backups/.arc-backup/notes/{id}.json"))
}

pub fn write_note(instance: &Instance, id: &str, note: &Value) {
    let path = note_path(instance, id);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, note.to_string()).unwrap();
}

/// Makes the backup one that a verification found damaged.
pub fn damage(instance: &Instance, id: &str) {
    let failed =
        json!({"at": "2026-03-01T00:00:00Z", "mode": "full", "ok": false, "operation_id": ""});
    write_note(
        instance,
        id,
        &json!({"last_verified": failed, "last_full": failed, "last_failed": failed}),
    );
}

/// The ids of the list, newest first.
pub fn ids(instance: &Instance) -> Vec<String> {
    let ids = instance.ok(&["list", "--ids", "--include-foreign"]);
    ids.lines().map(str::to_owned).collect()
}

/// The ids of a plan that stay, or go.
pub fn planned(plan: &Value, keep: bool) -> Vec<String> {
    let backups = plan["backups"].as_array().unwrap().iter();
    let chosen = backups.filter(|one| one["keep"] == keep);
    chosen
        .map(|one| one["backup_id"].as_str().unwrap().to_owned())
        .collect()
}

/// The row of a plan.
pub fn row<'a>(plan: &'a Value, id: &str) -> &'a Value {
    let backups = plan["backups"].as_array().unwrap();
    let found = backups.iter().find(|one| one["backup_id"] == id);
    found.unwrap_or_else(|| panic!("{id} is not in the plan: {plan}"))
}

/// The folders of backups that are there, listed or not.
pub fn folders(root: &Path) -> Vec<String> {
    let mut names: Vec<_> = (std::fs::read_dir(root).unwrap())
        .map(|child| child.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("backup-"))
        .collect();
    names.sort();
    names
}
