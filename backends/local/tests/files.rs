//! What is on disk after an operation: names, modes, leftovers.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

mod support;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use arc_backup_core::{
    Activity, Body, Discard, ErrorKind, Folders, GetOptions, ListOptions, Listed, LockOutcome,
    Sink, UnfinishedUploads, WriteOptions,
};
use arc_backup_local::{LocalConfig, LocalSink};
use bytes::Bytes;
use futures::StreamExt;
use support::{Place, id, key, list, put, put_with, read, stage};

fn mode(path: impl AsRef<Path>) -> u32 {
    std::fs::symlink_metadata(path)
        .unwrap()
        .permissions()
        .mode()
        & 0o7777
}

/// Lost if it fails: the secrets in arc.toml and arc.db, readable by every user of the machine.
#[tokio::test]
async fn files_and_folders_are_private() {
    let place = Place::new();
    let sink = &place.sink;
    let mut upload = sink
        .begin(&key("a/b/c"), WriteOptions::default())
        .await
        .unwrap();
    upload.write(Bytes::from_static(b"x")).await.unwrap();
    let unfinished = place.on_disk();
    assert_eq!(unfinished.len(), 3);
    assert!(
        unfinished[2].starts_with("a/b/.arc-backup-"),
        "{unfinished:?}"
    );
    assert_eq!(mode(place.path(&unfinished[2])), 0o600);
    upload.commit().await.unwrap();
    for folder in ["", "a", "a/b"] {
        assert_eq!(mode(place.path(folder)), 0o700, "{folder}");
    }
    assert_eq!(mode(place.path("a/b/c")), 0o600);
    let LockOutcome::Held(_guard) = sink.lock(&key("lock"), "me").await.unwrap() else {
        panic!("busy");
    };
    assert_eq!(mode(place.path("lock")), 0o600);
}

/// Lost if it fails: a restored program that runs with somebody else's rights; or times that Arc
/// goes by.
#[tokio::test]
async fn attributes_are_kept_without_lent_rights() {
    let place = Place::new();
    let modified = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 987_654_321);
    let options = WriteOptions {
        mode: Some(0o6755),
        modified: Some(modified),
        ..WriteOptions::default()
    };
    let meta = put_with(&place.sink, "a", "x", options).await.unwrap();
    assert_eq!(meta.mode, Some(0o755));
    assert_eq!(mode(place.path("a")), 0o755);
    let on_disk = std::fs::metadata(place.path("a")).unwrap();
    assert_eq!(on_disk.modified().unwrap(), modified);
}

/// Lost if it fails: a restore by the superuser that leaves files which Arc can't read.
#[tokio::test]
async fn the_superuser_gives_files_to_the_owner_of_the_root() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    std::fs::create_dir(place.path("")).unwrap();
    std::os::unix::fs::chown(place.path(""), Some(1234), Some(2345)).unwrap();
    put(&place.sink, "a/b/c", "x").await.unwrap();
    for path in ["a", "a/b", "a/b/c"] {
        let status = std::fs::metadata(place.path(path)).unwrap();
        assert_eq!((status.uid(), status.gid()), (1234, 2345), "{path}");
    }
}

/// Lost if it fails: half a file, or folders of nothing, after every cancelled operation.
#[tokio::test]
async fn what_is_given_up_leaves_nothing_on_disk() {
    let place = Place::new();
    let sink = &place.sink;
    put(sink, "a/old", "x").await.unwrap();
    for at in ["new/deep/file", "a/other", "a/old"] {
        let mut upload = sink.begin(&key(at), WriteOptions::default()).await.unwrap();
        upload.write(Bytes::from(vec![7; 3 << 20])).await.unwrap();
        drop(upload);
        assert_eq!(place.on_disk(), ["a/", "a/old"], "after {at}");
    }
    let only_new = WriteOptions {
        create_new: true,
        ..WriteOptions::default()
    };
    let error = put_with(sink, "a/old", "y", only_new).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(place.on_disk(), ["a/", "a/old"]);
    assert_eq!(read(sink, "a/old").await.unwrap(), "x");
}

