//! Backups that refer to files in the folder of another one, made by hand from full ones; and a
//! look at all backups of a target that does not go through the program.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};

use arc_backup::testing::{Manifest, seal};
use arc_backup_core::{Child, Digest, GetOptions, Key, ListOptions, Listed, Sink, WriteOptions};
use futures::StreamExt;
use serde_json::{Value, json};

pub fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

pub async fn get(sink: &dyn Sink, name: &str) -> Option<Vec<u8>> {
    let key = key(name);
    sink.head(&key).await.unwrap()?;
    let object = sink.get(&key, GetOptions::default()).await.unwrap();
    Some(object.body.collect(1 << 30, &key).await.unwrap())
}

pub async fn put(sink: &dyn Sink, name: &str, bytes: Vec<u8>) {
    let options = WriteOptions::default();
    let mut upload = sink.begin(&key(name), options).await.unwrap();
    upload.write(bytes.into()).await.unwrap();
    upload.commit().await.unwrap();
}

/// Every object with its size, by name.
pub async fn objects(sink: &dyn Sink) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut listing = sink.list(ListOptions::default());
    while let Some(row) = listing.next().await {
        if let Listed::Object(meta) = row.unwrap() {
            found.insert(meta.key.to_string(), meta.size);
        }
    }
    found
}

/// The backups that have a manifest, oldest first.
pub async fn published(sink: &dyn Sink) -> Vec<String> {
    let mut found = Vec::new();
    for child in sink.list_children(None).await.unwrap() {
        if let Child::Folder(name) = child
            && name.starts_with("backup-")
            && get(sink, &format!("{name}/manifest.json")).await.is_some()
        {
            found.push(name);
        }
    }
    found
}

/// The lines of a backup's inventory.
pub async fn records(sink: &dyn Sink, id: &str) -> Vec<Value> {
    let text = match get(sink, &format!("{id}/inventory.jsonl")).await {
        Some(text) => text,
        None => {
            let packed = get(sink, &format!("{id}/inventory.jsonl.zst")).await;
            zstd::decode_all(&*packed.expect("an inventory")).unwrap()
        }
    };
    (text.split(|byte| *byte == b'\n'))
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// The backup that holds the bytes of a record of the backup `own`.
pub fn holder<'a>(own: &'a str, record: &'a Value) -> &'a str {
    record["stored_in"].as_str().unwrap_or(own)
}

/// Makes the full backup `id` one that refers to the files of `base` which are the same in both,
/// wherever these lie: never to a backup that refers on.
pub async fn refer(sink: &dyn Sink, id: &str, base: &str) {
    let of_base: BTreeMap<String, Value> = (records(sink, base).await.into_iter())
        .map(|record| (record["path"].as_str().unwrap().to_owned(), record))
        .collect();
    let (mut lines, mut stored_in, mut gone) = (Vec::new(), BTreeMap::new(), Vec::new());
    for mut record in records(sink, id).await {
        let path = record["path"].as_str().unwrap().to_owned();
        if path.starts_with("data/")
            && let Some(same) = of_base.get(&path)
            && same["sha256"] == record["sha256"]
        {
            let by = holder(base, same).to_owned();
            record["stored_in"] = json!(by);
            let totals: &mut (u64, u64) = stored_in.entry(by).or_default();
            totals.0 += 1;
            totals.1 += record["size"].as_u64().unwrap();
            gone.push(key(&format!("{id}/{path}")));
        }
        lines.extend_from_slice(record.to_string().as_bytes());
        lines.push(b'\n');
    }
    let name = format!("{id}/manifest.json");
    let text = get(sink, &name).await.expect("a manifest");
    let mut raw: Value = serde_json::from_slice(&text).unwrap();
    raw["backup_type"] = json!("incremental");
    raw["base_backup_id"] = json!(base);
    raw["format"] = json!(2);
    raw["stored_in"] = (stored_in.into_iter())
        .map(|(by, (files, bytes))| (by, json!({"files": files, "bytes": bytes})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    raw["inventory"]["sha256"] = json!(Digest::of(&lines).to_string());
    raw["inventory"]["compression"] = json!("zstd");
    let packed = zstd::encode_all(&*lines, 1).unwrap();
    put(sink, &format!("{id}/inventory.jsonl.zst"), packed).await;
    write_manifest(sink, &name, raw).await;
    sink.delete(&gone).await.unwrap();
}

/// Writes a manifest with its seal.
pub async fn write_manifest(sink: &dyn Sink, name: &str, raw: Value) {
    let mut manifest: Manifest = serde_json::from_value(raw).unwrap();
    let bytes = seal(&mut manifest).unwrap();
    put(sink, name, bytes).await;
}

/// Reads every file of every published backup where its inventory says it lies, and returns the
/// backups. What is wrong comes back as text.
pub async fn check_all(sink: &dyn Sink) -> Result<Vec<String>, String> {
    let ids = published(sink).await;
    for id in &ids {
        for record in records(sink, id).await {
            let path = record["path"].as_str().unwrap();
            let place = format!("{}/{path}", holder(id, &record));
            let Some(bytes) = get(sink, &place).await else {
                return Err(format!("{id} lacks `{place}`"));
            };
            if record["sha256"] != json!(Digest::of(&bytes).to_string()) {
                return Err(format!("{id}: `{place}` has other bytes"));
            }
        }
    }
    Ok(ids)
}

/// The files outside of sections that a listed backup does not name, and files in folders of
/// deleted backups that no backup needs: there may be none once all is swept.
pub async fn leftovers(sink: &dyn Sink) -> Vec<String> {
    let mut known = BTreeSet::new();
    let mut holders = BTreeSet::new();
    let ids = published(sink).await;
    for id in &ids {
        for name in [
            "manifest.json",
            "inventory.jsonl",
            "inventory.jsonl.zst",
            "manifest-files.json",
        ] {
            known.insert(format!("{id}/{name}"));
        }
        for record in records(sink, id).await {
            let by = holder(id, &record);
            known.insert(format!("{by}/{}", record["path"].as_str().unwrap()));
            if !ids.iter().any(|id| id == by) {
                holders.insert(by.to_owned());
            }
        }
    }
    for by in holders {
        known.insert(format!("{by}/retained.jsonl"));
        known.insert(format!(".arc-backup/retained/{by}"));
    }
    let is_note = |name: &str| {
        let noted = name
            .strip_prefix(".arc-backup/notes/")
            .and_then(|name| name.strip_suffix(".json"));
        noted.is_some_and(|noted| ids.iter().any(|id| id == noted))
    };
    (objects(sink).await.into_keys())
        .filter(|name| !known.contains(name) && !is_lock(name) && !is_note(name))
        .collect()
}

/// Whether it is the file of a lock, which stays in a folder.
pub fn is_lock(name: &str) -> bool {
    matches!(name, ".arc-backup/lock" | ".arc-backup/notes.lock")
}
