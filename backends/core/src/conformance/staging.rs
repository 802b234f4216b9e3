//! Staged objects.

use bytes::Bytes;

use super::calls::{children, expect_absent, id, key, list_all, read};
use crate::{Discard, ErrorKind, Sink, WriteOptions};

pub(super) async fn stages(sink: &dyn Sink) {
    let Some(staging) = sink.staging() else {
        return;
    };
    let (one, two) = (id("op-1"), id("op-2"));
    let stage = async |at: &str, bytes: &[u8]| {
        let begun = staging.begin(&key(at), &one, WriteOptions::default()).await;
        let mut upload = begun.unwrap_or_else(|error| panic!("staging `{at}` fails: {error}"));
        let written = upload.write(Bytes::copy_from_slice(bytes)).await;
        written.unwrap_or_else(|error| panic!("write to staged `{at}` fails: {error}"));
        let committed = upload.commit().await;
        committed.unwrap_or_else(|error| panic!("commit of staged `{at}` fails: {error}"))
    };
    stage("a/b", b"new").await;
    expect_absent(sink, "a/b", "while it is staged").await;
    assert_eq!(
        children(sink, Some("a")).await,
        [],
        "list_children shows what is staged"
    );
    staging
        .promote(&key("a/b"), &one)
        .await
        .expect("promote succeeds");
    assert_eq!(
        read(sink, "a/b").await,
        b"new",
        "what was promoted has other bytes"
    );
    let again = staging
        .promote(&key("a/b"), &one)
        .await
        .expect_err("nothing is staged any more");
    assert_eq!(
        again.kind(),
        ErrorKind::NotFound,
        "promote of nothing says: {again}"
    );

    stage("a/b", b"first").await;
    stage("a/b", b"newer").await;
    assert_eq!(
        read(sink, "a/b").await,
        b"new",
        "staging changes what is there"
    );
    let other = staging.promote(&key("a/b"), &two).await;
    assert!(other.is_err(), "promote takes what another stage holds");
    staging
        .promote(&key("a/b"), &one)
        .await
        .expect("promote over an object succeeds");
    assert_eq!(
        read(sink, "a/b").await,
        b"newer",
        "something else than the last staged is promoted"
    );

    stage("a/c", b"x").await;
    let found = staging.open(&key("a/c"), &one).await;
    if let Some(object) = found.expect("what is staged can be looked for") {
        let bytes = object.body.collect(1 << 20, &key("a/c")).await;
        assert_eq!(
            bytes.expect("it can be read"),
            b"x",
            "other bytes are staged"
        );
    }
    for (name, stage) in [("a/c", &two), ("a/b", &one)] {
        let found = staging.open(&key(name), stage).await;
        let found = found.expect("nothing is not an error");
        assert!(found.is_none(), "{name} is staged in {stage}");
    }
    staging
        .discard(&key("a/c"), &one)
        .await
        .expect("discard succeeds");
    staging
        .discard(&key("a/c"), &one)
        .await
        .expect("discarding again is harmless");
    assert!(
        staging.promote(&key("a/c"), &one).await.is_err(),
        "what was discarded is promoted"
    );
    stage("d/e", b"x").await;
    stage("f", b"x").await;
    let discard = async |folder: Option<&crate::Key>, discard| {
        let discarded = sink.discard_unfinished(folder, discard).await;
        let whole = discarded.and_then(crate::Discarded::whole);
        whole.expect("it can be discarded")
    };
    let d = key("d");
    for (folder, what, count) in [
        (None, Discard::Count, 2),
        (Some(&d), Discard::Count, 1),
        (Some(&d), Discard::Remove, 1),
        (None, Discard::Remove, 1),
        (None, Discard::Count, 0),
    ] {
        let found = discard(folder, what).await;
        assert_eq!(
            found, count,
            "discard_unfinished({folder:?}, {what:?}) counts wrong"
        );
    }
    assert_eq!(
        list_all(sink).await,
        ["a/b"],
        "staging leaves something behind"
    );
}
