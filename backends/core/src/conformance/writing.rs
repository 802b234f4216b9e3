//! Objects come into being whole, once they are committed, and not before.

use std::io::Write as _;

use bytes::Bytes;
use futures::{TryStreamExt, future};

use super::calls::{
    begin, children, expect_absent, head, key, list, list_all, pattern, put, put_with, read,
};
use crate::{
    Activity, Discard, ErrorKind, GetOptions, ListOptions, Listed, Meta, Sink, WriteOptions,
};

pub(super) async fn is_empty_at_first(sink: &dyn Sink) {
    assert!(!sink.location().is_empty(), "location says nothing");
    expect_absent(sink, "a/b", "while the sink is empty").await;
    assert_eq!(children(sink, None).await, [], "an empty sink has children");
    assert_eq!(
        children(sink, Some("a")).await,
        [],
        "an absent folder has children"
    );
    let within = ListOptions::within(&key("a"));
    assert_eq!(
        list(sink, within).await,
        [""; 0],
        "an absent folder lists something"
    );
    let unharmed = "of what is absent fails";
    sink.delete(&[key("a/b"), key("c")])
        .await
        .unwrap_or_else(|error| panic!("delete {unharmed}: {error}"));
    sink.delete(&[])
        .await
        .unwrap_or_else(|error| panic!("delete of no keys fails: {error}"));
    sink.remove_tree(&key("a"), &Activity::default())
        .await
        .unwrap_or_else(|error| panic!("remove_tree {unharmed}: {error}"));
    let holder = sink.lock_holder(&key("lock")).await;
    let holder = holder.unwrap_or_else(|error| panic!("lock_holder {unharmed}: {error}"));
    assert_eq!(holder, None, "a lock that nobody took has a holder");
    for folder in [None, Some(key("a"))] {
        let count = sink
            .discard_unfinished(folder.as_ref(), Discard::Remove)
            .await;
        let count = count.unwrap_or_else(|error| panic!("discard_unfinished {unharmed}: {error}"));
        assert_eq!(count.count, 0, "an empty sink has unfinished uploads");
    }
}

pub(super) async fn shows_an_object_when_committed(sink: &dyn Sink) {
    let mut upload = begin(sink, "a/b", WriteOptions::default()).await;
    expect_absent(sink, "a/b", "after begin").await;
    upload
        .write(Bytes::from_static(b"one "))
        .await
        .expect("a write succeeds");
    upload
        .write(Bytes::from_static(b"two"))
        .await
        .expect("a second write succeeds");
    expect_absent(sink, "a/b", "before commit").await;
    let meta = upload.commit().await.expect("a commit succeeds");
    assert_eq!(
        (&*meta.key, meta.size),
        ("a/b", 7),
        "commit returns wrong facts"
    );
    assert_eq!(
        read(sink, "a/b").await,
        b"one two",
        "get after commit reads other bytes"
    );
    let listed: Vec<_> = sink
        .list(ListOptions::default())
        .try_collect()
        .await
        .expect("a listing");
    let seen = head(sink, "a/b")
        .await
        .expect("head finds what was committed");
    let meta = Meta {
        // The one fact that a store need not say when it takes an object.
        modified: meta.modified.or(seen.modified),
        ..meta
    };
    assert_eq!(seen, meta, "head differs from what commit returned");
    assert_eq!(
        listed,
        [Listed::Object(meta.clone())],
        "list differs from what commit returned"
    );
    let object = sink.get(&key("a/b"), GetOptions::default()).await;
    let got = object.expect("the object is there").meta;
    assert_eq!(got, meta, "get differs from what commit returned");
    // A folder is not an object.
    assert_eq!(
        head(sink, "a").await,
        None,
        "head takes a folder for an object"
    );
    let error = sink.get(&key("a"), GetOptions::default()).await.err();
    let kind = error.map(|error| error.kind());
    assert_eq!(
        kind,
        Some(ErrorKind::NotFound),
        "get of a folder is not NotFound"
    );
    // Nor is what would be below an object.
    let below = head(sink, "a/b/c").await;
    assert_eq!(below, None, "head finds an object below an object");
}

pub(super) async fn replaces_at_once(sink: &dyn Sink) {
    let old = put(sink, "a", b"the old bytes").await;
    let open = sink
        .get(&key("a"), GetOptions::default())
        .await
        .expect("the old object opens");
    let mut upload = begin(sink, "a", WriteOptions::default()).await;
    upload
        .write(Bytes::from_static(b"new"))
        .await
        .expect("a write succeeds");
    assert_eq!(
        read(sink, "a").await,
        b"the old bytes",
        "an upload under way shows already"
    );
    let seen = head(sink, "a").await.map(|meta| meta.etag);
    assert_eq!(
        seen,
        Some(old.etag.clone()),
        "an upload under way shows in head"
    );
    let new = upload
        .commit()
        .await
        .expect("a commit over an object succeeds");
    assert_eq!(read(sink, "a").await, b"new", "commit does not replace");
    assert_ne!(
        old.etag, new.etag,
        "the entity tag is the same for other bytes"
    );
    if let Ok(bytes) = open.body.collect(1 << 20, "a").await {
        let whole = bytes == b"the old bytes" || bytes == b"new";
        assert!(whole, "who had the object open reads a mixture: {bytes:?}");
    }
    assert_eq!(
        list_all(sink).await,
        ["a"],
        "replacing leaves something behind"
    );
}

