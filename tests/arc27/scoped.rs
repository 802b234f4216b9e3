//! Backups of some databases: made, restored within them, and what they do not replace.

mod counting;
mod interrupted;
mod jobs;
mod no_files;
mod property;
mod requests;
mod storages;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::support::{Instance, text};

/// The id of a backup that Arc 27.01 made.
const ARCS: &str = "backup-20270115-030000-0a1b2c3d";

/// A small instance: four databases, of which `spoke1` is synced from an edge node, with their
/// companions, and files of no database.
fn small() -> Instance {
    let instance = Instance::new();
    for folder in ["data/arc", "data/backups"] {
        std::fs::remove_dir_all(instance.path(folder)).unwrap();
    }
    for (key, bytes) in small_files() {
        put(&instance, &key, &bytes);
    }
    instance
}

fn small_files() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for database in ["iot", "web", "web-2", "spoke1/telemetry"] {
        for measurement in ["cpu", "mem"] {
            for hour in ["00", "01"] {
                let name = format!("{database}/{measurement}/2027/01/14/{hour}/a.parquet");
                files.insert(name.clone(), format!("rows of {name}").into_bytes());
            }
        }
    }
    for companion in [
        "_schema/iot/cpu.parquet",
        "_schema/web/cpu.parquet",
        "_schema/anchor.parquet",
        "_compaction_state/daily/iot/notes.txt",
        "_compaction_state/daily/web/notes.txt",
        "lost.parquet",
    ] {
        files.insert(companion.to_owned(), companion.as_bytes().to_vec());
    }
    files
}

/// The database that a file belongs to, written down a second time: by the page, not by the code.
fn database(key: &str) -> Option<&str> {
    let parts: Vec<&str> = key.split('/').collect();
    match parts[..] {
        ["_schema", name, _, ..] | ["_compaction_state", _, name, _, ..] => Some(name),
        [first, _, ..] if !first.starts_with('_') => Some(first),
        _ => None,
    }
}

fn is_of(key: &str, databases: &[&str]) -> bool {
    database(key).is_some_and(|name| databases.contains(&name))
}

fn put(instance: &Instance, key: &str, bytes: &[u8]) {
    let path = instance.path("data/arc").join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// The keys of the data in the backup's folder.
fn held(instance: &Instance, id: &str) -> Vec<String> {
    crate::support::files(&instance.backup_folder(id).join("data"))
}

/// Makes a backup of one database, and returns its id.
fn backup_of(instance: &Instance, database: &str) -> String {
    instance.ok(&["backup", "--database", database])
}

/// The manifest that Arc 27.01 writes of a backup of some databases with these data files.
fn arcs_manifest(id: &str, scope: &[&str], files: &BTreeMap<String, Vec<u8>>) -> Value {
    let parquet = |key: &&String| key.ends_with(".parquet") && !key.starts_with('_');
    let of = files.iter().filter(|(key, _)| parquet(key));
    let bytes: usize = of.clone().map(|(_, bytes)| bytes.len()).sum();
    serde_json::json!({
        "version": "27.01.1",
        "backup_id": id,
        "created_at": "2027-01-15T03:00:00.123456789Z",
        "backup_type": "full",
        "scope": scope,
        "databases": null,
        "total_files": of.count(),
        "total_size_bytes": bytes,
        "has_metadata": false,
        "has_config": false,
        "owner_instance_id": "3f1b8d1e-6f0f-4d0a-9a55-1c9d36b7a001",
        "target": "default",
    })
}

/// Writes a backup by Arc 27.01 into a folder of backups.
fn write_arcs(backups: &Path, scope: &[&str], files: &BTreeMap<String, Vec<u8>>) {
    let folder = backups.join(ARCS);
    for (key, bytes) in files {
        let path = folder.join("data").join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let manifest = arcs_manifest(ARCS, scope, files).to_string();
    std::fs::write(folder.join("manifest.json"), manifest).unwrap();
}

/// Runs a command that has to fail with this code, and returns what it said.
fn fails(instance: &Instance, arguments: &[&str], code: i32) -> String {
    let output = instance.run(arguments);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}
