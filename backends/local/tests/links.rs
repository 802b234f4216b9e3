//! Symbolic links, FIFOs and odd names below the root.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

mod support;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use arc_backup_core::{
    Activity, AsideMode, Child, ErrorKind, Folders, ListOptions, LockOutcome, OtherKind, Sink,
    WriteOptions,
};
use support::{Place, id, key, list, put, read, stage, tree};

/// Lost if it fails: files outside of the root, overwritten through a link somebody put there.
#[tokio::test]
async fn nothing_goes_through_a_linked_folder() {
    let place = Place::new();
    let sink = &place.sink;
    let outside = place.top.path().join("outside");
    std::fs::create_dir_all(outside.join("c")).unwrap();
    std::fs::write(outside.join("c/file"), "theirs").unwrap();
    place.write("a/file", "ours");
    place.link(&outside, "a/link");
    place.link("a", "inner");

    for (at, named) in [
        ("a/link/file", "a/link"),
        ("a/link/c/file", "a/link"),
        ("a/link/new/deep/file", "a/link"),
        ("inner/file", "inner"),
    ] {
        let at_key = key(at);
        let (staging, stage_id) = (sink.staging().unwrap(), id("s"));
        for (call, error) in [
            ("begin", put(sink, at, "x").await.err()),
            (
                "stage",
                stage(sink, at, &stage_id, "x", WriteOptions::default())
                    .await
                    .err(),
            ),
            ("get", read(sink, at).await.err()),
            ("head", sink.head(&at_key).await.err()),
            (
                "delete",
                sink.delete(std::slice::from_ref(&at_key)).await.err(),
            ),
            (
                "remove_tree",
                sink.remove(&at_key, &Activity::default()).await.err(),
            ),
            ("promote", staging.promote(&at_key, &stage_id).await.err()),
            ("discard", staging.discard(&at_key, &stage_id).await.err()),
            (
                "aside",
                sink.aside()
                    .unwrap()
                    .set_aside(&at_key, &id("op"), AsideMode::Move)
                    .await
                    .err(),
            ),
            ("lock", sink.lock(&at_key, "me").await.err()),
            ("lock_holder", sink.lock_holder(&at_key).await.err()),
            (
                "list",
                list(
                    sink,
                    ListOptions {
                        prefix: format!("{named}/"),
                        ..Default::default()
                    },
                )
                .await
                .err(),
            ),
        ] {
            let error = error.unwrap_or_else(|| panic!("{call} of {at} went through the link"));
            assert_eq!(error.kind(), ErrorKind::Invalid, "{call} of {at}: {error}");
            let naming = format!("`{named}` is a symbolic link");
            assert!(
                error.to_string().contains(&naming),
                "{call} of {at}: {error}"
            );
        }
    }
    assert_eq!(tree(&outside), ["c/", "c/file"]);
    assert_eq!(
        std::fs::read_to_string(outside.join("c/file")).unwrap(),
        "theirs"
    );
    let listed = list(sink, ListOptions::default()).await.unwrap();
    assert_eq!(listed, ["a/file", "a/link (Symlink)", "inner (Symlink)"]);
    let children = sink.list_children(None).await.unwrap();
    let wanted = [
        Child::Folder("a".to_owned()),
        Child::Other("inner".to_owned(), OtherKind::Symlink),
    ];
    assert_eq!(children, wanted);
}

/// Lost if it fails: a link that an operator set up, or what it points to.
#[tokio::test]
async fn a_link_in_place_of_a_file_is_left_alone() {
    let place = Place::new();
    let sink = &place.sink;
    place.write("real", "bytes");
    place.link("real", "link");
    place.link("nowhere", "dangling");
    for at in ["link", "dangling"] {
        for error in [
            put(sink, at, "x").await.err(),
            read(sink, at).await.err(),
            sink.head(&key(at)).await.err(),
            sink.delete(&[key(at)]).await.err(),
            sink.aside()
                .unwrap()
                .set_aside(&key(at), &id("op"), AsideMode::Move)
                .await
                .err(),
            sink.lock(&key(at), "me").await.err(),
        ] {
            let error = error.unwrap_or_else(|| panic!("{at} was followed or replaced"));
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains("is a symbolic link"), "{error}");
        }
        // Only this removes links, and what they point to stays.
        sink.remove(&key(at), &Activity::default()).await.unwrap();
    }
    assert_eq!(place.on_disk(), ["real"]);
}

