//! Runs that Arc 27.01 made, written by hand: whole, and with a leg that is missing, unreachable,
//! or of another run.

use std::path::Path;

use arc_backup_core::Digest;
use serde_json::{Value, json};

use crate::stores::{Place, SECRETS, s3_server};
use crate::support::{ARC_NEW, Instance, change_live, copy_tree, files, text, tree};

pub(super) const ID: &str = "backup-20270112-030000-0000a1b2";

/// An instance with the targets `near`, the default one, and `far`, which has the database `iot`.
fn instance() -> Instance {
    let instance = Instance::new();
    for name in ["near", "far"] {
        std::fs::create_dir(instance.path(name)).unwrap();
    }
    std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
    instance.configure(
        "default_target = \"near\"\n\
         [backup.targets.near]\ntype = \"local\"\nlocal_path = \"./near\"\n\
         [backup.targets.far]\ntype = \"local\"\nlocal_path = \"./far\"\ndatabases = [\"iot\"]",
    );
    instance
}

/// Writes the leg of a run: the databases of the sample's live state that it has, and the SQLite
/// database with the default one.
fn write_leg(instance: &Instance, target: &str, run_targets: &[&str], databases: &[&str]) {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/instance/data/backups")
        .join(ARC_NEW);
    let folder = instance.path(target).join(ID);
    let text = std::fs::read_to_string(sample.join("manifest.json")).unwrap();
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    let is_default = target == "near";
    let of_leg = |one: &&Value| databases.contains(&one["name"].as_str().unwrap());
    let all = manifest["databases"].as_array().unwrap();
    let held: Vec<Value> = all.iter().filter(of_leg).cloned().collect();
    let sum = |field: &str| {
        held.iter()
            .map(|one| one[field].as_u64().unwrap())
            .sum::<u64>()
    };
    let (files, bytes) = (sum("file_count"), sum("size_bytes"));
    for (field, value) in [
        ("version", json!("27.01.1")),
        ("backup_id", json!(ID)),
        ("created_at", json!("2027-01-12T03:00:00.95461082Z")),
        ("total_files", json!(files)),
        ("total_size_bytes", json!(bytes)),
        ("databases", json!(held)),
        ("has_metadata", json!(is_default)),
        ("has_config", json!(false)),
        ("target", json!(target)),
        ("run_targets", json!(run_targets)),
        ("is_default_target", json!(is_default)),
    ] {
        manifest[field] = value;
    }
    for database in databases {
        let data = format!("data/{database}");
        copy_tree(&sample.join(&data), &folder.join(&data));
    }
    std::fs::create_dir_all(&folder).unwrap();
    if is_default {
        copy_tree(&sample.join("metadata"), &folder.join("metadata"));
        let index = json!({
            "targets": run_targets, "default_target": "near",
            "database_targets": {"iot": "far"}, "status": "completed",
        });
        std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    }
    write_file_list(&folder);
    write_manifest(&folder, &manifest);
}

/// Writes Arc's list of the files of a leg, with their checksums.
fn write_file_list(folder: &Path) {
    let data = folder.join("data");
    let listed: Vec<Value> = (files(&data).iter())
        .map(|path| {
            let bytes = std::fs::read(data.join(path)).unwrap();
            let segments: Vec<_> = path.split('/').collect();
            json!({
                "path": path, "sha256": Digest::of(&bytes).to_string(), "size_bytes": bytes.len(),
                "database": segments[0], "measurement": segments[1],
                "partition_time": "2026-11-23T18:00:00Z", "created_at": "2026-11-23T18:05:00Z",
            })
        })
        .collect();
    let list = json!({"version": 1, "files": listed});
    std::fs::write(folder.join("manifest-files.json"), list.to_string()).unwrap();
}

fn write_manifest(folder: &Path, manifest: &Value) {
    let text = serde_json::to_string_pretty(manifest).unwrap();
    std::fs::write(folder.join("manifest.json"), text).unwrap();
}

/// Changes a field of a leg's manifest.
pub(super) fn change_manifest(instance: &Instance, target: &str, field: &str, value: Value) {
    let folder = instance.path(target).join(ID);
    let text = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    manifest[field] = value;
    write_manifest(&folder, &manifest);
}

/// A whole run: `iot` in `far`, all else in `near`.
pub(super) fn run() -> Instance {
    let instance = instance();
    write_leg(&instance, "near", &["far", "near"], &["metrics"]);
    write_leg(&instance, "far", &["far", "near"], &["iot"]);
    instance
}

