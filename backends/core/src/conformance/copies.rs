//! Copies within the store, second names and moved folders.

use super::calls::{head, key, list_all, put, read};
use crate::{Activity, ErrorKind, Sink};

pub(super) async fn copies_within_the_store(sink: &dyn Sink) {
    let Some(copies) = sink.server_copy() else {
        return;
    };
    let odd = "a/größe b+c%20/x";
    put(sink, odd, b"the bytes").await;
    let from = |at: &str| copies.address(&key(at));
    for to in ["b/copy", "b/copy", "b/größe d+e%20"] {
        let copied = copies.copy_from(&from(odd), &key(to)).await;
        let meta = copied.unwrap_or_else(|error| panic!("copy_from fails: {error}"));
        assert_eq!(
            (&*meta.key, meta.size),
            (to, 9),
            "copy_from returns wrong facts"
        );
        assert_eq!(read(sink, to).await, b"the bytes", "a copy differs");
    }
    put(sink, odd, b"other").await;
    copies
        .copy_from(&from(odd), &key("b/copy"))
        .await
        .expect("a copy over an object succeeds");
    assert_eq!(
        read(sink, "b/copy").await,
        b"other",
        "a copy does not replace"
    );
    let error = copies.copy_from(&from("absent"), &key("b/none")).await;
    let kind = error.err().map(|error| error.kind());
    assert_eq!(
        kind,
        Some(ErrorKind::NotFound),
        "a copy of what is absent is not NotFound"
    );
    assert_eq!(head(sink, "b/none").await, None, "a failed copy shows");
}

pub(super) async fn duplicates(sink: &dyn Sink) {
    put(sink, "a/b", b"the bytes").await;
    for _ in 0..2 {
        let copied = sink.duplicate(&key("a/b"), &key("c/d")).await;
        let copied = copied.unwrap_or_else(|error| panic!("duplicate fails: {error}"));
        // Without it, the caller reads and writes.
        let Some(copied) = copied else {
            return;
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
