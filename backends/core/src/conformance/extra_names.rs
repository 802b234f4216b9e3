//! Second names: within the sink, and for pinned objects.

use super::{key, list_all, put, read};
use crate::{Activity, Discard, ErrorKind, GetOptions, Meta, Sink};

pub(super) async fn duplicates(sink: &dyn Sink) {
    put(sink, "a/b", b"the bytes").await;
    for _ in 0..2 {
        let copied = match sink.duplicate(&key("a/b"), &key("c/d")).await {
            // The caller reads and writes.
            Err(error) if error.kind() == ErrorKind::Unsupported => return,
            copied => copied.unwrap_or_else(|error| panic!("duplicate fails: {error}")),
        };
        assert_eq!(
            (&*copied.key, copied.size),
            ("c/d", 9),
            "duplicate returns wrong facts"
        );
        assert_eq!(read(sink, "c/d").await, b"the bytes", "a duplicate differs");
    }
    put(sink, "a/b", b"other").await;
    assert_eq!(
        read(sink, "c/d").await,
        b"the bytes",
        "a duplicate changes with the object that it was made of"
    );
    let absent = sink.duplicate(&key("absent"), &key("c/e")).await;
    let kind = absent.err().map(|error| error.kind());
    assert_eq!(
        kind,
        Some(ErrorKind::NotFound),
        "a duplicate of what is absent"
    );
    assert_eq!(
        list_all(sink).await,
        ["a/b", "c/d"],
        "duplicating leaves something"
    );
}

pub(super) async fn moves_a_tree(sink: &dyn Sink) {
    for at in ["a/b/1", "a/b/c/2", "a/bc"] {
        put(sink, at, at.as_bytes()).await;
    }
    let moved = sink
        .move_tree(&key("a/b"), &key("x/y"), &Activity::default())
        .await;
    moved.unwrap_or_else(|error| panic!("move_tree fails: {error}"));
    assert_eq!(
        list_all(sink).await,
        ["a/bc", "x/y/1", "x/y/c/2"],
        "a tree was not moved"
    );
    assert_eq!(
        read(sink, "x/y/c/2").await,
        b"a/b/c/2",
        "a moved object differs"
    );
    let absent = sink
        .move_tree(&key("a/b"), &key("x/z"), &Activity::default())
        .await;
    absent.unwrap_or_else(|error| panic!("moving what is absent fails: {error}"));
}

pub(super) async fn pins(sink: &dyn Sink) {
    for at in ["a/b", "c", "d"] {
        put(sink, at, at.as_bytes()).await;
    }
    let pins = match sink.pins("op-1").await {
        Err(error) if error.kind() == ErrorKind::Unsupported => return,
        pins => pins.unwrap_or_else(|error| panic!("pins fails: {error}")),
    };
    let listed = list_all(sink).await;
    let pinned = pins.pin(&[key("a/b"), key("absent"), key("c")]).await;
    let pinned = pinned.unwrap_or_else(|error| panic!("pin fails: {error}"));
    let there: Vec<_> = pinned.iter().map(Option::is_some).collect();
    assert_eq!(there, [true, false, true], "pin answers for other keys");
    let only = |meta: &Meta| GetOptions {
        if_match: meta.etag.clone(),
        ..GetOptions::default()
    };
    let pinned: Vec<Meta> = pinned.into_iter().flatten().collect();
    for meta in &pinned {
        let now = sink.head(&meta.key).await.expect("head succeeds");
        assert_eq!(
            now.as_ref(),
            Some(meta),
            "what is pinned is not what is there"
        );
    }
    assert_eq!(
        list_all(sink).await,
        listed,
        "a listing shows what is pinned"
    );
    assert_eq!(
        sink.discard_pins(Discard::Remove, &Activity::default())
            .await
            .expect("discard_pins succeeds")
            .count,
        0,
        "pins in use are discarded"
    );
    put(sink, "a/b", b"rewritten").await;
    sink.delete(&[key("c")]).await.expect("delete succeeds");
    for (at, meta) in ["a/b", "c"].into_iter().zip(&pinned) {
        let object = pins.get(&key(at), only(meta)).await;
        let object =
            object.unwrap_or_else(|error| panic!("what is pinned at `{at}` is gone: {error}"));
        let bytes = object.body.collect(1 << 20, at).await.expect("it is read");
        assert_eq!(bytes, at.as_bytes(), "what is pinned has changed");
    }
    let again = pins
        .pin(&[key("a/b")])
        .await
        .expect("pinning again succeeds");
    assert!(again[0].is_some(), "a pinned object can't be pinned anew");
    let other = pins.get(&key("a/b"), only(&pinned[0])).await;
    let other = other.map_err(|error| error.kind()).map(drop);
    assert_eq!(
        other,
        Err(ErrorKind::Changed),
        "what is pinned anew is given for what was pinned before"
    );
    let object = pins.get(&key("a/b"), GetOptions::default()).await;
    let object = object.expect("it is pinned");
    let bytes = object
        .body
        .collect(1 << 20, "a/b")
        .await
        .expect("it is read");
    assert_eq!(bytes, b"rewritten", "pinning again keeps the old object");
    let absent = pins.get(&key("d"), GetOptions::default()).await;
    let absent = absent.map_err(|error| error.kind()).map(drop);
    assert!(
        matches!(absent, Err(ErrorKind::NotFound | ErrorKind::Changed)),
        "what was not pinned can be read: {absent:?}"
    );
    pins.release(&Activity::default())
        .await
        .expect("release succeeds");
    let whole = sink.get(&key("a/b"), GetOptions::default()).await;
    assert!(whole.is_ok(), "releasing pins removes objects");
}
