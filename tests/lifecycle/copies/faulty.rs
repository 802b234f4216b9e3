//! Damaged sources, full disks, dead networks and wrong credentials.

use super::stores::{Place, s3_server};
use super::{copied, fails, files_of, holders, manifest, two_folders};
use crate::support::{data_file, files, has_problem};

/// Guards against: damage that is copied, and a copy that has to begin again once the source is
/// mended.
#[test]
fn a_damaged_file_of_the_source_is_named_and_nothing_is_listed() {
    let instance = two_folders();
    let id = instance.backup();
    let folder = instance.path("near").join(&id);
    let victim = data_file(&folder);
    let bytes = std::fs::read(folder.join(&victim)).unwrap();
    let mut damaged = bytes.clone();
    damaged[0] ^= 1;
    std::fs::write(folder.join(&victim), damaged).unwrap();
    let (code, ended) = instance.json(&["copy", &id, "--to", "far"]);
    assert_eq!(code, 1, "{ended}");
    assert!(has_problem(&ended, &victim, "checksum"), "{ended}");
    let error = ended["error"].as_str().unwrap();
    assert!(error.contains("is damaged in target \"near\""), "{error}");
    assert!(error.contains(&victim), "{error}");
    assert_eq!(holders(&instance, &id), ["near"]);
    std::fs::remove_file(folder.join(&victim)).unwrap();
    let (_, ended) = instance.json(&["copy", &id, "--to", "far"]);
    assert!(has_problem(&ended, &victim, "missing"), "{ended}");
    assert_eq!(holders(&instance, &id), ["near"]);
    std::fs::write(folder.join(&victim), bytes).unwrap();
    let ended = copied(&instance, &id);
    let (all, reused) = (&ended["processed_files"], &ended["reused_files"]);
    assert_eq!(
        all.as_u64().unwrap() - 1,
        reused.as_u64().unwrap(),
        "{ended}"
    );
    assert_eq!(
        files_of(&instance, "near", &id),
        files_of(&instance, "far", &id)
    );
    instance.ok(&["verify", &id, "--target", "far"]);
}

/// Guards against: bytes at the destination that rotted while the copy was interrupted.
#[test]
fn what_an_interrupted_copy_stored_is_checked_before_it_is_used() {
    let instance = two_folders();
    let id = instance.backup();
    let source = instance.path("near").join(&id);
    let data: Vec<_> = (files(&source).into_iter())
        .filter(|path| path.starts_with("data/"))
        .collect();
    let last = source.join(data.last().unwrap());
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, b"damaged").unwrap();
    fails(&instance, &["copy", &id, "--to", "far"], 1, &["is damaged"]);
    std::fs::write(&last, bytes).unwrap();
    let stored = instance.path("far").join(&id).join(&data[0]);
    let size = std::fs::metadata(&stored).unwrap().len();
    std::fs::write(&stored, vec![b'x'; usize::try_from(size).unwrap()]).unwrap();
    // A file that the copy is not of: an earlier attempt may have stored it.
    let stray = instance
        .path("far")
        .join(&id)
        .join("data/iot/stray.parquet");
    std::fs::write(&stray, b"stray").unwrap();
    copied(&instance, &id);
    assert!(!stray.exists());
    instance.ok(&["verify", &id, "--target", "far"]);
}

/// Guards against: a base at the destination that lost files, and gives them to every later copy.
#[test]
fn files_that_the_base_lost_are_copied_again() {
    let server = s3_server();
    let instance = super::scene::small();
    let far = Place::s3(&server, "backups", "far");
    instance.configure(&format!(
        "[backup.targets.far]\ntype = \"s3\"\n{}",
        far.config
    ));
    let first = instance.backup();
    copied(&instance, &first);
    let second = instance.backup();
    let lost = data_file(&instance.backup_folder(&first));
    server.remove("backups", &format!("far/{first}/{lost}"));
    let ended = copied(&instance, &second);
    let warnings = ended["warnings"].to_string();
    assert!(
        warnings.contains(&lost) && warnings.contains("lacks 1"),
        "{ended}"
    );
    instance.ok(&["verify", &second, "--target", "far"]);
}

