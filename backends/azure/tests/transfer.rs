//! Large objects: blocks and ranges, byte for byte, and what goes over the wire for them.

#![allow(clippy::unwrap_used)]

mod support;

use arc_backup_core::{Error, ErrorKind, GetOptions, ListOptions, Sink, WriteOptions};
use arc_backup_test_azurite::Fault;
use bytes::Bytes;
use hyper::Method;
use std::time::Duration;
use support::*;

/// A backup's bytes must come back as they were, whatever they were cut into.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_and_ranges_carry_every_byte() {
    let place = Place::new().await;
    let sink = place.sink();
    // At the edges of a small put, of a block, and of a range.
    for len in [
        0,
        1,
        PART - 1,
        PART,
        PART + 1,
        5 * PART,
        5 * PART + 1,
        23 * PART - 1,
    ] {
        let bytes = pattern(len);
        let meta = put(&sink, "large", &bytes).await.unwrap();
        assert_eq!(meta.size, len as u64);
        assert_eq!(
            sink.head(&key("large")).await.unwrap().as_ref(),
            Some(&meta)
        );
        assert!(
            get(&sink, "large").await.unwrap() == bytes,
            "{len} bytes come back changed"
        );
        let range = (len / 3) as u64..(len as u64).saturating_sub(1);
        let options = GetOptions {
            range: Some(range.clone()),
            ..GetOptions::default()
        };
        let got = get_with(&sink, "large", options).await.unwrap();
        let wanted = &bytes[len / 3..len.saturating_sub(1).max(len / 3)];
        assert!(got == wanted, "{range:?} of {len} bytes");
    }
}

/// A small object costs one request in either direction, a large one no more than its parts: this
/// is what a backup of many files is made of.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_wasted() {
    let place = Place::new().await;
    let sink = place.sink();
    put(&sink, "small", b"bytes").await.unwrap();
    get(&sink, "small").await.unwrap();
    assert_eq!((place.proxy.count("PUT"), place.proxy.count("GET")), (1, 1));
    assert_eq!(place.proxy.total(), 2, "{:?}", place.proxy.counts());
    place.proxy.reset_counts();
    let bytes = pattern(10 * PART);
    put(&sink, "large", &bytes).await.unwrap();
    assert_eq!(place.proxy.count("PUT block"), 10);
    assert_eq!(place.proxy.count("PUT blocklist"), 1);
    get(&sink, "large").await.unwrap();
    assert_eq!(place.proxy.count("GET"), 10);
    assert_eq!(place.proxy.total(), 21, "{:?}", place.proxy.counts());
}

/// One after the other, a large file would take as long as the distance to the store makes it.
#[tokio::test(flavor = "multi_thread")]
async fn parts_and_ranges_move_at_once() {
    let place = Place::new().await;
    let sink = place.sink();
    place.proxy.set_latency(Duration::from_millis(20));
    let bytes = pattern(40 * PART);
    put(&sink, "a", &bytes).await.unwrap();
    assert!(
        place.proxy.most_under_way() >= 4,
        "{}",
        place.proxy.most_under_way()
    );
    place.proxy.reset_counts();
    assert!(get(&sink, "a").await.unwrap() == bytes);
    assert!(
        place.proxy.most_under_way() >= 6,
        "{}",
        place.proxy.most_under_way()
    );
}

/// A body larger than the memory that is set aside for bodies must go through all the same.
#[tokio::test(flavor = "multi_thread")]
async fn little_memory_is_enough() {
    let place = Place::new().await;
    let mut config = place.config();
    config.write_budget_bytes = PART as u64;
    config.read_budget_bytes = PART as u64;
    let sink = arc_backup_azure::AzureSink::new(config).unwrap();
    let bytes = pattern(9 * PART + 5);
    let writers = (0..4).map(|n| {
        let (sink, bytes) = (sink.clone(), bytes.clone());
        async move {
            let at = format!("a/{n}");
            put(&sink, &at, &bytes).await.unwrap();
            assert!(get(&sink, &at).await.unwrap() == bytes);
        }
    });
    futures::future::join_all(writers).await;
}

