//! Requests that make no sense, and destinations that hold something else.

use super::{copied, fails, files_of, holders, two_folders};
use crate::support::{Instance, UNKNOWN, data_file};

/// Guards against: a wrong request that is taken for a failed copy, or changes anything.
#[test]
fn wrong_requests_are_refused_and_say_what_to_do() {
    let instance = two_folders();
    let id = instance.backup();
    for (arguments, code, parts) in [
        (
            &["copy", &id, "--to", "moon"][..],
            2,
            &["moon", "far, local, near"][..],
        ),
        (
            &["copy", &id, "--to", "far", "--from", "moon"],
            2,
            &["moon"],
        ),
        (
            &["copy", &id, "--to", "near", "--from", "near"],
            2,
            &["both the source"],
        ),
        (
            &["copy", &id, "--to", "near"],
            2,
            &["in target \"near\" alone"],
        ),
        (&["copy", UNKNOWN, "--to", "far"], 1, &[UNKNOWN]),
        (&["copy", &id], 2, &["--to"]),
        (&["copy", "../x", "--to", "far"], 2, &["not a backup id"]),
        (&["backup", "--copy-to", "moon"], 2, &["moon"]),
        (
            &["backup", "--copy-to", "near"],
            2,
            &["is made in target \"near\""],
        ),
        (
            &["backup", "--copy-to", "far", "--no-copy"],
            2,
            &["--no-copy"],
        ),
    ] {
        fails(&instance, arguments, code, parts);
    }
    assert!(!instance.path("far").join(&id).exists());
    let (_, history) = instance.json(&["history", "--operation", "copy"]);
    assert_eq!(history["count"], 0, "{history}");
    instance.configure("[arc_backup]\ncopy_to = [\"mon\"]");
    fails(&instance, &["list"], 2, &["`arc_backup.copy_to`", "mon"]);
}

/// Guards against: a copy in the folder of another target, whose deletion takes both.
#[test]
fn targets_that_lie_in_one_another_are_refused() {
    let instance = two_folders();
    instance.configure("[backup.targets.inner]\ntype = \"local\"\nlocal_path = \"./near/inner\"");
    let id = instance.backup();
    fails(
        &instance,
        &["copy", &id, "--to", "inner"],
        2,
        &["lie in one another"],
    );
}

/// Guards against: two targets with different backups of one id, and a damaged copy that counts as
/// one.
#[test]
fn what_the_destination_holds_is_the_same_backup_or_the_copy_is_refused() {
    let instance = two_folders();
    let id = instance.backup();
    copied(&instance, &id);
    let (code, again) = instance.json(&["copy", &id, "--to", "far"]);
    assert_eq!((code, &again["unchanged"]), (0, &true.into()), "{again}");
    assert!(
        fails(&instance, &["copy", &id, "--to", "far"], 0, &[]).contains("already in target far")
    );
    let folder = instance.path("far").join(&id);
    let victim = folder.join(data_file(&folder));
    let bytes = std::fs::read(&victim).unwrap();
    let remedy = format!("arc-backup delete {id} --target far");
    let refused = |what: &str| {
        fails(
            &instance,
            &["copy", &id, "--to", "far"],
            1,
            &[what, &remedy],
        );
    };
    std::fs::remove_file(&victim).unwrap();
    refused("it is missing");
    std::fs::write(&victim, b"short").unwrap();
    refused("5 bytes");
    // Bytes of the right number show by a verification alone.
    std::fs::write(&victim, vec![b'x'; bytes.len()]).unwrap();
    fails(
        &instance,
        &["verify", &id, "--target", "far"],
        1,
        &["SHA-256"],
    );
    refused("a verification found damaged");
    let manifest = folder.join("manifest.json");
    std::fs::write(&manifest, b"{}").unwrap();
    refused("holds a damaged backup");
    instance.ok(&["delete", &id, "--target", "far", "--yes", "--even-last"]);
    copied(&instance, &id);
    assert_eq!(
        files_of(&instance, "near", &id),
        files_of(&instance, "far", &id)
    );
    other_of_the_same_id(&instance, &id);
}

fn other_of_the_same_id(instance: &Instance, id: &str) {
    // The state of another day, under the same id: as after a restore of an old disk.
    let other = instance.backup();
    let (from, to) = (instance.path("near").join(&other), instance.path("far"));
    let manifest = std::fs::read_to_string(from.join("manifest.json")).unwrap();
    let (renamed, zeros) = (manifest.replace(&other, id), "0".repeat(64));
    let start = renamed.rfind("\"sha256\": \"").unwrap() + 11;
    let zeroed = format!("{}{zeros}{}", &renamed[..start], &renamed[start + 64..]);
    let digest = arc_backup::core::Digest::of(zeroed.as_bytes()).to_string();
    let sealed = format!("{}{digest}{}", &renamed[..start], &renamed[start + 64..]);
    std::fs::remove_dir_all(to.join(id)).unwrap();
    crate::support::copy_tree(&from, &to.join(id));
    std::fs::write(to.join(id).join("manifest.json"), sealed).unwrap();
    fails(
        instance,
        &["copy", id, "--to", "far"],
        1,
        &["another backup of this id", "nothing was copied"],
    );
    assert_eq!(holders(instance, id), ["far", "near"]);
}

/// Guards against: an emergency copy of a broken source that is taken for a backup elsewhere.
#[test]
fn an_incomplete_copy_is_not_copied() {
    use std::os::unix::fs::PermissionsExt;
    let instance = two_folders();
    let victim = instance.path("data/arc/iot/temperature/a.parquet");
    std::fs::set_permissions(&victim, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&victim).is_ok() {
        // The superuser reads every file.
        return;
    }
    instance.run(&["backup"]);
    let (_, list) = instance.json(&["list", "--all"]);
    let id = list["incomplete"][0]["backup_id"]
        .as_str()
        .unwrap()
        .to_owned();
    fails(
        &instance,
        &["copy", &id, "--to", "far"],
        2,
        &["incomplete copy"],
    );
}