/// The bytes of the live data.
fn bytes(instance: &Instance) -> Vec<(String, Vec<u8>)> {
    let live = instance.live().into_iter();
    live.map(|(path, (bytes, ..))| (path, bytes)).collect()
}

/// Runs a command that has to fail, name these, and change no live data.
fn refused(instance: &Instance, arguments: &[&str], code: i32, parts: &[&str]) {
    let before = (instance.live(), tree(&instance.path("near")));
    let output = instance.run(arguments);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{arguments:?}: no {part:?} in {said}");
    }
    assert!(
        instance.live() == before.0,
        "{arguments:?}: live data changed"
    );
    if arguments[0] == "delete" {
        let kept = |path: &String| !path.starts_with(".arc-backup/");
        let left: Vec<_> = tree(&instance.path("near"))
            .into_keys()
            .filter(kept)
            .collect();
        assert_eq!(left.len(), before.1.into_keys().filter(kept).count());
    }
}

/// Guards against: a leg that is listed, shown or restored as if it were the whole backup.
#[test]
fn the_legs_of_a_run_are_one_backup() {
    let instance = run();
    let (_, list) = instance.json(&["list"]);
    assert_eq!(list["count"], 1, "{list}");
    let one = &list["backups"][0];
    assert_eq!(
        (&one["backup_id"], &one["target"]),
        (&json!(ID), &json!("near"))
    );
    assert_eq!(
        (&one["targets"], &one["partial_view"]),
        (&json!(["far", "near"]), &json!(false))
    );
    assert_eq!(
        (&one["total_files"], &one["database_count"]),
        (&json!(105), &json!(2))
    );
    assert_eq!(
        (&list["incomplete_runs"], &list["unreachable_targets"]),
        (&json!([]), &json!([]))
    );
    assert!(instance.ok(&["list"]).contains("far, near"));

    let (_, shown) = instance.json(&["show", "latest"]);
    assert_eq!(
        (&shown["total_files"], &shown["has_metadata"]),
        (&json!(105), &json!(true))
    );
    assert_eq!(
        (&shown["targets"], &shown["scope"]),
        (&json!(["far", "near"]), &Value::Null)
    );
    let names: Vec<_> = (shown["databases"].as_array().unwrap().iter())
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["iot", "metrics"]);
    let (_, leg) = instance.json(&["show", ID, "--target", "far"]);
    assert_eq!(
        (&leg["total_files"], &leg["is_default_target"]),
        (&json!(96), &json!(false))
    );
    assert!(
        instance
            .ok(&["show", ID, "--target", "far"])
            .contains("only a leg")
    );

    let (code, verified) = instance.json(&["verify", ID]);
    assert_eq!(
        (code, &verified["targets"]),
        (0, &json!(["far", "near"])),
        "{verified}"
    );
    let (code, verified) = instance.json(&["verify", ID, "--target", "far"]);
    let warned = verified["warnings"].to_string();
    assert!(
        code == 0 && warned.contains("only the leg in target"),
        "{verified}"
    );
    assert_eq!(instance.json(&["list"]).1["backups"][0]["state"], "ok");

    let service = instance.serve();
    let page = service
        .get(&format!("/api/v1/backup/{ID}/files?limit=1000"))
        .json();
    assert_eq!(page["count"], 106, "{page}");
    let shown = service.get(&format!("/api/v1/backup/{ID}")).json();
    assert_eq!(shown["targets"], json!(["far", "near"]));
    assert_eq!(
        service.get("/api/v1/backup").json()["backups"][0]["targets"],
        shown["targets"]
    );
    let body = format!(r#"{{"backup_id":"{ID}","confirm":true,"target":"far"}}"#);
    let answer = service.post("/api/v1/backup/restore", &body);
    assert!(
        answer.status == 400 && answer.text.contains("only a leg"),
        "{answer:?}"
    );
    drop(service);

    let before = bytes(&instance);
    change_live(&instance);
    for target in ["far", "near"] {
        refused(
            &instance,
            &["restore", ID, "--yes", "--target", target],
            2,
            &["only a leg", "far, near", "without --target"],
        );
        refused(
            &instance,
            &["delete", ID, "--yes", "--target", target],
            2,
            &["far, near"],
        );
    }
    let (code, restored) = instance.json(&["restore", "latest", "--yes"]);
    assert_eq!(
        (code, &restored["targets"]),
        (0, &json!(["far", "near"])),
        "{restored}"
    );
    assert!(
        bytes(&instance) == before,
        "both databases are back, and nothing else"
    );

    instance.ok(&["delete", ID, "--yes", "--even-last"]);
    for target in ["far", "near"] {
        let left = files(&instance.path(target));
        assert!(
            left.iter().all(|path| path.starts_with(".arc-backup/")),
            "{left:?}"
        );
    }
    assert_eq!(instance.json(&["list"]).1["incomplete_runs"], json!([]));
}

