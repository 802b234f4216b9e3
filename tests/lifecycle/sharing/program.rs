//! What commands and REST say of deletions where bytes are shared: on local disk, by hard links and
//! by reference.

use std::sync::Arc;

use arc_backup_core::Sink;
use arc_backup_local::{LocalConfig, LocalSink};
use serde_json::json;

use super::referring;
use crate::support::{Instance, files, text};

fn folder(instance: &Instance, name: &str) -> Arc<dyn Sink> {
    Arc::new(LocalSink::new(LocalConfig::new(instance.path(name))))
}

/// Guards against: a dry run that names other figures than the deletion, on any interface.
#[test]
fn the_dry_run_of_each_interface_says_what_the_deletion_does() {
    let instance = Instance::new();
    let base = instance.backup();
    let root = instance.path("data/arc");
    let changed = files(&root)
        .into_iter()
        .find(|name| name.ends_with(".parquet"))
        .unwrap();
    std::fs::write(root.join(&changed), b"changed").unwrap();
    let incremental = instance.backup();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(referring::refer(
        &*folder(&instance, "data/backups"),
        &incremental,
        &base,
    ));

    let (code, said) = instance.json(&["delete", "--dry-run", &base]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(said["needed_by"], json!([incremental]), "{said}");
    assert!(said["retained_files"].as_u64().unwrap() > 90, "{said}");
    let printed = instance.ok(&["delete", "--dry-run", &base]);
    assert!(
        printed.contains("stay, as other backups need them"),
        "{printed}"
    );
    assert!(printed.contains("nothing was deleted"), "{printed}");
    assert!(instance.backup_folder(&base).join("manifest.json").exists());

    let service = instance.serve();
    let path = format!("/api/v1/backup/{base}");
    let estimated = service.delete(&format!("{path}?dry_run=true")).json();
    assert_eq!(estimated["dry_run"], true, "{estimated}");
    let deleted = service.delete(&path).json();
    assert_eq!(deleted["dry_run"], false, "{deleted}");
    for field in [
        "freed_files",
        "freed_bytes",
        "retained_files",
        "retained_bytes",
    ] {
        assert_eq!(estimated[field], said[field], "{field}");
        assert_eq!(deleted[field], said[field], "{field}");
    }
    let gone = service.get(&path);
    assert_eq!(gone.status, 404);
    let detail = gone.json()["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(detail.contains("other backups still use"), "{}", gone.text);
    let again = service.delete(&path);
    assert_eq!(again.status, 404, "{}", again.text);
    drop(service);

    let verified = instance.run(&["verify", &incremental]);
    assert!(verified.status.success(), "{}", text(&verified));
    let (_, list) = instance.json(&["list"]);
    assert_eq!(list["damaged"], json!([]), "{list}");
    let (_, swept) = instance.json(&["sweep"]);
    assert_eq!(swept["leftovers"], json!([]), "{swept}");
    instance.ok(&["delete", &incremental, "--yes"]);
    assert!(!instance.backup_folder(&base).exists());
}

/// Guards against: bytes that are said to be freed and have another name, or the other way round.
#[test]
fn of_hard_links_the_last_one_frees_the_bytes() {
    let instance = Instance::new();
    let ids = [instance.backup(), instance.backup(), instance.backup()];
    let folder = |id: &str| instance.backup_folder(id).join("data");
    let names = files(&folder(&ids[0]));
    for id in &ids[1..] {
        for name in &names {
            std::fs::remove_file(folder(id).join(name)).unwrap();
            std::fs::hard_link(folder(&ids[0]).join(name), folder(id).join(name)).unwrap();
        }
    }
    let of_links: u64 = (names.iter())
        .map(|name| folder(&ids[0]).join(name).metadata().unwrap().len())
        .sum();
    let figures = |said: &serde_json::Value| {
        [
            "freed_files",
            "freed_bytes",
            "retained_files",
            "retained_bytes",
        ]
        .map(|field| said[field].as_u64().unwrap())
    };
    let every = ["delete", "--dry-run", "--even-last"];
    let (_, all) = instance.json(&[&every[..], &[&*ids[0], &ids[1], &ids[2]]].concat());
    assert_eq!(figures(&all)[2..], [0, 0], "{all}");
    let mut freed = 0;
    for (number, id) in ids.iter().enumerate() {
        let (_, said) = instance.json(&[&every[..], &[&**id]].concat());
        let (code, done) = instance.json(&["delete", id, "--yes", "--even-last"]);
        assert_eq!(code, 0, "{done}");
        assert_eq!(figures(&said), figures(&done), "{id}");
        let [_, bytes, retained, retained_bytes] = figures(&done);
        freed += bytes;
        let shares = (retained, retained_bytes) == (names.len() as u64, of_links);
        match number {
            0 | 1 => assert!(shares && bytes > 0, "{done}"),
            _ => assert!(retained == 0 && bytes > of_links, "{done}"),
        }
    }
    assert_eq!(figures(&all)[1], freed, "{all}");
}

/// Guards against: files of one leg that are looked for in another target, or stay there for ever.
#[test]
fn each_leg_keeps_what_the_legs_beside_it_need() {
    let instance = Instance::new();
    std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
    instance.configure("default_target = \"near\"");
    instance.configure("[backup.targets.near]\ntype = \"local\"\nlocal_path = \"./near\"");
    let far = "type = \"local\"\nlocal_path = \"./far\"\ndatabases = [\"iot\"]";
    instance.configure(&format!("[backup.targets.far]\n{far}"));
    let (base, incremental) = (instance.backup(), instance.backup());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let legs = ["near", "far"].map(|name| (name, folder(&instance, name)));
    runtime.block_on(async {
        let name = format!("{incremental}/manifest.json");
        let mut manifests = Vec::new();
        let mut digests = serde_json::Map::new();
        for (target, sink) in &legs {
            referring::refer(&**sink, &incremental, &base).await;
            let text = referring::get(&**sink, &name).await.unwrap();
            let raw: serde_json::Value = serde_json::from_slice(&text).unwrap();
            digests.insert((*target).to_owned(), raw["inventory"]["sha256"].clone());
            manifests.push(raw);
        }
        for ((_, sink), mut raw) in legs.iter().zip(manifests) {
            raw["run_inventories"] = digests.clone().into();
            referring::write_manifest(&**sink, &name, raw).await;
        }
    });
    let (code, said) = instance.json(&["delete", "--dry-run", &base]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(said["retained_files"], 105, "{said}");
    let (code, done) = instance.json(&["delete", &base, "--yes"]);
    assert_eq!(code, 0, "{done}");
    for field in [
        "freed_files",
        "freed_bytes",
        "retained_files",
        "retained_bytes",
    ] {
        assert_eq!(done[field], said[field], "{field}: {done}");
    }
    for (target, _) in &legs {
        let kept = instance.path(target).join(&base);
        assert!(kept.join("retained.jsonl").exists(), "{target}");
        assert!(!kept.join("manifest.json").exists(), "{target}");
    }
    let verified = instance.run(&["verify", &incremental]);
    assert!(verified.status.success(), "{}", text(&verified));
    let live = instance.live();
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    instance.ok(&["restore", &incremental, "--yes"]);
    let restored = instance.live();
    assert!(live.keys().eq(restored.keys()), "not all files are back");
    assert!((live.iter()).all(|(name, file)| restored[name].0 == file.0));
    instance.ok(&["delete", &incremental, "--yes", "--even-last"]);
    for (target, _) in &legs {
        let left: Vec<_> = (files(&instance.path(target)).into_iter())
            .filter(|name| !referring::is_lock(name))
            .collect();
        assert_eq!(left, Vec::<String>::new(), "{target}");
    }
}