/// Guards against: a copy that takes over bytes which rotted at the destination, although those of
/// the source are whole, and a remedy of the manual that brings them back.
#[test]
fn what_rotted_in_the_base_is_copied_from_the_source() {
    let instance = two_folders();
    // Those of one second are in no order.
    let mut ids = [(); 3].map(|()| instance.backup());
    ids.sort();
    let [first, second, third] = ids;
    copied(&instance, &first);
    copied(&instance, &second);
    let folder = instance.path("far").join(&first);
    let rotten = data_file(&folder);
    // Both copies have it: the inode is one.
    let mut bytes = std::fs::read(folder.join(&rotten)).unwrap();
    bytes[1] ^= 1;
    std::fs::write(folder.join(&rotten), bytes).unwrap();
    let ended = copied(&instance, &third);
    let warnings = ended["warnings"].to_string();
    let base_and_file = [&second, &rotten, "is damaged in 1 of its files"];
    assert!(
        base_and_file.iter().all(|part| warnings.contains(*part)),
        "{ended}"
    );
    instance.ok(&["verify", &third, "--target", "far"]);
    assert_eq!(
        manifest(&instance, &second, "far")["state"],
        "damaged",
        "it is not noted"
    );
    // As the manual says.
    fails(&instance, &["copy", &second, "--to", "far"], 1, &["delete"]);
    instance.ok(&["delete", &second, "--target", "far", "--yes"]);
    copied(&instance, &second);
    for id in [&second, &third] {
        instance.ok(&["verify", id, "--target", "far"]);
        instance.ok(&["verify", id, "--target", "near"]);
    }
}

/// Guards against: the same in a store, where no link is made; and a copy that reads every reused
/// file again each time.
#[test]
fn what_rotted_in_a_store_is_copied_from_the_source() {
    use arc_backup_test_s3::{Fault, Rule, Verb};
    let server = s3_server();
    let instance = super::scene::small();
    let far = Place::s3(&server, "backups", "far");
    instance.configure(&format!(
        "[backup.targets.far]\ntype = \"s3\"\n{}",
        far.config
    ));
    let mut ids = [(); 4].map(|()| instance.backup());
    ids.sort();
    let [first, second, third, fourth] = ids;
    let overwrite = |key: &str| {
        let mut bytes = server.object("backups", key).unwrap().to_vec();
        bytes[1] ^= 1;
        server.put("backups", key, bytes);
    };
    copied(&instance, &first);
    copied(&instance, &second);
    let rotten = data_file(&instance.backup_folder(&first));
    overwrite(&format!("far/{first}/{rotten}"));
    let ended = copied(&instance, &third);
    let warnings = ended["warnings"].to_string();
    assert!(
        warnings.contains(&rotten) && warnings.contains("is damaged in 1 of its files"),
        "{ended}"
    );
    instance.ok(&["verify", &third, "--target", "far"]);
    // What was there under the same entity tag is not read.
    server.fault(Rule::new(Fault::Deny).verb(Verb::GetObject).key("/data/"));
    let ended = copied(&instance, &fourth);
    let reused = ended["reused_files"].as_u64().unwrap();
    assert!(reused > 3, "{ended}");
    server.heal();
    instance.ok(&["verify", &fourth, "--target", "far"]);
    // A backup that was made there has no entity tags in its list: its files are read once.
    // In another second: of one, the ids have no order.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let own = instance.ok(&["backup", "--target", "far"]);
    let rotten = server.keys("backups").into_iter();
    let own_file = format!("far/{own}/data/");
    let rotten: Vec<_> = rotten.filter(|key| key.starts_with(&own_file)).collect();
    overwrite(&rotten[0]);
    let later = loop {
        let id = instance.backup();
        if id > own {
            break id;
        }
    };
    let ended = copied(&instance, &later);
    assert!(ended["warnings"].to_string().contains(&own), "{ended}");
    instance.ok(&["verify", &later, "--target", "far"]);
}

