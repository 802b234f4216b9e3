//! Whose a backup is: `owner_instance_id`.

use serde_json::{Value, json};

use crate::support::{ARC_NEW, ARC_OLD, Instance, change_live, text};

const OURS: &str = "6a1f9d0e-3b2c-4d5e-8f90-112233445566";
const THEIRS: &str = "0b7d93f4-5566-4a1f-9d0e-3b2c4d5e8f90";
/// Arc's file, beside its database.
const FILE: &str = "data/.arc-backup-instance-id";

/// Makes the owner of one of Arc's own backups known.
fn set_owner(instance: &Instance, id: &str, owner: &str) {
    let path = instance.backup_folder(id).join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["owner_instance_id"] = owner.into();
    std::fs::write(path, manifest.to_string()).unwrap();
}

fn ids(list: &Value) -> Vec<&str> {
    let rows = list["backups"].as_array().unwrap().iter();
    rows.map(|row| row["backup_id"].as_str().unwrap()).collect()
}

/// Guards against backups of another instance that are taken for one's own, and against backups
/// that are hidden in silence.
#[test]
fn backups_of_another_owner_are_hidden_and_counted_and_can_be_named() {
    let instance = Instance::new();
    set_owner(&instance, ARC_OLD, OURS);
    set_owner(&instance, ARC_NEW, THEIRS);
    // Before Arc's first start nothing is known of this instance.
    let (_, list) = instance.json(&["list"]);
    assert_eq!(
        (ids(&list), &list["foreign_backups"]),
        (vec![ARC_NEW, ARC_OLD], &Value::Null)
    );

    std::fs::write(instance.path(FILE), format!("{OURS}\n")).unwrap();
    let (_, list) = instance.json(&["list"]);
    assert_eq!(
        (ids(&list), &list["foreign_backups"]),
        (vec![ARC_OLD], &json!(1)),
        "{list}"
    );
    assert_eq!(list["backups"][0]["owner_instance_id"], OURS);
    let (_, list) = instance.json(&["list", "--include-foreign"]);
    assert_eq!(
        (ids(&list), &list["foreign_backups"]),
        (vec![ARC_NEW, ARC_OLD], &Value::Null)
    );
    let shown = instance.ok(&["list"]);
    assert!(
        !shown.contains(ARC_NEW) && shown.contains("--include-foreign"),
        "{shown}"
    );
    let shown = instance.ok(&["list", "--include-foreign"]);
    assert!(
        shown.contains(&format!("of another instance: {THEIRS}")),
        "{shown}"
    );
    let only = instance.run(&["list", "--ids"]);
    assert_eq!(String::from_utf8_lossy(&only.stdout).trim(), ARC_OLD);
    assert!(text(&only).contains("--include-foreign"), "{}", text(&only));

    let service = instance.serve();
    let list = service.get("/api/v1/backup").json();
    assert_eq!(
        (ids(&list), &list["foreign_backups"]),
        (vec![ARC_OLD], &json!(1)),
        "{list}"
    );
    let list = service.get("/api/v1/backup?include_foreign=true").json();
    assert_eq!(ids(&list), [ARC_NEW, ARC_OLD]);
    drop(service);

    // By its id, or by the beginning of it.
    let shown = instance.ok(&["show", ARC_NEW]);
    assert!(
        shown.contains(&format!("{THEIRS} (another instance)")),
        "{shown}"
    );
    instance.ok(&["verify", &ARC_NEW[..22]]);
    // The newest of this instance is the older one.
    let latest = instance.ok(&["show", "latest"]);
    assert!(latest.starts_with(ARC_OLD), "{latest}");
    let (code, check) = instance.json(&["check", "--max-age", "99999d"]);
    assert_eq!(code, 0, "{check}");
    assert_eq!(check["targets"][0]["newest"], ARC_OLD, "{check}");
    assert_eq!(check["targets"][0]["backups"], 1, "{check}");
    // A new host on which Arc has started: `latest` is none of the old host's.
    set_owner(&instance, ARC_OLD, THEIRS);
    let none = instance.run(&["show", "latest"]);
    assert_eq!(none.status.code(), Some(1), "{}", text(&none));
    assert!(text(&none).contains("--include-foreign"), "{}", text(&none));
    set_owner(&instance, ARC_OLD, OURS);
    // It is not what is left when the last own one goes.
    let refused = instance.run(&["delete", ARC_OLD, "--yes"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains("--even-last"), "{}", text(&refused));
}

/// Guards against backups that are hidden, as Go writes an id that is not set as an empty string.
#[test]
fn an_empty_owner_is_none_and_a_uuid_has_no_case() {
    let instance = Instance::new();
    std::fs::write(instance.path(FILE), format!("{OURS}\n")).unwrap();
    set_owner(&instance, ARC_OLD, "");
    set_owner(&instance, ARC_NEW, &OURS.to_uppercase());
    let (_, list) = instance.json(&["list"]);
    assert_eq!(ids(&list), [ARC_NEW, ARC_OLD]);
    assert_eq!(
        list["backups"][1]["owner_instance_id"],
        Value::Null,
        "{list}"
    );
}

/// Guards against live data that is replaced by a backup of somebody else.
#[test]
fn arcs_backup_of_another_owner_replaces_nothing_unless_that_is_asked_for() {
    let instance = Instance::new();
    set_owner(&instance, ARC_NEW, THEIRS);
    std::fs::write(instance.path(FILE), OURS).unwrap();
    change_live(&instance);
    let live = instance.live();
    let refused = instance.run(&["restore", ARC_NEW, "--yes"]);
    let said = text(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains(THEIRS) && said.contains("--into-other-instance"),
        "{said}"
    );
    assert!(instance.live() == live);
    instance.ok(&["restore", ARC_NEW, "--yes", "--into-other-instance"]);
    assert!(instance.live() != live);
}

/// Guards against backups that Arc counts as nobody's, and against a file of Arc's that this
/// program makes, changes, backs up or removes.
#[test]
fn ours_name_the_cluster_or_arcs_id_and_arcs_file_stays_as_it_is() {
    let instance = Instance::new();
    let owner = |id: &str| instance.json(&["show", id]).1["owner_instance_id"].clone();
    let without = instance.backup();
    assert_eq!(owner(&without), Value::Null);
    assert!(!instance.path(FILE).exists(), "the file is Arc's to make");

    // Also under the storage root and in a target, where it is nobody's data.
    let places = [
        FILE,
        "data/arc/.arc-backup-instance-id",
        "data/backups/.arc-backup-instance-id",
    ];
    for place in places {
        std::fs::write(instance.path(place), OURS).unwrap();
    }
    let first = instance.backup();
    assert_eq!(owner(&first), OURS);
    let inventory = crate::support::inventory_of(&instance.backup_folder(&first));
    assert!(!inventory.contains("instance-id"));
    change_live(&instance);
    let (code, restored) = instance.json(&["restore", &first, "--yes"]);
    assert_eq!(
        (code, &restored["plan"]["extra_files"]),
        (0, &json!(1)),
        "{restored}"
    );
    instance.ok(&["sweep", "--apply"]);
    for place in places {
        assert_eq!(
            std::fs::read_to_string(instance.path(place)).unwrap(),
            OURS,
            "{place}"
        );
    }
    let (_, list) = instance.json(&["list"]);
    assert_eq!(
        (&list["damaged"], &list["count"]),
        (&json!([]), &json!(4)),
        "{list}"
    );

    // A cluster's name comes first; backups from before it stay this instance's.
    instance.configure("[cluster]\nname = \"plant-7\"");
    let second = instance.backup();
    assert_eq!(owner(&second), "plant-7");
    let (_, list) = instance.json(&["list"]);
    assert_eq!(
        (&list["count"], &list["foreign_backups"]),
        (&json!(5), &Value::Null),
        "{list}"
    );

    std::fs::write(instance.path(FILE), "no uuid").unwrap();
    let (code, made) = instance.json(&["backup"]);
    assert_eq!(code, 0, "{made}");
    assert!(
        made["warnings"].to_string().contains("holds no UUID"),
        "{made}"
    );
}
