//! Damaged sources, full disks, dead networks and wrong credentials.

use super::stores::{Place, s3_server};
use super::{copied, fails, files_of, holders, two_folders};
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
