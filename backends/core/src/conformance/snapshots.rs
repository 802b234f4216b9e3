//! Snapshots of objects.

use super::calls::{id, key, list_all, put};
use crate::{Activity, Discard, ErrorKind, GetOptions, Meta, Sink};

pub(super) async fn holds_a_snapshot(sink: &dyn Sink) {
    let Some(snapshots) = sink.snapshots() else {
        return;
    };
    for at in ["a/b", "c", "d"] {
        put(sink, at, at.as_bytes()).await;
    }
    let snapshot = match snapshots.create(&id("op-1")).await {
        // By the file system that the sink lies on.
        Err(error) if error.kind() == ErrorKind::Unsupported => return,
        snapshot => snapshot.unwrap_or_else(|error| panic!("create fails: {error}")),
    };
    let listed = list_all(sink).await;
    let added = snapshot.add(&[key("a/b"), key("absent"), key("c")]).await;
    let added = added.unwrap_or_else(|error| panic!("add fails: {error}"));
    let there: Vec<_> = added.iter().map(Option::is_some).collect();
    assert_eq!(there, [true, false, true], "add answers for other keys");
    let only = |meta: &Meta| GetOptions {
        if_match: meta.etag.clone(),
        ..GetOptions::default()
    };
    let added: Vec<Meta> = added.into_iter().flatten().collect();
    for meta in &added {
        let now = sink.head(&meta.key).await.expect("head succeeds");
        assert_eq!(
            now.as_ref(),
            Some(meta),
            "the snapshot has something else than what is there"
        );
    }
    assert_eq!(list_all(sink).await, listed, "a listing shows the snapshot");
    assert_eq!(
        snapshots
            .discard_leftovers(Discard::Remove, &Activity::default())
            .await
            .expect("discard_leftovers succeeds")
            .count,
        0,
        "a snapshot in use is discarded"
    );
    put(sink, "a/b", b"rewritten").await;
    sink.delete(&[key("c")]).await.expect("delete succeeds");
    for (at, meta) in ["a/b", "c"].into_iter().zip(&added) {
        let object = snapshot.get(&key(at), only(meta)).await;
        let object =
            object.unwrap_or_else(|error| panic!("`{at}` is gone from the snapshot: {error}"));
        let bytes = object.body.collect(1 << 20, at).await.expect("it is read");
        assert_eq!(bytes, at.as_bytes(), "the snapshot has changed");
    }
    let again = snapshot
        .add(&[key("a/b")])
        .await
        .expect("adding again succeeds");
    assert!(again[0].is_some(), "an object can't be added again");
    let other = snapshot.get(&key("a/b"), only(&added[0])).await;
    let other = other.map_err(|error| error.kind()).map(drop);
    assert_eq!(
        other,
        Err(ErrorKind::Changed),
        "what was added again is given for what was added before"
    );
    let object = snapshot.get(&key("a/b"), GetOptions::default()).await;
    let object = object.expect("it is in the snapshot");
    let bytes = object
        .body
        .collect(1 << 20, "a/b")
        .await
        .expect("it is read");
    assert_eq!(bytes, b"rewritten", "adding again keeps the old object");
    let absent = snapshot.get(&key("d"), GetOptions::default()).await;
    let absent = absent.map_err(|error| error.kind()).map(drop);
    assert!(
        matches!(absent, Err(ErrorKind::NotFound | ErrorKind::Changed)),
        "what was not added can be read: {absent:?}"
    );
    snapshot
        .release(&Activity::default())
        .await
        .expect("release succeeds");
    let whole = sink.get(&key("a/b"), GetOptions::default()).await;
    assert!(whole.is_ok(), "releasing a snapshot removes objects");
}
