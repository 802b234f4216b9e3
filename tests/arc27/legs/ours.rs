//! Backups of ours over several targets.

use serde_json::{Value, json};

use crate::stores::{Place, s3_server};
use crate::support::{Instance, change_live, files, text};

/// An instance whose database `iot` goes to the target `far`, and `metrics` to `third` where there
/// is one; all else goes to `near`.
pub(super) fn instance(targets: &[(&str, &str)]) -> Instance {
    let instance = Instance::new();
    std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
    instance.configure("default_target = \"near\"");
    for (name, table) in targets {
        instance.configure(&format!("[backup.targets.{name}]\n{table}"));
    }
    instance
}

pub(super) const NEAR: (&str, &str) = ("near", "type = \"local\"\nlocal_path = \"./near\"");
pub(super) const FAR: (&str, &str) = (
    "far",
    "type = \"local\"\nlocal_path = \"./far\"\ndatabases = [\"iot\"]",
);

fn manifest(instance: &Instance, target: &str, id: &str) -> Value {
    let path = instance.path(target).join(id).join("manifest.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn without_own(paths: Vec<String>) -> Vec<String> {
    let kept = |path: &String| !path.starts_with(".arc-backup/");
    paths.into_iter().filter(kept).collect()
}

/// The bytes of the live data.
pub(super) fn bytes(instance: &Instance) -> Vec<(String, Vec<u8>)> {
    let live = instance.live().into_iter();
    live.map(|(path, (bytes, ..))| (path, bytes)).collect()
}

/// Guards against: data of a routed database in the wrong target, and a leg without its others.
#[test]
fn routed_databases_go_to_their_targets_and_come_back() {
    let instance = instance(&[NEAR, FAR]);
    let before = bytes(&instance);
    let (code, made) = instance.json(&["backup"]);
    assert_eq!(
        (code, &made["targets"]),
        (0, &json!(["far", "near"])),
        "{made}"
    );
    let id = made["backup_id"].as_str().unwrap();
    let [near, far] = ["near", "far"].map(|target| manifest(&instance, target, id));
    for (leg, target, database, is_default) in [
        (&near, "near", "metrics", true),
        (&far, "far", "iot", false),
    ] {
        assert_eq!(leg["target"], target);
        assert_eq!(leg["run_targets"], json!(["far", "near"]), "{leg}");
        assert_eq!(leg["is_default_target"], is_default);
        // An older release refuses it, and does not restore it as the whole.
        assert_eq!(leg["format"], 2);
        assert_eq!(leg["has_metadata"], is_default);
        assert_eq!(leg["databases"].as_array().unwrap().len(), 1, "{leg}");
        assert_eq!(leg["databases"][0]["name"], database);
        assert_eq!(leg["source"], near["source"]);
        assert_eq!(leg["created_at"], near["created_at"]);
        let own = &leg["run_inventories"][target];
        assert_eq!(*own, leg["inventory"]["sha256"], "{leg}");
    }
    let index = instance.path("near").join(id).join("index.json");
    let index: Value = serde_json::from_str(&std::fs::read_to_string(index).unwrap()).unwrap();
    assert_eq!(
        index,
        json!({"targets": ["far", "near"], "default_target": "near",
               "database_targets": {"iot": "far"}, "status": "completed"})
    );

    let (_, list) = instance.json(&["list"]);
    let one = &list["backups"][0];
    assert_eq!(
        (&list["count"], &one["total_files"]),
        (&json!(1), &json!(105)),
        "{list}"
    );
    assert_eq!(
        (&one["files"], &one["has_checksums"]),
        (&json!(107), &json!(true))
    );
    let (code, verified) = instance.json(&["verify", id]);
    assert_eq!(
        (code, &verified["processed_files"]),
        (0, &json!(107)),
        "{verified}"
    );
    let checked = instance.run(&["check"]);
    let said = text(&checked);
    assert!(
        checked.status.success() && said.contains("target far"),
        "{said}"
    );
    assert_eq!(said.matches(id).count(), 2, "{said}");

    change_live(&instance);
    let (code, restored) = instance.json(&["restore", "latest", "--yes"]);
    assert_eq!(
        (code, &restored["targets"]),
        (0, &json!(["far", "near"])),
        "{restored}"
    );
    assert!(bytes(&instance) == before);

    let (_, other) = instance.json(&["backup", "--target", "far"]);
    assert_eq!(other.get("targets"), None, "{other}");
    let other = other["backup_id"].as_str().unwrap();
    assert_eq!(manifest(&instance, "far", other)["total_files"], 105);
    assert_eq!(manifest(&instance, "far", other).get("run_targets"), None);

    let service = instance.serve();
    let deleted = service.delete(&format!("/api/v1/backup/{id}")).json();
    assert_eq!(deleted["targets"], json!(["far", "near"]), "{deleted}");
    assert_eq!(
        deleted["warnings"],
        json!(["target near holds no good backup of all databases now"])
    );
    assert_eq!(
        without_own(files(&instance.path("near"))),
        Vec::<String>::new()
    );
    let left = without_own(files(&instance.path("far")));
    assert!(left.iter().all(|path| path.starts_with(other)), "{left:?}");
}

/// Guards against: a leg that a later run, or another copy, has replaced.
#[test]
fn a_leg_with_the_files_of_another_day_is_refused() {
    let instance = instance(&[NEAR, FAR]);
    let (first, second) = (instance.backup(), {
        std::fs::write(instance.path("data/arc/iot/added.parquet"), b"added").unwrap();
        instance.backup()
    });
    let leg = |id: &str| instance.path("far").join(id);
    std::fs::remove_dir_all(leg(&first)).unwrap();
    std::fs::rename(leg(&second), leg(&first)).unwrap();
    let path = leg(&first).join("manifest.json");
    // Its seal is broken by the other id, whatever else it says.
    let text = std::fs::read_to_string(&path)
        .unwrap()
        .replace(&second, &first);
    std::fs::write(&path, text).unwrap();
    let before = instance.live();
    for id in [&first, &second] {
        let output = instance.run(&["restore", id, "--yes"]);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{}",
            crate::support::text(&output)
        );
    }
    assert!(instance.live() == before);
    assert_eq!(instance.json(&["list"]).1["count"], 0);
}