/// Lost if it fails: temporary files taken for data, by a backup or by Arc; or never cleaned up.
#[tokio::test]
async fn temporary_files_are_invisible_and_can_be_swept() {
    let place = Place::new();
    let sink = &place.sink;
    put(sink, "a/b", "x").await.unwrap();
    place.write("a/.arc-backup-0123456789abcdef.tmp", "left by a crash");
    place.write("c/d/.arc-backup-op-0123456789abcdef.tmp", "left by a crash");
    place.write("c/.arc-backup-lookalike", "not ours");
    std::fs::create_dir_all(place.path("was-empty")).unwrap();
    let temporary = key("a/.arc-backup-0123456789abcdef.tmp");
    assert_eq!(sink.head(&temporary).await.unwrap(), None);
    assert_eq!(
        list(sink, ListOptions::default()).await.unwrap(),
        ["a/b", "c/.arc-backup-lookalike"]
    );
    assert_eq!(sink.list_children(Some(&key("a"))).await.unwrap().len(), 1);
    let refused = sink
        .begin(&temporary, WriteOptions::default())
        .await
        .err()
        .unwrap();
    assert_eq!(refused.kind(), ErrorKind::Invalid);

    assert_eq!(
        sink.discard(Some(&key("c")), Discard::Remove)
            .await
            .unwrap()
            .count,
        1
    );
    assert_eq!(sink.discard(None, Discard::Remove).await.unwrap().count, 1);
    assert_eq!(sink.discard(None, Discard::Remove).await.unwrap().count, 0);
    let left = ["a/", "a/b", "c/", "c/.arc-backup-lookalike", "was-empty/"];
    assert_eq!(place.on_disk(), left);
}

/// Lost if it fails: a second run of an interrupted restore, which has to find or replace what the
/// first staged.
#[tokio::test]
async fn a_stage_is_found_again_by_another_process() {
    let place = Place::new();
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let stage_id = id("op-7");
    let staged = || WriteOptions {
        modified: Some(modified),
        mode: Some(0o644),
        ..WriteOptions::default()
    };
    let meta = stage(&place.sink, "a/b", &stage_id, "new", staged())
        .await
        .unwrap();
    let on_disk = place.on_disk();
    assert!(on_disk[1].starts_with("a/.arc-backup-op-7-") && on_disk[1].ends_with(".tmp"));
    let other = LocalSink::new(LocalConfig::new(place.path("")));
    stage(&other, "a/b", &stage_id, "newer", staged())
        .await
        .unwrap();
    assert_eq!(place.on_disk(), on_disk, "the leftover was not replaced");
    let staging = other.staging().unwrap();
    staging.promote(&key("a/b"), &stage_id).await.unwrap();
    assert_eq!(place.on_disk(), ["a/", "a/b"]);
    let promoted = other.head(&key("a/b")).await.unwrap().unwrap();
    assert_eq!(
        (promoted.modified, promoted.mode),
        (meta.modified, meta.mode)
    );
    // What was staged in a folder of its own leaves no folder.
    stage(&other, "x/y/z", &stage_id, "new", staged())
        .await
        .unwrap();
    staging.discard(&key("x/y/z"), &stage_id).await.unwrap();
    assert_eq!(place.on_disk(), ["a/", "a/b"]);
}

