//! Copies between all kinds of stores.

use arc_backup_test_azurite::Azurite;
use arc_backup_test_s3::S3Server;

use super::scene::{change, live, small};
use super::stores::{KINDS, Kind, Place, contents, delete, keys, s3_server};
use super::{copied, holders, manifest, rewrite};
use crate::support::Instance;

/// Two targets of these kinds, and their places.
fn with_targets(server: &S3Server, near: Kind, far: Kind) -> (Instance, Place, Place) {
    let instance = small();
    instance.configure("default_target = \"near\"");
    let mut places = [(near, "near"), (far, "far")].map(|(kind, name)| {
        let place = match kind {
            Kind::Local => Place::local(&instance, name),
            Kind::S3 => Place::s3(server, "backups", &format!("of/{name}")),
            Kind::Azure => Place::azure(Azurite::shared(), name),
        };
        instance.configure(&format!(
            "[backup.targets.{name}]\ntype = \"{}\"\n{}",
            place.name(),
            place.config
        ));
        Some(place)
    });
    let [near, far] = &mut places;
    (instance, near.take().unwrap(), far.take().unwrap())
}

/// Guards against: a copy that needs its source, moves what is there, or is not the backup.
fn between(near: Kind, far: Kind) {
    let case = format!("{near:?} to {far:?}");
    let server = s3_server();
    let (instance, near_place, far_place) = with_targets(&server, near, far);
    let first = instance.backup();
    let ended = copied(&instance, &first);
    assert_eq!(ended["target"], "near", "{case}: {ended}");
    assert_eq!(holders(&instance, &first), ["far", "near"], "{case}");
    rewrite(&instance, "iot/temperature/a.parquet", b"another");
    let before = live(&instance);
    let second = instance.backup();
    let ended = copied(&instance, &second);
    let files = ended["processed_files"].as_u64().unwrap();
    let reused = ended["reused_files"].as_u64().unwrap();
    // The rewritten file; a database may be new in each backup.
    assert!(files - reused <= 2, "{case}: {reused} of {files}: {ended}");
    assert!(reused > 3, "{case}: {ended}");
    let shown = manifest(&instance, &second, "far");
    assert_eq!(shown["copied_from"]["target"], "near", "{case}: {shown}");
    assert_eq!(shown["target"], "far");
    assert_eq!(shown["reused_files"], reused, "{case}: {shown}");
    let original = manifest(&instance, &second, "near");
    for field in [
        "created_at",
        "completed_at",
        "databases",
        "sections",
        "source",
    ] {
        assert_eq!(shown[field], original[field], "{case}: {field}");
    }
    match far {
        Kind::Local => assert_eq!(shown.get("stored_in"), None, "{case}: {shown}"),
        _ => {
            let holders = shown["stored_in"].as_object().unwrap();
            let names: Vec<_> = holders.keys().collect();
            assert_eq!(names, [&first], "{case}: {shown}");
            assert_eq!(holders[&first]["files"], reused, "{case}: {shown}");
        }
    }
    // Without the source, the copy is all there is.
    let all = keys(&near_place.sink);
    delete(
        &near_place.sink,
        &all.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    for id in [&first, &second] {
        instance.ok(&["verify", id, "--target", "far"]);
    }
    change(&instance);
    instance.ok(&["restore", &second, "--target", "far", "--yes"]);
    assert!(
        live(&instance) == before,
        "{case}: it was not restored as it was"
    );
    // Whoever holds shared bytes for the second is still there, and nothing is left over.
    let left = contents(&far_place.sink).into_keys();
    let odd: Vec<_> = left.filter(|key| key.contains("/journal/")).collect();
    assert_eq!(odd, Vec::<String>::new(), "{case}");
}

#[test]
fn from_local_disk_to_each_kind_of_store() {
    KINDS.into_iter().for_each(|far| between(Kind::Local, far));
}

#[test]
fn from_s3_to_each_kind_of_store() {
    KINDS.into_iter().for_each(|far| between(Kind::S3, far));
}

#[test]
fn from_azure_to_each_kind_of_store() {
    KINDS.into_iter().for_each(|far| between(Kind::Azure, far));
}

/// Guards against: an hourly copy that costs a request for each unchanged file.
#[test]
fn the_copy_of_an_almost_equal_backup_writes_the_difference_alone() {
    use arc_backup_test_s3::Verb;
    let server = s3_server();
    let (instance, _, _) = with_targets(&server, Kind::Local, Kind::S3);
    for number in 0..120 {
        let key = format!("iot/temperature/more-{number}.parquet");
        rewrite(&instance, &key, key.as_bytes());
    }
    copied(&instance, &instance.backup());
    rewrite(&instance, "iot/temperature/more-7.parquet", b"rewritten");
    let second = instance.backup();
    server.reset_counts();
    let ended = copied(&instance, &second);
    let counts = server.counts();
    // The file, a database, inventory, list, manifest, journal and its log, and the lock.
    let of = |verb: Verb| counts.get(&verb).copied().unwrap_or_default();
    assert!(of(Verb::PutObject) <= 20, "{counts:?}");
    assert!(
        of(Verb::GetObject) + of(Verb::HeadObject) <= 40,
        "{counts:?}"
    );
    assert!(ended["reused_files"].as_u64().unwrap() >= 125, "{ended}");
}