/// Guards against: an empty leg, and a run of one leg that asks for others.
#[test]
fn a_database_without_files_makes_no_leg() {
    let third = (
        "third",
        "type = \"local\"\nlocal_path = \"./third\"\ndatabases = [\"web\"]",
    );
    let instance = instance(&[NEAR, third]);
    let (code, made) = instance.json(&["backup"]);
    assert_eq!(code, 0, "{made}");
    assert_eq!(made.get("targets"), None, "{made}");
    let checked = instance.run(&["check"]);
    assert!(checked.status.success(), "{}", text(&checked));
    let id = made["backup_id"].as_str().unwrap();
    let near = manifest(&instance, "near", id);
    assert_eq!(
        (
            near.get("run_targets"),
            &near["total_files"],
            &near["format"]
        ),
        (None, &json!(105), &json!(2)),
        "{near}"
    );
    assert_eq!(
        without_own(files(&instance.path("third"))),
        Vec::<String>::new()
    );
    assert!(
        !files(&instance.path("third"))
            .iter()
            .any(|path| path.contains(id))
    );
    instance.ok(&["restore", id, "--yes"]);
}

/// Guards against: a backup that copies for hours to one target before it finds the other dead, or
/// used by somebody else.
#[test]
fn a_target_that_cannot_be_written_ends_the_run_before_anything_is_copied() {
    let instance = instance(&[NEAR, FAR]);
    std::fs::write(instance.path("far"), b"a file").unwrap();
    let output = instance.run(&["backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("far"), "{}", text(&output));
    assert_eq!(
        without_own(files(&instance.path("near"))),
        Vec::<String>::new()
    );
    std::fs::remove_file(instance.path("far")).unwrap();
    instance.backup();
    let (_, swept) = instance.json(&["sweep"]);
    assert_eq!(
        swept["unfinished"].as_array().map_or(0, Vec::len),
        0,
        "{swept}"
    );
}

/// Guards against: legs on a store that are not found, or not deleted.
#[test]
fn three_targets_on_two_kinds_of_storage() {
    let server = s3_server();
    let place = Place::s3(&server, "backups", "arc");
    let far = format!("type = \"s3\"\ndatabases = \"iot, web\"\n{}", place.config);
    let third = "type = \"local\"\nlocal_path = \"./third\"\ndatabases = [\"metrics\"]";
    let instance = instance(&[NEAR, ("far", &far), ("third", third)]);
    let before = bytes(&instance);
    let id = instance.backup();
    let third = manifest(&instance, "third", &id);
    assert_eq!(third["databases"][0]["name"], "metrics", "{third}");
    assert_eq!(third["run_targets"], json!(["far", "near", "third"]));
    assert_eq!(manifest(&instance, "near", &id)["total_files"], 0);
    instance.ok(&["verify", &id]);
    change_live(&instance);
    std::fs::remove_dir_all(instance.path("data/arc/metrics")).unwrap();
    instance.ok(&["restore", &id, "--yes"]);
    assert!(bytes(&instance) == before);
    instance.ok(&["delete", &id, "--yes", "--even-last"]);
    assert_eq!(instance.json(&["list"]).1["count"], 0);
    assert_eq!(instance.json(&["list"]).1["incomplete_runs"], json!([]));
}

/// Guards against: a database that the backup has no rows of, and no line that names it, as another
/// target has data.
#[test]
fn a_database_without_data_files_is_named_whatever_its_target() {
    let instance = instance(&[NEAR, FAR]);
    std::fs::create_dir_all(instance.path("data/arc/later")).unwrap();
    let arguments = ["backup", "--database", "iot", "--database", "later"];
    let (code, made) = instance.json(&arguments);
    assert_eq!(code, 0, "{made}");
    let said = made["warnings"].to_string();
    assert!(said.contains("later"), "{said}");
    assert!(said.contains("has no data files"), "{said}");
    assert!(!said.contains(r#"database \"iot"#), "{said}");
}