/// Lost if it fails: a service that writes into a deleted folder until it is started again.
#[tokio::test]
async fn a_root_made_anew_is_found() {
    let place = Place::new();
    let sink = &place.sink;
    assert_eq!(list(sink, ListOptions::default()).await.unwrap(), [""; 0]);
    assert!(!place.path("").exists(), "reading created the root");
    for _ in 0..2 {
        put(sink, "a/b", "x").await.unwrap();
        assert_eq!(read(sink, "a/b").await.unwrap(), "x");
        std::fs::remove_dir_all(place.path("")).unwrap();
        assert_eq!(
            read(sink, "a/b").await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(sink.head(&key("a/b")).await.unwrap(), None);
    }
    std::fs::write(
        place.path("").to_str().unwrap().trim_end_matches('/'),
        "a file",
    )
    .unwrap();
    for error in [
        put(sink, "a", "x").await.err(),
        read(sink, "a").await.err(),
        list(sink, ListOptions::default()).await.err(),
    ] {
        let error = error.expect("a file is not a root");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.subject().ends_with("/root"), "{error}");
    }
}

/// Lost if it fails: a backup that copies another file than the one listed.
#[tokio::test]
async fn an_entity_tag_changes_with_the_file_and_not_with_a_hard_link() {
    let place = Place::new();
    let first = put(&place.sink, "a", "one").await.unwrap();
    std::fs::hard_link(place.path("a"), place.path("b")).unwrap();
    let linked = place.sink.head(&key("a")).await.unwrap().unwrap();
    assert_eq!(linked.etag, first.etag);
    std::fs::write(place.path("a"), "longer").unwrap();
    let options = GetOptions {
        if_match: first.etag,
        ..GetOptions::default()
    };
    let error = place.sink.get(&key("a"), options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed);
}

/// Lost if it fails: the fast road from local disk.
#[tokio::test]
async fn a_body_is_an_open_file() {
    let place = Place::new();
    put(&place.sink, "a", "0123456789").await.unwrap();
    let options = GetOptions {
        range: Some(3..99),
        ..GetOptions::default()
    };
    let object = place.sink.get(&key("a"), options).await.unwrap();
    assert!(
        matches!(object.body, Body::File { len: 7, .. }),
        "{:?}",
        object.body
    );
    // What is open stays readable when it is replaced.
    put(&place.sink, "a", "other").await.unwrap();
    assert_eq!(object.body.collect(10, "a").await.unwrap(), b"3456789");
}

/// Guards against a listing that ends in an error because Arc's compaction deletes a folder.
#[tokio::test]
async fn what_vanishes_during_a_listing_is_no_error() {
    let place = Place::new();
    for n in 0..5000 {
        place.write(&format!("a/{n:04}"), "x");
    }
    place.write("b/c", "x");
    place.write("d", "x");
    let mut listing = place.sink.list(ListOptions::default());
    listing.next().await.unwrap().unwrap();
    std::fs::remove_dir_all(place.path("a")).unwrap();
    std::fs::remove_dir_all(place.path("b")).unwrap();
    let rest: Vec<_> = listing.map(Result::unwrap).collect().await;
    // The rows that were read already, or are just being read, and `d`.
    assert!((1000..=2000).contains(&rest.len()), "{}", rest.len());
    let keys: Vec<_> = (rest.iter())
        .filter_map(|row| match row {
            Listed::Object(meta) => Some(meta.key.as_str()),
            Listed::Other { .. } => None,
        })
        .collect();
    assert_eq!(keys.last(), Some(&"d"));
    assert!(!keys.contains(&"b/c"));
}

/// Lost if it fails: an emptied backup that can't be removed, because a folder in it lacks the
/// owner's rights.
#[tokio::test]
async fn a_tree_without_rights_can_be_removed() {
    let place = Place::new();
    place.write("a/b/c", "x");
    place.write("a/d/e", "x");
    place.write("keep", "x");
    for (folder, mode) in [("a/b", 0o000), ("a/d", 0o500), ("a", 0o500)] {
        std::fs::set_permissions(place.path(folder), PermissionsExt::from_mode(mode)).unwrap();
    }
    place
        .sink
        .remove(&key("a"), &Activity::default())
        .await
        .unwrap();
    assert_eq!(place.on_disk(), ["keep"]);
}