/// Lost if it fails: a backup that hangs for ever on a FIFO nobody writes to.
#[tokio::test]
async fn a_fifo_is_not_waited_on() {
    let place = Place::new();
    let sink = &place.sink;
    place.write("a/file", "x");
    place.fifo("a/fifo");
    let all = async {
        for error in [
            read(sink, "a/fifo").await.err(),
            sink.head(&key("a/fifo")).await.err(),
            put(sink, "a/fifo", "x").await.err(),
            sink.delete(&[key("a/fifo")]).await.err(),
            sink.lock(&key("a/fifo"), "me").await.err(),
            sink.lock_holder(&key("a/fifo")).await.err(),
        ] {
            let error = error.expect("a FIFO is not an object");
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains("`a/fifo` is a FIFO"), "{error}");
        }
        let listed = list(sink, ListOptions::default()).await.unwrap();
        assert_eq!(listed, ["a/fifo (Special)", "a/file"]);
    };
    tokio::time::timeout(Duration::from_secs(10), all)
        .await
        .expect("it waited");
    sink.remove(&key("a"), &Activity::default()).await.unwrap();
    assert_eq!(place.on_disk(), [""; 0]);
}

/// Lost if it fails: files that a backup leaves out without a word.
#[tokio::test]
async fn names_that_no_key_can_carry_are_counted_by_file() {
    let place = Place::new();
    let sink = &place.sink;
    place.write("a/file", "x");
    for name in [&b"a/\xff"[..], b"a/back\\slash", b"a/new\nline"] {
        std::fs::write(place.path("").join(OsStr::from_bytes(name)), "x").unwrap();
    }
    let folder = place.path("a").join(OsStr::from_bytes(b"\xfe"));
    std::fs::create_dir_all(folder.join("below")).unwrap();
    std::fs::write(folder.join("below/one"), "x").unwrap();
    std::fs::write(folder.join("two"), "x").unwrap();
    let long = "n".repeat(250);
    place.write(&format!("{long}/{long}/{long}/{long}/{long}"), "x");

    let listed = list(sink, ListOptions::default()).await.unwrap();
    let wanted = [
        "a/back\\slash (Unaddressable)".to_owned(),
        "a/file".to_owned(),
        "a/new\nline (Unaddressable)".to_owned(),
        "a/\u{fffd}/below/one (Unaddressable)".to_owned(),
        "a/\u{fffd}/two (Unaddressable)".to_owned(),
        "a/\u{fffd} (Unaddressable)".to_owned(),
        format!("{long}/{long}/{long}/{long}/{long} (Unaddressable)"),
    ];
    assert_eq!(listed, wanted);
    let children = sink.list_children(Some(&key("a"))).await.unwrap();
    assert_eq!(children.len(), 5);
    assert_eq!(children[1], Child::Object("file".to_owned()));
    sink.remove(&key("a"), &Activity::default()).await.unwrap();
    sink.remove(&key(&long), &Activity::default())
        .await
        .unwrap();
    assert_eq!(place.on_disk(), [""; 0]);
}

/// Lost if it fails: a data folder on another disk, reached by a link, which is usual.
#[tokio::test]
async fn the_root_itself_may_be_a_link() {
    let place = Place::new();
    let sink = &place.sink;
    let real = place.top.path().join("disk/real");
    std::fs::create_dir_all(&real).unwrap();
    std::os::unix::fs::symlink(&real, place.top.path().join("root")).unwrap();
    put(sink, "a/b", "x").await.unwrap();
    assert_eq!(read(sink, "a/b").await.unwrap(), "x");
    assert_eq!(list(sink, ListOptions::default()).await.unwrap(), ["a/b"]);
    sink.aside()
        .unwrap()
        .set_aside(&key("a/b"), &id("op"), AsideMode::Move)
        .await
        .unwrap();
    // Beside the real folder, so that it is a rename on one file system.
    let disk = tree(&place.top.path().join("disk"));
    let wanted = [
        "real.before-restore/",
        "real.before-restore/op/",
        "real.before-restore/op/a/",
        "real.before-restore/op/a/b",
        "real/",
    ];
    assert_eq!(disk, wanted);
    let location = sink.aside().unwrap().location(&id("op"));
    assert_eq!(
        std::fs::canonicalize(location).unwrap(),
        std::fs::canonicalize(place.top.path().join("disk/real.before-restore/op")).unwrap()
    );
}

/// Lost if it fails: an operator who can't find what is in the way.
#[tokio::test]
async fn a_file_and_a_folder_in_each_others_way_are_named() {
    let place = Place::new();
    let sink = &place.sink;
    place.write("a/file", "x");
    let error = put(sink, "a/file/below/b", "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(
        text.contains("`a/file/below/b`") && text.contains("`a/file` is a file"),
        "{text}"
    );
    let error = put(sink, "a", "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("`a` is a folder"), "{error}");
    let error = sink
        .lock(&key("a"), "x")
        .await
        .map(|_: LockOutcome| ())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(place.on_disk(), ["a/", "a/file"]);
}
