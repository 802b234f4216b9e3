//! What an account does by itself with blobs: moving them to the archive tier, keeping what was
//! deleted.

#![allow(clippy::unwrap_used)]

mod support;

use arc_backup_core::{ErrorKind, GetOptions, ListOptions, Listed, Meta, Sink, WriteOptions};
use arc_backup_test_azurite::Fault;
use bytes::Bytes;
use futures::TryStreamExt as _;
use support::*;

/// What the listing says of an object.
async fn listed(sink: &dyn Sink, at: &str) -> Meta {
    let rows: Vec<_> = sink
        .list(ListOptions::default())
        .try_collect()
        .await
        .unwrap();
    rows.into_iter()
        .find_map(|row| match row {
            Listed::Object(meta) if &*meta.key == at => Some(meta),
            _ => None,
        })
        .unwrap()
}

/// Lost if it fails: a restore that finds out half-way, or a good backup that counts as damaged.
#[tokio::test(flavor = "multi_thread")]
async fn an_archived_blob_is_told_from_a_damaged_one() {
    let place = Place::new().await;
    let sink = place.sink();
    put(&sink, "a", b"rows").await.unwrap();
    put(&sink, "b", b"rows").await.unwrap();
    let path = format!("{}/a", place.container);
    let (query, headers) = ([("comp", "tier")], [("x-ms-access-tier", "Archive")]);
    let moved = (place.azurite)
        .request(hyper::Method::PUT, &path, &query, &headers, Bytes::new())
        .await;
    assert!(moved.status < 300, "{moved:?}");
    for ranged in [None, Some(1..3)] {
        let options = GetOptions {
            range: ranged,
            ..GetOptions::default()
        };
        let error = get_with(&sink, "a", options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Archived, "{error}");
        assert!(error.to_string().contains("rehydrate"), "{error}");
    }
    assert!(listed(&sink, "a").await.archived);
    assert!(sink.head(&key("a")).await.unwrap().unwrap().archived);
    assert!(!listed(&sink, "b").await.archived);
    assert!(!sink.head(&key("b")).await.unwrap().unwrap().archived);
    // It can be deleted all the same.
    sink.delete(&[key("a")]).await.unwrap();
    assert_eq!(sink.head(&key("a")).await.unwrap(), None);
}

/// Lost if it fails: the one word that a deletion frees nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_keeps_what_was_deleted_is_known_by_its_answers() {
    let place = Place::new().await;
    for (verb, header) in [
        ("PUT", ("x-ms-version-id", "2026-11-28T22:00:00.0000000Z")),
        ("DELETE", ("x-ms-delete-type-permanent", "false")),
    ] {
        let sink = place.sink();
        put(&sink, "a", b"rows").await.unwrap();
        sink.delete(&[key("a")]).await.unwrap();
        assert!(!sink.properties().keeps_deleted, "{verb}");
        place.proxy.once(verb, Fault::SetHeaders(vec![header]));
        put(&sink, "a", b"rows").await.unwrap();
        sink.delete(&[key("a")]).await.unwrap();
        assert!(sink.properties().keeps_deleted, "{verb}");
        place.proxy.heal();
    }
}

/// Lost if it fails: an operator who looks for what exists already, where the store can't be asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_settles_nothing_is_told_as_what_it_is() {
    let place = Place::new().await;
    let sink = place.sink();
    put(&sink, "a", b"rows").await.unwrap();
    place
        .proxy
        .always("HEAD", Fault::Answer(500, "InternalError"));
    let new = WriteOptions {
        create_new: true,
        ..WriteOptions::default()
    };
    let error = put_with(&sink, "a", b"rows", new).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!error.to_string().contains("exists already"), "{error}");
}