/// Guards against: a verification of a run that reads one leg, or names the wrong target.
#[test]
fn damage_in_a_leg_is_found_and_names_its_target() {
    let instance = run();
    let leg = instance.path("far").join(ID);
    let damaged = files(&leg)
        .into_iter()
        .find(|path| path.starts_with("data/"))
        .unwrap();
    std::fs::write(leg.join(&damaged), b"short").unwrap();
    let (code, verified) = instance.json(&["verify", ID, "--quick"]);
    assert_eq!(code, 1, "{verified}");
    let problem = &verified["problems"][0];
    let detail = problem["detail"].to_string();
    // The size in Arc's manifest is that of all files together.
    assert!(
        detail.contains("far") || problem["path"] == "data",
        "{verified}"
    );
    assert_eq!(instance.json(&["list"]).1["backups"][0]["state"], "damaged");
    refused(
        &instance,
        &["restore", ID, "--yes"],
        1,
        &["nothing was changed"],
    );
    // The same path in two legs: it is not known which one is right.
    let twice = files(&instance.path("near").join(ID));
    let twice = twice.iter().find(|path| path.starts_with("data/")).unwrap();
    let copy = leg.join(twice);
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    std::fs::copy(instance.path("near").join(ID).join(twice), copy).unwrap();
    write_file_list(&leg);
    refused(&instance, &["verify", ID], 1, &["in two legs"]);
    refused(
        &instance,
        &["restore", ID, "--yes"],
        1,
        &["in two legs", "nothing was changed"],
    );
}

/// Guards against: an incomplete run that is restored, counted as a backup, or can't be deleted.
#[test]
fn a_run_without_one_of_its_legs_is_refused_and_can_be_deleted() {
    let instance = run();
    let leg = instance.path("far").join(ID);
    // It is known to be the target, and not a folder where it is not mounted.
    std::fs::create_dir(instance.path("far/.arc-backup")).unwrap();
    std::fs::rename(&leg, instance.path("elsewhere")).unwrap();
    let (_, list) = instance.json(&["list"]);
    assert_eq!(list["count"], 0, "{list}");
    let one = &list["incomplete_runs"][0];
    assert_eq!(
        (&one["targets"], &one["missing_targets"]),
        (&json!(["near"]), &json!(["far"]))
    );
    let said = instance.ok(&["list"]);
    assert!(said.contains("INCOMPLETE") && said.contains(ID), "{said}");
    refused(
        &instance,
        &["restore", "latest", "--yes"],
        1,
        &["no good backup"],
    );
    for command in [
        &["restore", ID, "--yes"][..],
        &["verify", ID],
        &["show", ID],
    ] {
        refused(
            &instance,
            command,
            1,
            &["target \"far\"", "does not hold its leg"],
        );
    }
    let checked = instance.run(&["check", "--max-age", "99999d"]);
    assert!(!checked.status.success() && text(&checked).contains("no good backup"));
    instance.ok(&["show", ID, "--target", "near"]);
    // Its leg comes back.
    std::fs::rename(instance.path("elsewhere"), &leg).unwrap();
    instance.ok(&["verify", ID]);
    std::fs::remove_dir_all(&leg).unwrap();
    let service = instance.serve();
    let list = service.get("/api/v1/backup").json();
    assert_eq!(list["incomplete_runs"][0]["backup_id"], ID, "{list}");
    let deleted = service.delete(&format!("/api/v1/backup/{ID}"));
    assert_eq!(deleted.status, 200, "{deleted:?}");
    assert!(!instance.path("near").join(ID).exists());
}