pub(super) async fn leaves_nothing_of_what_is_given_up(sink: &dyn Sink) {
    let large = pattern(3 << 20, 1);
    for bytes in [Bytes::from_static(b"x"), large] {
        let mut upload = begin(sink, "new/a", WriteOptions::default()).await;
        upload.write(bytes.clone()).await.expect("a write succeeds");
        upload.abort().await.expect("an abort succeeds");
        expect_absent(sink, "new/a", "after abort").await;
        let mut upload = begin(sink, "new/a", WriteOptions::default()).await;
        upload.write(bytes).await.expect("a write succeeds");
        drop(upload);
        expect_absent(sink, "new/a", "after a drop").await;
    }
    put(sink, "a", b"old").await;
    let mut upload = begin(sink, "a", WriteOptions::default()).await;
    upload
        .write(Bytes::from_static(b"new"))
        .await
        .expect("a write succeeds");
    upload.abort().await.expect("an abort succeeds");
    assert_eq!(
        read(sink, "a").await,
        b"old",
        "abort touches what was there"
    );
}

pub(super) async fn creates_only_what_is_new(sink: &dyn Sink) {
    let only_new = || WriteOptions {
        create_new: true,
        ..WriteOptions::default()
    };
    put_with(sink, "a", b"first", only_new()).await;
    let mut upload = begin(sink, "b", only_new()).await;
    upload
        .write(Bytes::from_static(b"late"))
        .await
        .expect("a write succeeds");
    put(sink, "b", b"early").await;
    let error = upload
        .commit()
        .await
        .expect_err("create_new replaces what came in between");
    assert_eq!(
        error.kind(),
        ErrorKind::AlreadyExists,
        "create_new says: {error}"
    );
    assert_eq!(
        read(sink, "b").await,
        b"early",
        "create_new replaces and then fails"
    );
    assert_eq!(
        list_all(sink).await,
        ["a", "b"],
        "a refused commit leaves something behind"
    );
}

pub(super) async fn keeps_every_byte(sink: &dyn Sink) {
    let empty = put(sink, "empty", b"").await;
    assert_eq!(empty.size, 0, "an empty object has a size");
    assert_eq!(read(sink, "empty").await, b"", "an empty object has bytes");
    let upload = begin(sink, "unwritten", WriteOptions::default()).await;
    upload
        .commit()
        .await
        .expect("an object that was never written to can be committed");
    assert_eq!(
        read(sink, "unwritten").await,
        b"",
        "an unwritten object has bytes"
    );
    let bytes = pattern((9 << 20) + 4321, 2);
    // Pieces that fit no part, and one larger than any buffer.
    for piece in [1000, 65_537, 1_048_575, bytes.len()] {
        let hint = WriteOptions {
            size_hint: Some(bytes.len() as u64),
            ..WriteOptions::default()
        };
        let mut upload = begin(sink, "large", hint).await;
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            let next = rest.split_to(piece.min(rest.len()));
            upload.write(next).await.expect("a write succeeds");
        }
        let meta = upload.commit().await.expect("a commit succeeds");
        assert_eq!(
            meta.size,
            bytes.len() as u64,
            "commit returns the wrong size"
        );
        let same = read(sink, "large").await == bytes;
        assert!(
            same,
            "an object written in pieces of {piece} bytes comes back changed"
        );
    }
    let wrong_hint = WriteOptions {
        size_hint: Some(7),
        ..WriteOptions::default()
    };
    let meta = put_with(sink, "hint", b"more than seven", wrong_hint).await;
    assert_eq!(meta.size, 15, "a size hint is taken for a promise");
}

pub(super) async fn takes_bytes_through_the_local_file(sink: &dyn Sink) {
    let mut upload = begin(sink, "a", WriteOptions::default()).await;
    upload
        .write(Bytes::from_static(b"one "))
        .await
        .expect("a write succeeds");
    let Some(mut file) = upload
        .local_file()
        .expect("asking for the local file succeeds")
    else {
        return;
    };
    file.write_all(b"two").expect("the local file takes bytes");
    drop(file);
    let meta = upload.commit().await.expect("a commit succeeds");
    assert_eq!(
        meta.size, 7,
        "bytes written to the local file are not counted"
    );
    assert_eq!(
        read(sink, "a").await,
        b"one two",
        "the local file is not the object"
    );
}

pub(super) async fn takes_concurrent_writers(sink: &dyn Sink) {
    let versions: Vec<_> = (0..8).map(|seed| pattern(300_000, seed)).collect();
    let writers = versions.iter().map(|bytes| async move {
        let mut upload = begin(sink, "x/y/a", WriteOptions::default()).await;
        for piece in bytes.chunks(9_999) {
            let piece = Bytes::copy_from_slice(piece);
            upload.write(piece).await.expect("a write succeeds");
        }
        upload
            .commit()
            .await
            .expect("each of several writers of one key succeeds");
    });
    future::join_all(writers).await;
    let got = read(sink, "x/y/a").await;
    let whole = versions.iter().any(|bytes| *bytes == got);
    assert!(whole, "several writers of one key leave a mixture");
    assert_eq!(
        list_all(sink).await,
        ["x/y/a"],
        "several writers leave something behind"
    );
    let first = begin(sink, "a", WriteOptions::default()).await;
    put(sink, "a", b"other").await;
    first
        .commit()
        .await
        .expect("a commit after another's succeeds");
    assert_eq!(
        read(sink, "a").await,
        b"",
        "it is not the last commit that stays"
    );
    // A folder that comes and goes under a writer is not a fault of the writer.
    let churn = (0..64).map(|n| async move {
        let at = format!("p/q/{}", n % 4);
        put(sink, &at, b"x").await;
        sink.delete(&[key(&at)])
            .await
            .expect("a delete beside writers succeeds");
    });
    future::join_all(churn).await;
}
