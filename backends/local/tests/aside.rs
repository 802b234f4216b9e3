//! Setting aside.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

mod support;

use std::os::unix::fs::MetadataExt;

use arc_backup_core::{Activity, AsideMode, ErrorKind, ListOptions, Sink};
use support::{Place, id, key, list, put, tree};

fn aside(place: &Place) -> Vec<String> {
    tree(&place.top.path().join("root.before-restore"))
}

fn text(place: &Place, below: &str) -> String {
    let path = place.top.path().join("root.before-restore").join(below);
    std::fs::read_to_string(path).unwrap()
}

/// Lost if it fails: the only copy of a live file that a restore replaces.
#[tokio::test]
async fn what_is_replaced_is_kept_and_never_overwritten() {
    let place = Place::new();
    let sink = &place.sink;
    put(sink, "a/b", "first").await.unwrap();
    for _ in 0..2 {
        sink.aside()
            .unwrap()
            .set_aside(&key("a/b"), &id("op"), AsideMode::Keep)
            .await
            .unwrap();
        assert_eq!(aside(&place), ["op/", "op/a/", "op/a/b"]);
    }
    assert_eq!(
        std::fs::metadata(place.path("a/b")).unwrap().nlink(),
        2,
        "it was copied"
    );
    for (version, bytes) in [(1, "second"), (2, "third")] {
        put(sink, "a/b", bytes).await.unwrap();
        sink.aside()
            .unwrap()
            .set_aside(&key("a/b"), &id("op"), AsideMode::Keep)
            .await
            .unwrap();
        assert_eq!(text(&place, &format!("op/a/b.{version}")), bytes);
    }
    assert_eq!(text(&place, "op/a/b"), "first");
    // Bytes that are there already need no second copy.
    put(sink, "a/b", "third").await.unwrap();
    sink.aside()
        .unwrap()
        .set_aside(&key("a/b"), &id("op"), AsideMode::Keep)
        .await
        .unwrap();
    assert_eq!(
        aside(&place),
        ["op/", "op/a/", "op/a/b", "op/a/b.1", "op/a/b.2"]
    );
    assert_eq!(list(sink, ListOptions::default()).await.unwrap(), ["a/b"]);
}

/// Lost if it fails: files that the backup does not hold, or an interrupted restore that can't be
/// run again.
#[tokio::test]
async fn what_is_extra_is_moved_and_its_folders_go() {
    let place = Place::new();
    let sink = &place.sink;
    put(sink, "a/b/c", "x").await.unwrap();
    put(sink, "a/d", "y").await.unwrap();
    let inode = std::fs::metadata(place.path("a/b/c")).unwrap().ino();
    for _ in 0..2 {
        sink.aside()
            .unwrap()
            .set_aside(&key("a/b/c"), &id("op"), AsideMode::Move)
            .await
            .unwrap();
        assert_eq!(place.on_disk(), ["a/", "a/d"]);
        assert_eq!(aside(&place), ["op/", "op/a/", "op/a/b/", "op/a/b/c"]);
    }
    let moved = place.top.path().join("root.before-restore/op/a/b/c");
    assert_eq!(
        std::fs::metadata(moved).unwrap().ino(),
        inode,
        "it was copied"
    );
    // Kept first, and moved then.
    sink.aside()
        .unwrap()
        .set_aside(&key("a/d"), &id("op"), AsideMode::Keep)
        .await
        .unwrap();
    sink.aside()
        .unwrap()
        .set_aside(&key("a/d"), &id("op"), AsideMode::Move)
        .await
        .unwrap();
    assert_eq!(place.on_disk(), [""; 0]);
    assert_eq!(text(&place, "op/a/d"), "y");

    put(sink, "e", "z").await.unwrap();
    sink.aside()
        .unwrap()
        .set_aside(&key("e"), &id("op-2"), AsideMode::Move)
        .await
        .unwrap();
    sink.aside()
        .unwrap()
        .remove(&id("op"), &Activity::default())
        .await
        .unwrap();
    assert_eq!(aside(&place), ["op-2/", "op-2/e"]);
    sink.aside()
        .unwrap()
        .remove(&id("op-2"), &Activity::default())
        .await
        .unwrap();
    assert!(!place.top.path().join("root.before-restore").exists());
}

/// Lost if it fails: files outside of the place for things set aside.
#[tokio::test]
async fn a_link_in_the_place_is_not_followed() {
    let place = Place::new();
    let sink = &place.sink;
    put(sink, "a", "x").await.unwrap();
    let outside = place.top.path().join("outside");
    let aside_root = place.top.path().join("root.before-restore");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::create_dir_all(&aside_root).unwrap();
    std::os::unix::fs::symlink(&outside, aside_root.join("op")).unwrap();
    let error = sink
        .aside()
        .unwrap()
        .set_aside(&key("a"), &id("op"), AsideMode::Move)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(tree(&outside), [""; 0]);
    assert_eq!(place.on_disk(), ["a"]);
}

/// Lost if it fails: things set aside where the place for them is on another file system.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn another_file_system_gets_a_copy() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let place = Place::new();
    let device = |path| std::fs::metadata(path).unwrap().dev();
    if device(elsewhere.path()) == device(place.top.path()) {
        return;
    }
    let aside_root = place.top.path().join("root.before-restore");
    std::os::unix::fs::symlink(elsewhere.path(), aside_root).unwrap();
    let sink = &place.sink;
    let meta = put(sink, "a/b", "x").await.unwrap();
    for _ in 0..2 {
        sink.aside()
            .unwrap()
            .set_aside(&key("a/b"), &id("op"), AsideMode::Keep)
            .await
            .unwrap();
        assert_eq!(tree(elsewhere.path()), ["op/", "op/a/", "op/a/b"]);
    }
    let copy = std::fs::metadata(elsewhere.path().join("op/a/b")).unwrap();
    assert_eq!(Some(copy.modified().unwrap()), meta.modified);
    put(sink, "a/b", "y").await.unwrap();
    sink.aside()
        .unwrap()
        .set_aside(&key("a/b"), &id("op"), AsideMode::Move)
        .await
        .unwrap();
    assert_eq!(
        tree(elsewhere.path()),
        ["op/", "op/a/", "op/a/b", "op/a/b.1"]
    );
    assert_eq!(place.on_disk(), [""; 0]);
}