/// Guards against: files of a copy that died before it logged them, which move a second time.
#[test]
fn what_a_copy_stored_and_did_not_log_is_used() {
    let instance = two_folders();
    let id = instance.backup();
    let source = instance.path("near").join(&id);
    let data: Vec<_> = (files(&source).into_iter())
        .filter(|path| path.starts_with("data/"))
        .collect();
    let last = source.join(data.last().unwrap());
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, b"damaged").unwrap();
    fails(&instance, &["copy", &id, "--to", "far"], 1, &["is damaged"]);
    std::fs::write(&last, bytes).unwrap();
    let log = instance.path(&format!("far/.arc-backup/journal/{id}"));
    std::fs::remove_dir_all(log).unwrap();
    let stored = instance.path("far").join(&id);
    let rotten = stored.join(&data[0]);
    let size = std::fs::metadata(&rotten).unwrap().len();
    std::fs::write(&rotten, vec![b'x'; usize::try_from(size).unwrap()]).unwrap();
    let ended = copied(&instance, &id);
    let (all, reused) = (&ended["processed_files"], &ended["reused_files"]);
    // But for the damaged ones.
    assert_eq!(
        all.as_u64().unwrap() - 2,
        reused.as_u64().unwrap(),
        "{ended}"
    );
    instance.ok(&["verify", &id, "--target", "far"]);
    // All of it is its own.
    let shown = manifest(&instance, &id, "far");
    assert_eq!(shown["reused_files"].as_u64().unwrap_or(0), 0, "{shown}");
}

/// Guards against: a failure that does not say which of the two targets it is of, and a copy that
/// is listed half.
#[test]
fn a_destination_that_cannot_be_reached_or_written_is_named() {
    let server = s3_server();
    let instance = super::scene::small();
    let config = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    let far = Place::s3(&server, "backups", "far").config;
    let with = |table: &str| {
        let text = format!("{config}\n[backup.targets.far]\ntype = \"s3\"\n{table}");
        std::fs::write(instance.path("arc.toml"), text).unwrap();
    };
    with(&far);
    let id = instance.backup();
    with(&far.replace(&server.options().secret_key, "wrong"));
    fails(&instance, &["copy", &id, "--to", "far"], 1, &["far"]);
    // A port that nobody listens on.
    with(&far.replace(&server.endpoint(), "http://127.0.0.1:9"));
    fails(&instance, &["copy", &id, "--to", "far"], 1, &["far"]);
    with(&far);
    assert_eq!(holders(&instance, &id), ["local"]);
    copied(&instance, &id);
    instance.ok(&["verify", &id, "--target", "far"]);
    let (_, history) = instance.json(&["history", "--operation", "copy"]);
    assert_eq!(history["count"], 3, "{history}");
}

/// Guards against: a copy that takes over a file that is known to be damaged from an earlier copy
/// that shares it.
#[test]
fn damage_that_was_found_is_not_taken_over_from_an_earlier_copy() {
    let instance = super::two_folders();
    let ids: Vec<String> = (0..3)
        .map(|number| {
            if number == 0 {
                super::rewrite(&instance, "iot/temperature/a.parquet", b"once");
            }
            instance.backup()
        })
        .collect();
    super::copied(&instance, &ids[0]);
    super::copied(&instance, &ids[1]);
    let path = format!("far/{}/data/iot/temperature/a.parquet", ids[1]);
    let mut file = std::fs::File::options()
        .write(true)
        .open(instance.path(&path))
        .unwrap();
    std::io::Write::write_all(&mut file, b"ecno").unwrap();
    drop(file);
    let verified = instance.run(&["verify", &ids[1], "--target", "far"]);
    assert!(!verified.status.success());
    let ended = super::copied(&instance, &ids[2]);
    assert!(ended["warnings"].to_string().contains(&ids[1]), "{ended}");
    assert!(ended["reused_files"].as_u64() > Some(0), "{ended}");
    instance.ok(&["verify", &ids[2], "--target", "far"]);
}
