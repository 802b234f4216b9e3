//! The same on each kind of storage.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::arcs::write;
use super::sha256;
use crate::stores::{Kind, configure, contents, delete, put, put_all, s3_server, storage, target};
use crate::support::{ARC_NEW, Instance, has_problem, tree};

/// Guards against checksums of Arc's that count only where the backups are on local disk.
#[test]
fn lists_of_files_are_read_and_written_on_every_storage() {
    let server = s3_server();
    for (data, backups) in [
        (Kind::Local, Kind::S3),
        (Kind::S3, Kind::Azure),
        (Kind::Azure, Kind::Local),
    ] {
        let case = format!("{data:?} {backups:?}");
        let instance = Instance::new();
        write(&instance, ARC_NEW, |_| {});
        let live = storage(data, &instance, &server, true);
        let far = target(backups, &instance, &server);
        configure(&instance, &live, &far);
        let folder = instance.backup_folder(ARC_NEW);
        let files: BTreeMap<_, _> = (tree(&folder).into_iter())
            .map(|(name, (bytes, ..))| (format!("{ARC_NEW}/{name}"), bytes))
            .collect();
        put_all(&far.sink, &files);
        let run = |arguments: &[&str]| instance.json(&[arguments, &["--target", "far"]].concat());
        let (_, list) = run(&["list"]);
        assert_eq!(list["backups"][0]["has_checksums"], true, "{case}: {list}");
        let (code, verified) = run(&["verify", ARC_NEW]);
        assert_eq!(
            (code, &verified["total_files"]),
            (0, &json!(107)),
            "{case}: {verified}"
        );

        // A file of the data is damaged in the target: it is named before anything changes.
        let before = contents(&live.sink);
        let name = before.keys().next().unwrap().clone();
        let stored = format!("{ARC_NEW}/data/{name}");
        let mut bytes = files[&stored].clone();
        bytes[100] ^= 1;
        put(&far.sink, &stored, &bytes);
        put(&live.sink, &name, b"changed");
        let changed = contents(&live.sink);
        let arguments = [
            "restore",
            ARC_NEW,
            "--no-metadata",
            "--verify-first",
            "--yes",
        ];
        let (code, refused) = run(&arguments);
        assert_eq!(code, 1, "{case}: {refused}");
        let is_named = has_problem(&refused, &format!("data/{name}"), "checksum");
        assert!(is_named, "{case}: {refused}");
        assert!(contents(&live.sink) == changed, "{case}: live data changed");
        put(&far.sink, &stored, &files[&stored]);
        let (code, restored) = run(&arguments);
        assert_eq!(code, 0, "{case}: {restored}");
        // Of those that are the same the digests are compared, and nothing is written.
        assert_eq!(restored["plan"]["written_files"], 1, "{case}: {restored}");
        assert!(contents(&live.sink) == before, "{case}");

        let (code, made) = run(&["backup"]);
        assert_eq!(code, 0, "{case}: {made}");
        let id = made["backup_id"].as_str().unwrap();
        let stored = contents(&far.sink);
        let list: Value =
            serde_json::from_slice(&stored[&format!("{id}/manifest-files.json")]).unwrap();
        let listed = list["files"].as_array().unwrap();
        assert_eq!(listed.len(), 105, "{case}");
        for file in listed {
            let path = file["path"].as_str().unwrap();
            let bytes = &stored[&format!("{id}/data/{path}")];
            assert_eq!(file["sha256"], sha256(bytes), "{case}: {path}");
        }
        let (code, verified) = run(&["verify", id]);
        assert_eq!(code, 0, "{case}: {verified}");
        delete(&far.sink, &[&format!("{id}/manifest-files.json")]);
        let (code, verified) = run(&["verify", id, "--quick"]);
        let warnings = verified["warnings"].to_string();
        assert!(
            code == 0 && warnings.contains("manifest-files.json"),
            "{case}: {verified}"
        );
        for id in [ARC_NEW, id] {
            let (code, deleted) = run(&["delete", id, "--yes", "--even-last"]);
            assert_eq!(code, 0, "{case}: {deleted}");
        }
        let left = contents(&far.sink).into_keys();
        let left: Vec<_> = left.filter(|key| key.starts_with("backup-")).collect();
        assert!(left.is_empty(), "{case}: {left:?}");
    }
}