/// Guards against: a restore that puts legs of two runs together, or takes a leg for the whole.
#[test]
fn a_leg_of_another_run_is_refused() {
    for (target, field, value, part) in [
        (
            "far",
            "run_targets",
            json!(["far", "other"]),
            "different runs",
        ),
        ("far", "run_targets", json!([]), "different runs"),
        (
            "near",
            "run_targets",
            json!([]),
            "a whole backup of the same id",
        ),
        ("far", "owner_instance_id", json!("x"), "different runs"),
        ("far", "target", json!("near"), "of target `near`"),
        (
            "far",
            "is_default_target",
            json!(true),
            "several of its legs",
        ),
        (
            "near",
            "is_default_target",
            json!(false),
            "none of its legs",
        ),
    ] {
        let instance = run();
        change_manifest(&instance, target, field, value);
        let (code, part) = match field {
            // It is listed as a backup of its own: which of the two is meant?
            "run_targets" if part.contains("whole") => (2, "say which"),
            _ => (1, part),
        };
        refused(&instance, &["restore", ID, "--yes"], code, &[part]);
        let (_, list) = instance.json(&["list"]);
        let is_whole = |one: &Value| one["targets"] == json!(["far", "near"]);
        let listed = list["backups"].as_array().unwrap().iter().any(is_whole);
        assert!(!listed, "{field}: {list}");
    }
}

/// Guards against: a restore of some of the data, where a target of the run is unknown here.
#[test]
fn a_leg_in_a_target_that_is_not_configured_is_named() {
    let instance = instance();
    let targets = ["far", "near", "third"];
    write_leg(&instance, "near", &targets, &["metrics"]);
    write_leg(&instance, "far", &targets, &["iot"]);
    let (_, list) = instance.json(&["list"]);
    let one = &list["backups"][0];
    assert_eq!(
        (&one["partial_view"], &one["targets"]),
        (&json!(true), &json!(targets)),
        "{list}"
    );
    assert_eq!(list["unreachable_targets"], json!(["third"]));
    refused(
        &instance,
        &["restore", ID, "--yes"],
        2,
        &["backup.targets.third"],
    );
    refused(
        &instance,
        &["restore", "latest", "--yes"],
        1,
        &["no good backup"],
    );
    refused(
        &instance,
        &["delete", ID, "--yes"],
        2,
        &["backup.targets.third", "--target"],
    );
    instance.ok(&["delete", ID, "--yes", "--even-last", "--target", "near"]);
    instance.ok(&["delete", ID, "--yes", "--even-last", "--target", "far"]);
    assert_eq!(instance.json(&["list"]).1["count"], 0);
    // With the target, the run of three is whole.
    let third = "[backup.targets.third]\ntype = \"local\"\nlocal_path = \"./third\"";
    instance.configure(third);
    write_leg(&instance, "near", &targets, &[]);
    write_leg(&instance, "far", &targets, &["iot"]);
    write_leg(&instance, "third", &targets, &["metrics"]);
    let before = bytes(&instance);
    change_live(&instance);
    instance.ok(&["restore", "latest", "--yes"]);
    assert!(bytes(&instance) == before);
}

/// Guards against: a restore, or a deletion, of half a run while a store refuses to answer.
#[test]
fn a_run_with_an_unreachable_leg_is_listed_and_refused() {
    let server = s3_server();
    let instance = run();
    let text = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    let place = Place::s3(&server, "backups", "arc");
    let refusing = place
        .config
        .replace(SECRETS[0], "another/Key+that-is-not-known");
    let dead = text.replace(
        "type = \"local\"\nlocal_path = \"./far\"",
        &format!("type = \"s3\"\n{refusing}"),
    );
    assert_ne!(dead, text);
    std::fs::write(instance.path("arc.toml"), dead).unwrap();
    let (code, list) = instance.json(&["list"]);
    let one = &list["backups"][0];
    assert_eq!((code, &one["partial_view"]), (0, &json!(true)), "{list}");
    assert_eq!(one["targets"], json!(["far", "near"]));
    assert_eq!(list["unreachable_targets"], json!(["far"]));
    let needed = ["far", "all legs are needed"];
    refused(&instance, &["restore", ID, "--yes"], 1, &needed);
    refused(&instance, &["verify", ID], 1, &needed);
    let nothing = ["far", "nothing was deleted"];
    let delete = ["delete", ID, "--yes", "--even-last"];
    refused(&instance, &delete, 1, &nothing);
    instance.ok(&["show", ID, "--target", "near"]);
    instance.ok(&[&delete[..], &["--target", "near"]].concat());
    std::fs::write(instance.path("arc.toml"), text).unwrap();
    let (_, list) = instance.json(&["list"]);
    let missing = &list["incomplete_runs"][0]["missing_targets"];
    assert_eq!(*missing, json!(["near"]), "{list}");
    instance.ok(&["delete", ID, "--yes"]);
    assert!(!instance.path("far").join(ID).exists());
}
