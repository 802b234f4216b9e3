//! A small instance, copied again for each fault, and the files that may exist in it afterwards.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::{Instance, database_rows, files, text, tree};

/// Eight files of the sample, one of them large enough for several writes, and no backup. One file
/// at a time, so that the calls have a fixed order.
pub fn small() -> Instance {
    let instance = Instance::new();
    std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
    let root = instance.path("data/arc");
    let mut kept = BTreeSet::new();
    for file in files(&root) {
        let measurement: Vec<_> = file.split('/').take(2).collect();
        let is_kept = kept.len() < 7 && kept.insert(measurement.join("/"));
        if !is_kept {
            std::fs::remove_file(root.join(&file)).unwrap();
        }
    }
    remove_empty(&root);
    for name in ["a", "b"] {
        std::fs::write(root.join(format!("iot/temperature/{name}.parquet")), name).unwrap();
    }
    let large: Vec<u8> = (0..700_000_u32)
        .map(|n| (n.wrapping_mul(n) >> 7) as u8)
        .collect();
    std::fs::write(root.join("metrics/large.parquet"), large).unwrap();
    assert!(files(&root).len() >= 7, "the fixture is not whole");
    instance.configure("concurrency = 1");
    instance
}

/// Changes all live files: data, database, `arc.toml`.
pub fn change(instance: &Instance) {
    let root = instance.path("data/arc");
    std::fs::write(root.join("metrics/large.parquet"), b"rewritten").unwrap();
    std::fs::remove_file(root.join("iot/temperature/b.parquet")).unwrap();
    std::fs::write(root.join("iot/added.parquet"), b"added").unwrap();
    let connection = rusqlite::Connection::open(instance.path("data/arc.db")).unwrap();
    connection.execute_batch("DELETE FROM api_tokens").unwrap();
    instance.configure("# changed");
}

fn remove_empty(folder: &Path) {
    for child in std::fs::read_dir(folder).unwrap() {
        let path = child.unwrap().path();
        if path.is_dir() {
            remove_empty(&path);
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// A copy with its hard links, in a separate folder.
pub fn copy(of: &Instance) -> Instance {
    let copy = Instance::with_config("");
    let mut from = of.path("").into_os_string();
    from.push(".");
    let status = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(copy.path(""))
        .status();
    assert!(status.unwrap().success());
    copy
}

/// The live data and every row of the database.
pub type Live = (std::collections::BTreeMap<String, Vec<u8>>, Vec<String>);

/// Staged files lie beside the live files, and are not part of them.
pub fn live(instance: &Instance) -> Live {
    let data = tree(&instance.path("data/arc")).into_iter();
    let data = data.map(|(path, (bytes, ..))| (path, bytes));
    (
        data.filter(|(path, _)| !path.contains(".arc-backup-"))
            .collect(),
        database_rows(&instance.path("data/arc.db")),
    )
}

/// Every path below a folder, folders and links included.
pub fn paths(root: &Path) -> BTreeSet<String> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
        for child in std::fs::read_dir(folder).unwrap() {
            let child = child.unwrap();
            let path = child.path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy();
            found.insert(name.into_owned());
            if child.file_type().unwrap().is_dir() {
                walk(root, &path, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(root, root, &mut found);
    found
}

/// The ids of the list, oldest first; none may be damaged.
pub fn listed(instance: &Instance, case: &str) -> Vec<String> {
    let (_, list) = instance.json(&["list"]);
    assert_eq!(list["damaged"], serde_json::json!([]), "{case}: {list}");
    assert_eq!(list["errors"], serde_json::json!([]), "{case}: {list}");
    let rows = list["backups"].as_array().unwrap().iter().rev();
    rows.map(|row| row["backup_id"].as_str().unwrap().to_owned())
        .collect()
}

/// Every byte of every listed backup verifies.
pub fn all_verify(instance: &Instance, case: &str) -> Vec<String> {
    let ids = listed(instance, case);
    for id in &ids {
        let output = instance.run(&["verify", id]);
        assert!(output.status.success(), "{case}: {id}: {}", text(&output));
    }
    ids
}

/// Paths in the instance without an owner: no file of the instance, of a listed backup, or of the
/// tool itself.
pub fn leftovers(instance: &Instance, incomplete_may_stay: bool, case: &str) -> Vec<String> {
    let mut known = BTreeSet::new();
    let mut elsewhere = BTreeSet::new();
    for id in listed(instance, case) {
        let folder = instance.backup_folder(&id);
        let mut add = |path: &str| {
            for (at, _) in path.match_indices('/') {
                known.insert(format!("data/backups/{id}/{}", &path[..at]));
            }
            known.insert(format!("data/backups/{id}/{path}"));
        };
        add("manifest.json");
        add("inventory.jsonl.zst");
        add("manifest-files.json");
        for line in crate::support::inventory_of(&folder).lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let path = line["path"].as_str().unwrap();
            match line["stored_in"].as_str() {
                None => add(path),
                Some(by) => {
                    elsewhere.insert((by.to_owned(), path.to_owned()));
                }
            }
        }
        known.insert(format!("data/backups/{id}"));
    }
    for (by, path) in elsewhere {
        for (at, _) in path.match_indices('/') {
            known.insert(format!("data/backups/{by}/{}", &path[..at]));
        }
        known.insert(format!("data/backups/{by}/{path}"));
        // Of a deleted backup.
        for name in [
            by.clone(),
            format!("{by}/retained.jsonl"),
            format!(".arc-backup/retained/{by}"),
        ] {
            known.insert(format!("data/backups/{name}"));
        }
    }
    let own = "data/backups/.arc-backup";
    let stays = |path: &str| {
        let is_live = path.starts_with("data/arc/") && !path.contains("/.arc-backup");
        let in_own = path.strip_prefix(own).is_some_and(|rest| {
            let folders = [
                "",
                "/scratch",
                "/scratch/operations",
                "/scratch/reads",
                "/journal",
                "/running",
                "/retained",
                "/damage.json",
            ];
            let kept = [
                "/lock",
                "/instance.lock",
                "/history.db",
                "/instance-id",
                "/history.db-wal",
                "/history.db-shm",
            ];
            // A folder has to be empty: its files are checked separately.
            folders.contains(&rest)
                || kept.contains(&rest)
                || rest.starts_with("/notes")
                || rest.starts_with("/restores")
                || incomplete_may_stay && rest.starts_with("/incomplete")
        });
        let by_restore = ["data/arc.before-restore", "data/arc.db.before-restore"]
            .iter()
            .any(|kept| path.starts_with(kept) && !path.ends_with(".tmp"));
        let fixed = [
            "arc.toml",
            "data",
            "data/arc",
            "data/arc.db",
            // From a process that has opened the live database.
            "data/arc.db-wal",
            "data/arc.db-shm",
            "data/backups",
            "README.md",
        ];
        is_live || in_own || by_restore || fixed.contains(&path)
    };
    let there = paths(&instance.path(""));
    there
        .into_iter()
        .filter(|path| !known.contains(path) && !stays(path))
        .collect()
}
