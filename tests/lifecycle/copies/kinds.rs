//! What is copied: notes, scopes, unknown fields, backups that Arc made, and backups over several
//! targets.

use serde_json::json;

use super::scene::{change, live};
use super::{copied, fails, files_of, holders, manifest, two_folders};
use crate::support::{ARC_NEW, ARC_OLD, Instance, change_live, files, text};

/// Guards against: a copy that loses its pin, or claims a verification of another target.
#[test]
fn what_people_said_is_copied_and_what_verifications_found_is_not() {
    let instance = two_folders();
    let id = instance.backup();
    instance.ok(&["verify", &id]);
    let path = instance.path(&format!("near/.arc-backup/notes/{id}.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut note: serde_json::Value = serde_json::from_str(&text).unwrap();
    note["pin"] = json!({"at": "2026-01-01T00:00:00Z", "by": "ann", "reason": "audit"});
    note["labels"] = json!(["before-upgrade"]);
    note["note"] = "the last good one".into();
    std::fs::write(&path, note.to_string()).unwrap();
    copied(&instance, &id);
    let path = instance.path(&format!("far/.arc-backup/notes/{id}.json"));
    let copy: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for field in ["pin", "labels", "note"] {
        assert_eq!(copy[field], note[field], "{copy}");
    }
    for field in ["last_verified", "last_full"] {
        assert_eq!(copy.get(field), None, "{copy}");
    }
    assert_eq!(manifest(&instance, &id, "far")["state"], "unverified");
}

/// Guards against: a backup that is pinned after it was copied, and whose copy retention deletes.
#[test]
fn what_people_say_later_reaches_a_copy_that_is_there() {
    let instance = two_folders();
    let id = instance.backup();
    copied(&instance, &id);
    instance.ok(&["pin", &id, "--target", "near", "--reason", "audit"]);
    instance.ok(&["label", &id, "--add", "before-upgrade", "--target", "near"]);
    let shown = manifest(&instance, &id, "far");
    assert_eq!(shown.get("pin"), None, "{shown}");
    let ended = copied(&instance, &id);
    assert_eq!(ended["unchanged"], true, "{ended}");
    let shown = manifest(&instance, &id, "far");
    assert_eq!(shown["pin"]["reason"], "audit", "{shown}");
    assert_eq!(shown["labels"], json!(["before-upgrade"]), "{shown}");
    let delete = ["delete", &id, "--target", "far", "--yes", "--even-last"];
    let refused = instance.run(&delete);
    assert!(!refused.status.success(), "{}", text(&refused));
    assert!(text(&refused).contains("pinned"), "{}", text(&refused));
}

/// Guards against: the size of a copied full backup that counts bytes which the destination had,
/// and a history that does not say where a copy went.
#[test]
fn a_copy_says_where_it_came_from_and_what_it_added() {
    let instance = two_folders();
    // Those of one second are in no order.
    let mut ids = [(); 2].map(|()| instance.backup());
    ids.sort();
    let [first, second] = ids;
    copied(&instance, &first);
    copied(&instance, &second);
    let rows = instance.json(&["list", "--target", "far"]).1["backups"].clone();
    let new_of = |id: &str| {
        let row = rows.as_array().unwrap().iter();
        let row = row.clone().find(|row| row["backup_id"] == id).unwrap();
        (row["new_bytes"].as_u64().unwrap(), row["bytes"].as_u64())
    };
    let (new, all) = new_of(&first);
    assert_eq!(Some(new), all, "{rows}");
    let (new, all) = new_of(&second);
    assert!(new < all.unwrap(), "{rows}");
    let shown = instance.ok(&["show", &second, "--target", "far"]);
    assert!(shown.contains("target near"), "{shown}");
    let history = instance.ok(&["history"]);
    assert!(
        history.contains("from target near to target far"),
        "{history}"
    );
}

/// Guards against: a backup of one database that is taken for one of all.
#[test]
fn a_backup_of_some_databases_stays_one() {
    let instance = two_folders();
    let id = instance.ok(&["backup", "--database", "iot"]);
    copied(&instance, &id);
    assert_eq!(manifest(&instance, &id, "far")["scope"], json!(["iot"]));
    assert_eq!(
        files_of(&instance, "near", &id),
        files_of(&instance, "far", &id)
    );
    instance.ok(&["verify", &id, "--target", "far"]);
}

/// Guards against: a backup by Arc that ours can copy and Arc cannot read afterwards.
#[test]
fn backups_that_arc_made_are_copied_as_they_are() {
    let instance = Instance::new();
    instance.configure("[backup.targets.far]\ntype = \"local\"\nlocal_path = \"./far\"");
    for id in [ARC_NEW, ARC_OLD] {
        let said = text(&instance.run(&["copy", id, "--to", "far"]));
        assert!(said.contains("Arc itself made this backup"), "{said}");
        let of = |folder: std::path::PathBuf| crate::support::tree(&folder.join(id));
        let (from, to) = (of(instance.path("data/backups")), of(instance.path("far")));
        let bytes = |all: &std::collections::BTreeMap<String, (Vec<u8>, u32, i128)>| {
            let all = all.iter();
            all.map(|(path, (bytes, ..))| (path.clone(), bytes.clone()))
                .collect::<Vec<_>>()
        };
        assert!(
            bytes(&from) == bytes(&to),
            "{id}: {:?}",
            files(&instance.path("far"))
        );
        instance.ok(&["verify", id, "--target", "far"]);
        let (code, again) = instance.json(&["copy", id, "--to", "far"]);
        assert_eq!((code, &again["unchanged"]), (0, &true.into()), "{again}");
    }
    instance.ok(&["delete", ARC_NEW, "--target", "local", "--yes"]);
    let before = live(&instance).0;
    change_live(&instance);
    instance.ok(&["restore", ARC_NEW, "--target", "far", "--yes"]);
    assert!(live(&instance).0 == before);
}

/// Guards against: a broken folder anywhere that makes the original, which is whole, unusable
/// without a target.
#[test]
fn what_is_broken_elsewhere_does_not_hide_the_original() {
    let instance = two_folders();
    instance.configure("[backup.targets.third]\ntype = \"local\"\nlocal_path = \"./third\"");
    let id = instance.backup();
    let broken = instance.path("third").join(&id);
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join("manifest.json"), b"junk").unwrap();
    let (code, ended) = instance.json(&["copy", &id, "--to", "far"]);
    assert_eq!((code, &ended["target"]), (0, &"near".into()), "{ended}");
    let before = live(&instance);
    change(&instance);
    instance.ok(&["restore", &id, "--yes"]);
    assert!(live(&instance) == before);
    // Where the original is the broken one, nobody says that a copy is as good.
    let manifest = instance.path("near").join(&id).join("manifest.json");
    std::fs::write(manifest, b"junk").unwrap();
    fails(&instance, &["restore", &id, "--yes"], 2, &["say which"]);
}

/// Guards against: copies of a backup by Arc, which do not say that they are copies, and can be
/// neither restored nor copied on.
#[test]
fn equal_backups_by_arc_are_one() {
    let instance = Instance::new();
    for name in ["far", "third"] {
        instance.configure(&format!(
            "[backup.targets.{name}]\ntype = \"local\"\nlocal_path = \"./{name}\""
        ));
    }
    instance.ok(&["copy", ARC_NEW, "--to", "third"]);
    let (code, ended) = instance.json(&["copy", ARC_NEW, "--to", "far"]);
    assert_eq!((code, &ended["target"]), (0, &"local".into()), "{ended}");
    let before = live(&instance).0;
    change_live(&instance);
    instance.ok(&["restore", ARC_NEW, "--yes"]);
    assert!(live(&instance).0 == before);
}

/// Guards against: a backup by Arc that lost a file, and is listed at the destination.
#[test]
fn a_backup_by_arc_that_lacks_files_is_not_copied() {
    let instance = Instance::new();
    instance.configure("[backup.targets.far]\ntype = \"local\"\nlocal_path = \"./far\"");
    let folder = instance.backup_folder(ARC_NEW);
    std::fs::remove_file(folder.join(crate::support::data_file(&folder))).unwrap();
    fails(
        &instance,
        &["copy", ARC_NEW, "--to", "far"],
        1,
        &["is damaged in target \"local\"", "its manifest says"],
    );
    assert_eq!(holders(&instance, ARC_NEW), ["local"]);
}

/// Guards against: a copy that has a part of the databases, or still needs one of the targets.
#[test]
fn a_backup_over_several_targets_becomes_one() {
    let instance = two_folders();
    let path = instance.path("arc.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let routed = config.replace(
        "local_path = \"./far\"",
        "local_path = \"./leg\"\ndatabases = [\"iot\"]",
    );
    let routed = routed.replace("[backup.targets.far]", "[backup.targets.leg]");
    std::fs::write(&path, routed).unwrap();
    instance.configure("[backup.targets.far]\ntype = \"local\"\nlocal_path = \"./far\"");
    let before = live(&instance);
    let id = instance.backup();
    fails(
        &instance,
        &["copy", &id, "--to", "leg"],
        2,
        &["holds a leg", "leg"],
    );
    fails(
        &instance,
        &["copy", &id, "--to", "far", "--from", "leg"],
        2,
        &["only a leg", "without --from"],
    );
    let ended = copied(&instance, &id);
    assert_eq!(ended["targets"], json!(["leg", "near"]), "{ended}");
    let shown = manifest(&instance, &id, "far");
    assert_eq!(shown["databases"].as_array().unwrap().len(), 2, "{shown}");
    for field in ["run_targets", "run_inventories", "is_default_target"] {
        assert_eq!(shown.get(field), None, "{shown}");
    }
    assert_eq!(shown["targets"], json!(["far"]), "{shown}");
    instance.ok(&["verify", &id, "--target", "far"]);
    for gone in ["near", "leg"] {
        std::fs::remove_dir_all(instance.path(gone).join(&id)).unwrap();
    }
    change(&instance);
    instance.ok(&["restore", &id, "--target", "far", "--yes"]);
    assert!(live(&instance) == before);
}

/// Guards against: a field of a newer release that a copy drops.
#[test]
fn unknown_fields_of_the_manifest_are_kept() {
    let instance = two_folders();
    let id = instance.backup();
    let path = instance.path("near").join(&id).join("manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replacen('{', "{\n  \"of_tomorrow\": {\"a\": [1, 2]},", 1);
    let start = text.find("\"sha256\": \"").unwrap();
    let start = text.rfind("\"sha256\": \"").unwrap().max(start) + 11;
    let zeroed = format!(
        "{}{}{}",
        &text[..start],
        "0".repeat(64),
        &text[start + 64..]
    );
    let digest = arc_backup::core::Digest::of(zeroed.as_bytes()).to_string();
    let sealed = format!("{}{digest}{}", &text[..start], &text[start + 64..]);
    std::fs::write(&path, sealed).unwrap();
    copied(&instance, &id);
    let shown = manifest(&instance, &id, "far");
    assert_eq!(shown["of_tomorrow"], json!({"a": [1, 2]}), "{shown}");
    instance.ok(&["verify", &id, "--target", "far"]);
}

/// Guards against: a deletion in one target that takes the copy with it, and a restore that cannot
/// say which of two equal backups is meant.
#[test]
fn each_target_has_its_own() {
    let instance = two_folders();
    let id = instance.backup();
    copied(&instance, &id);
    let before = live(&instance);
    change(&instance);
    // The original is meant.
    instance.ok(&["restore", &id, "--yes"]);
    assert!(live(&instance) == before);
    let (code, shown) = instance.json(&["show", "latest"]);
    assert_eq!(
        (code, &shown["backup_id"]),
        (0, &id.as_str().into()),
        "{shown}"
    );
    fails(&instance, &["delete", &id, "--yes"], 2, &["far, near"]);
    instance.ok(&["delete", &id, "--target", "near", "--yes", "--even-last"]);
    assert_eq!(holders(&instance, &id), ["far"]);
    instance.ok(&["verify", &id]);
    // And back: the copy of a copy is one too.
    let (code, ended) = instance.json(&["copy", &id, "--to", "near"]);
    assert_eq!((code, &ended["target"]), (0, &"far".into()), "{ended}");
    instance.ok(&["delete", &id, "--target", "far", "--yes", "--even-last"]);
    instance.ok(&["verify", &id]);
}
