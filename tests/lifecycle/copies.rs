//! Copies of backups in another target.

use crate::{faults, scene, stores};

#[path = "../support/short_locks.rs"]
mod short_locks;

#[path = "copies/deaths.rs"]
mod deaths;
#[path = "copies/faulty.rs"]
mod faulty;
#[path = "copies/follow.rs"]
mod follow;
#[path = "copies/kinds.rs"]
mod kinds;
#[path = "copies/pairs.rs"]
mod pairs;
#[path = "copies/refusals.rs"]
mod refusals;
#[path = "copies/routed.rs"]
mod routed;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Instance, text, tree};
use scene::small;

/// A small instance with the targets `near` and `far` in folders beside its data. `near` is the
/// default one.
fn two_folders() -> Instance {
    let instance = small();
    instance.configure(
        "default_target = \"near\"\n\
         [backup.targets.near]\ntype = \"local\"\nlocal_path = \"./near\"\n\
         [backup.targets.far]\ntype = \"local\"\nlocal_path = \"./far\"",
    );
    instance
}

/// Copies a backup to `far`, which must succeed, and returns the operation.
fn copied(instance: &Instance, id: &str) -> Value {
    let (code, ended) = instance.json(&["copy", id, "--to", "far"]);
    assert_eq!(
        (code, &ended["status"]),
        (0, &"completed".into()),
        "{ended}"
    );
    assert_eq!(ended["operation"], "copy", "{ended}");
    assert_eq!(ended["to_target"], "far", "{ended}");
    ended
}

/// A command that fails with this exit code, and says all of this.
fn fails(instance: &Instance, arguments: &[&str], code: i32, parts: &[&str]) -> String {
    let output = instance.run(arguments);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{arguments:?}: no {part:?} in: {said}");
    }
    said
}

/// The targets that list the backup, sorted.
fn holders(instance: &Instance, id: &str) -> Vec<String> {
    let (_, list) = instance.json(&["list"]);
    assert_eq!(list["damaged"], serde_json::json!([]), "{list}");
    let rows = list["backups"].as_array().unwrap();
    let mut targets: Vec<_> = (rows.iter())
        .filter(|row| row["backup_id"] == id)
        .map(|row| row["target"].as_str().unwrap().to_owned())
        .collect();
    targets.sort();
    targets
}

/// The files of a backup in a folder: path → bytes, without manifest and lists.
fn files_of(instance: &Instance, target: &str, id: &str) -> BTreeMap<String, Vec<u8>> {
    let all = tree(&instance.path(target).join(id)).into_iter();
    all.map(|(path, (bytes, ..))| (path, bytes))
        .filter(|(path, _)| path.contains('/'))
        .collect()
}

fn manifest(instance: &Instance, id: &str, target: &str) -> Value {
    let (code, shown) = instance.json(&["show", id, "--target", target]);
    assert_eq!(code, 0, "{shown}");
    shown
}

/// Rewrites a file of the live data.
fn rewrite(instance: &Instance, key: &str, bytes: &[u8]) {
    std::fs::write(instance.path("data/arc").join(key), bytes).unwrap();
}
