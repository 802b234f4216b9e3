//! Lists of many backups: filters, pages, labels, and what is kept of earlier lists.

use crate::stores;

mod cache;
mod filters;
mod labels;

use std::collections::BTreeMap;

use arc_backup::core::Digest;
use arc_backup_test_s3::S3Server;
use serde_json::{Value, json};

use crate::support::Instance;
use stores::{Place, configure, put_all};

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The manifest of one real backup, of which many are made.
struct Model(Value);

impl Model {
    /// Of a backup of the default target, which is made for it.
    fn of(instance: &Instance) -> Self {
        let id = instance.ok(&["backup", "--no-metadata"]);
        let path = instance.backup_folder(&id).join("manifest.json");
        Self(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    /// The id and the sealed manifest of a backup that began so many seconds after 2026 did.
    fn make(&self, seconds: u64, number: u64, change: &Value) -> (String, Vec<u8>) {
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let (month, day) = (1 + days / 28, 1 + days % 28);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        let id =
            format!("backup-2026{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{number:08x}");
        let mut manifest = self.0.clone();
        manifest["backup_id"] = id.as_str().into();
        manifest["created_at"] =
            format!("2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.25Z").into();
        for (field, value) in change.as_object().unwrap() {
            manifest[field] = value.clone();
        }
        manifest["sha256"] = ZEROS.into();
        let text = format!("{}\n", serde_json::to_string_pretty(&manifest).unwrap());
        let digest = Digest::of(text.as_bytes()).to_string();
        (id, text.replace(ZEROS, &digest).into_bytes())
    }

    /// So many backups, half an hour apart, as files of a target.
    fn many(&self, count: u64) -> BTreeMap<String, Vec<u8>> {
        (0..count)
            .map(|number| {
                let (id, bytes) = self.make(number * 1800, number, &json!({}));
                (format!("{id}/manifest.json"), bytes)
            })
            .collect()
    }
}

fn ids(list: &Value) -> Vec<String> {
    (list["backups"].as_array().unwrap().iter())
        .map(|one| one["backup_id"].as_str().unwrap().to_owned())
        .collect()
}

fn listed(instance: &Instance, arguments: &[&str]) -> Value {
    let (code, list) = instance.json(&[&["list"], arguments].concat());
    assert_eq!(code, 0, "{list}");
    list
}

fn row<'a>(list: &'a Value, id: &str) -> &'a Value {
    let mut rows = list["backups"].as_array().unwrap().iter();
    let found = rows.find(|one| one["backup_id"] == id);
    found.unwrap_or_else(|| panic!("{id} is not in {list}"))
}

/// An instance with the target `far` in a bucket that holds so many backups.
fn with_many(server: &S3Server, count: u64) -> (Instance, Place) {
    let instance = Instance::new();
    let model = Model::of(&instance);
    let far = Place::s3(server, "backups", "of/arc-1");
    configure(&instance, &Place::local(&instance, "data/arc"), &far);
    put_all(&far.sink, &model.many(count));
    (instance, far)
}

/// The files that keep what lists read.
fn caches(instance: &Instance) -> Vec<std::path::PathBuf> {
    let folder = instance.path("data/backups/.arc-backup/lists");
    let Ok(children) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    children.map(|child| child.unwrap().path()).collect()
}

/// Lets eleven minutes pass for everything that is kept.
fn eleven_minutes_later(instance: &Instance) {
    for path in caches(instance) {
        let connection = rusqlite::Connection::open(path).unwrap();
        let ago = 11 * 60 * 1_000_000;
        connection
            .execute("UPDATE rows SET checked_at = checked_at - ?1", [ago])
            .unwrap();
    }
}
