//! Snapshots: hard links that a backup copies from.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

mod support;

use arc_backup_core::{Activity, Discard, ErrorKind, Sink};
use support::{Place, id, key, put, tree};

fn beside(place: &Place) -> Vec<String> {
    let names = tree(place.top.path());
    names
        .into_iter()
        .filter(|name| name.contains("freeze"))
        .collect()
}

/// Lost if it fails: the disk's room, to files that nobody names any more; or another operation's
/// snapshot.
#[tokio::test]
async fn snapshots_of_crashed_operations_are_discarded_and_others_stay() {
    let place = Place::new();
    put(&place.sink, "a/b", "x").await.unwrap();
    // As a crash leaves it: nobody holds the folder's lock.
    let left = place.top.path().join("root.arc-backup-freeze-dead/a");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::hard_link(place.path("a/b"), left.join("b")).unwrap();
    std::fs::create_dir(place.top.path().join("root2.arc-backup-freeze-other")).unwrap();
    let snapshots = place.sink.snapshots().unwrap();
    let snapshot = snapshots.create(&id("living")).await.unwrap();
    snapshot.add(&[key("a/b")]).await.unwrap();
    assert_eq!(
        snapshots
            .discard_leftovers(Discard::Remove, &Activity::default())
            .await
            .unwrap()
            .count,
        1
    );
    assert_eq!(
        beside(&place),
        [
            "root.arc-backup-freeze-living/",
            "root.arc-backup-freeze-living/a/",
            "root.arc-backup-freeze-living/a/b",
            "root2.arc-backup-freeze-other/"
        ]
    );
    // On a thread of its own: a drop does not take long.
    drop(snapshot);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while beside(&place) != ["root2.arc-backup-freeze-other/"] {
        assert!(std::time::Instant::now() < until, "{:?}", beside(&place));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(
        snapshots
            .discard_leftovers(Discard::Remove, &Activity::default())
            .await
            .unwrap()
            .count,
        0
    );
}

/// Lost if it fails: a backup of what a link leads to, or one that hangs on a FIFO.
#[tokio::test]
async fn only_regular_files_are_in_a_snapshot() {
    let place = Place::new();
    put(&place.sink, "a/file", "x").await.unwrap();
    place.link("file", "a/link");
    place.fifo("a/fifo");
    let snapshots = place.sink.snapshots().unwrap();
    let snapshot = snapshots.create(&id("op")).await.unwrap();
    let keys = ["a", "a/fifo", "a/file", "a/link", "b/c"].map(key);
    let added = snapshot.add(&keys).await.unwrap();
    let there: Vec<_> = added.iter().map(Option::is_some).collect();
    assert_eq!(there, [false, false, true, false, false]);
    snapshot.release(&Activity::default()).await.unwrap();
    assert_eq!(beside(&place), Vec::<String>::new());
}

/// Lost if it fails: backups where the folder beside the root can't be made.
#[tokio::test]
async fn where_nothing_can_be_made_beside_the_root_there_is_no_snapshot() {
    let place = Place::new();
    put(&place.sink, "a", "x").await.unwrap();
    std::fs::write(
        place.top.path().join("root.arc-backup-freeze-op"),
        "in the way",
    )
    .unwrap();
    let error = place
        .sink
        .snapshots()
        .unwrap()
        .create(&id("op"))
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}