/// Leaves a block of another program behind.
async fn leave_block(place: &Place, at: &str, id_bytes: usize) {
    let id = azure_core::base64::encode(vec![b'x'; id_bytes]);
    let path = format!("{}/{at}", place.container);
    let query = [("comp", "block"), ("blockid", id.as_str())];
    let left = Bytes::from_static(b"left over");
    let answer = place
        .azurite
        .request(Method::PUT, &path, &query, &[], left)
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// What is in the way and can't be mended from here must be said, and how long it stays.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_in_the_way_are_named() {
    let place = Place::new().await;
    let sink = place.sink();
    leave_block(&place, "a", 8).await;
    let check = |error: arc_backup_core::Error| {
        let text = error.to_string();
        assert_eq!(error.subject(), "a", "{text}");
        for said in ["another program", "a week"] {
            assert!(text.contains(said), "{text}");
        }
    };
    check(put(&sink, "a", &pattern(3 * PART)).await.unwrap_err());
    place.proxy.always(
        "GET blocklist",
        Fault::Answer(403, "AuthorizationPermissionMismatch"),
    );
    check(put(&sink, "a", &pattern(3 * PART)).await.unwrap_err());
}

/// What another program left half-written must not keep a backup from being written.
#[tokio::test(flavor = "multi_thread")]
async fn left_over_blocks_of_others_do_no_harm() {
    let place = Place::new().await;
    let sink = place.sink();
    let bytes = pattern(3 * PART);
    for (at, id_bytes) in [("ours", 20), ("longer", 36), ("longest", 64)] {
        leave_block(&place, at, id_bytes).await;
        put(&sink, at, &bytes)
            .await
            .unwrap_or_else(|error| panic!("{at}: {error}"));
        assert!(get(&sink, at).await.unwrap() == bytes, "{at}");
    }
}

/// What is given up must never become visible, and not end what another writer does.
#[tokio::test(flavor = "multi_thread")]
async fn an_abort_leaves_nothing_visible() {
    let place = Place::new().await;
    let sink = place.sink();
    let mut upload = sink
        .begin(&key("a"), WriteOptions::default())
        .await
        .unwrap();
    upload.write(pattern(6 * PART)).await.unwrap();
    let mut other = sink
        .begin(&key("a"), WriteOptions::default())
        .await
        .unwrap();
    let bytes = pattern(5 * PART + 1);
    other.write(bytes.clone()).await.unwrap();
    upload.abort().await.unwrap();
    assert_eq!(list(&sink, ListOptions::default()).await.unwrap(), [""; 0]);
    assert_eq!(sink.head(&key("a")).await.unwrap(), None);
    other.commit().await.unwrap();
    assert!(get(&sink, "a").await.unwrap() == bytes);
}

/// Two writers of one key must not mix; the one whose blocks Azure dropped must say so.
#[tokio::test(flavor = "multi_thread")]
async fn writers_of_one_key_do_not_mix() {
    let place = Place::new().await;
    let sink = place.sink();
    let (first, second) = (pattern(4 * PART), pattern(5 * PART + 3).slice(1..));
    let mut a = sink
        .begin(&key("a"), WriteOptions::default())
        .await
        .unwrap();
    let mut b = sink
        .begin(&key("a"), WriteOptions::default())
        .await
        .unwrap();
    a.write(first).await.unwrap();
    b.write(second.clone()).await.unwrap();
    b.commit().await.unwrap();
    let refused: Error = a.commit().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Changed, "{refused}");
    assert!(
        refused.to_string().contains("somebody else wrote"),
        "{refused}"
    );
    assert!(get(&sink, "a").await.unwrap() == second);
}

/// A slow link is no dead one: a body that trickles in must not be given up and begun again for
/// ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_is_not_taken_for_a_dead_one() {
    let place = Place::new().await;
    let mut config = place.config();
    config.retry.stall = Duration::from_millis(400);
    config.retry.silence = Duration::from_millis(800);
    let sink = arc_backup_azure::AzureSink::new(config).unwrap();
    let bytes = pattern(PART);
    put(&sink, "a", &bytes).await.unwrap();
    // In all longer than what may be silent.
    place
        .proxy
        .once("GET", Fault::Trickle(PART / 12, Duration::from_millis(100)));
    assert!(get(&sink, "a").await.unwrap() == bytes);
    assert_eq!(place.proxy.count("GET"), 1, "it was begun again");
}
