//! Faults on the way: each ends in success after a retry, or in an error that names the object and
//! the cause; never in a wrong object.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_backup_azure::{AzureConfig, AzureSink};
use arc_backup_core::{Body, Error, ErrorKind, GetOptions, ListOptions, Sink, WriteOptions};
use arc_backup_test_azurite::Fault;
use futures::StreamExt as _;
use support::*;

/// What a retry heals.
fn passing() -> Vec<Fault> {
    vec![
        Fault::Answer(503, "ServerBusy"),
        Fault::Answer(429, "TooManyRequests"),
        Fault::Answer(500, "InternalError"),
        Fault::Answer(500, "OperationTimedOut"),
        Fault::Answer(502, "BadGateway"),
        Fault::Answer(408, "RequestTimeout"),
        Fault::AnswerAfter(500, "InternalError"),
        Fault::AnswerAfter(503, "ServerBusy"),
        Fault::CloseAfter,
        Fault::Close,
    ]
}

/// A passing fault of any request must not cost a backup, nor change an object.
#[tokio::test(flavor = "multi_thread")]
async fn every_passing_fault_of_every_request_heals() {
    let place = Place::new().await;
    let sink = place.sink();
    let (small, large) = (pattern(1000), pattern(5 * PART + 77));
    for fault in passing() {
        for create in [false, true] {
            let options = || WriteOptions {
                create_new: create,
                ..WriteOptions::default()
            };
            let when = format!("{fault:?}, create_new {create}");
            place.proxy.heal();
            for verb in [
                "PUT",
                "PUT block",
                "PUT blocklist",
                "GET",
                "HEAD",
                "DELETE",
                "GET list",
            ] {
                place.proxy.once(verb, fault.clone());
            }
            // The next blocks and ranges meet it too.
            place.proxy.times("PUT block", 2, fault.clone());
            place.proxy.times("GET", 2, fault.clone());
            let meta = put_with(&sink, "small", &small, options()).await;
            let meta = meta.unwrap_or_else(|error| panic!("{when}: {error}"));
            assert_eq!(
                sink.head(&key("small")).await.unwrap(),
                Some(meta),
                "{when}"
            );
            assert!(get(&sink, "small").await.unwrap() == small, "{when}");
            let meta = put_with(&sink, "large", &large, options()).await;
            let meta = meta.unwrap_or_else(|error| panic!("{when}: {error}"));
            assert_eq!(meta.size, large.len() as u64);
            assert!(get(&sink, "large").await.unwrap() == large, "{when}");
            let listed = list(&sink, ListOptions::default()).await.unwrap();
            assert_eq!(listed, ["large", "small"], "{when}");
            sink.delete(&[key("small"), key("large")]).await.unwrap();
            assert_eq!(
                list(&sink, ListOptions::default()).await.unwrap(),
                [""; 0],
                "{when}"
            );
        }
    }
}

/// A success whose answer was lost must not be reported as "exists already", and a foreign object
/// never as ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_told_from_a_foreign_object() {
    let place = Place::new().await;
    let sink = place.sink();
    for (at, bytes, verb) in [
        ("small", pattern(10), "PUT"),
        ("large", pattern(3 * PART), "PUT blocklist"),
    ] {
        place.proxy.heal();
        place.proxy.times(verb, 3, Fault::CloseAfter);
        let meta = put_with(&sink, at, &bytes, create_new()).await.unwrap();
        assert_eq!(sink.head(&key(at)).await.unwrap(), Some(meta));
        place.proxy.heal();
        // The same bytes by another writer are another's all the same.
        let refused = put_with(&sink, at, &bytes, create_new()).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.subject()),
            (ErrorKind::AlreadyExists, at)
        );
        place.proxy.once(verb, Fault::CloseAfter);
        let refused = put_with(&sink, at, &bytes, create_new()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    }
}

/// A byte that flips on its way to the store must not be kept there.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_request_body_is_sent_again() {
    let place = Place::new().await;
    let sink = place.sink();
    let (small, large) = (pattern(1000), pattern(3 * PART));
    place.proxy.times("PUT", 2, Fault::FlipRequest(500));
    put(&sink, "small", &small).await.unwrap();
    assert_eq!(place.proxy.count("PUT"), 3);
    assert!(get(&sink, "small").await.unwrap() == small);
    place
        .proxy
        .times("PUT block", 2, Fault::FlipRequest(PART - 1));
    put(&sink, "large", &large).await.unwrap();
    assert_eq!(place.proxy.count("PUT block"), 5);
    assert!(get(&sink, "large").await.unwrap() == large);
    // One that is damaged each time ends in an error, and what was there stays.
    place.proxy.always("PUT", Fault::FlipRequest(500));
    let error = put(&sink, "small", &pattern(2000)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.subject()),
        (ErrorKind::Corrupt, "small"),
        "{error}"
    );
    assert!(error.to_string().contains("tried 8 times"), "{error}");
    assert!(get(&sink, "small").await.unwrap() == small);
}

/// A byte that flips on its way from the store must not get into a backup.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_answer_is_read_again() {
    let place = Place::new().await;
    let sink = place.sink();
    for (at, len) in [("small", 1000), ("large", 6 * PART + 9)] {
        place.proxy.heal();
        let bytes = pattern(len);
        put(&sink, at, &bytes).await.unwrap();
        for flipped in [0, 999] {
            place.proxy.times("GET", 3, Fault::FlipResponse(flipped));
            assert!(
                get(&sink, at).await.unwrap() == bytes,
                "{at}, byte {flipped}"
            );
        }
        place.proxy.always("GET", Fault::FlipResponse(7));
        let error = get(&sink, at).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.subject()),
            (ErrorKind::Corrupt, at),
            "{error}"
        );
    }
}

/// A reader with a digest of its own must not pay for the store's sums, and nobody else may go
/// without.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_checks_by_itself_asks_for_no_md5() {
    let place = Place::new().await;
    let sink = place.sink();
    for (at, len, requests) in [("small", 1000, 1), ("large", 6 * PART + 9, 7)] {
        let bytes = pattern(len);
        put(&sink, at, &bytes).await.unwrap();
        for reader_checks in [false, true] {
            let asked = Arc::new(AtomicUsize::new(0));
            let options = || GetOptions {
                reader_checks,
                ..GetOptions::default()
            };
            place.proxy.heal();
            place.proxy.reset_counts();
            let counted = asked.clone();
            place.proxy.rule(move |request| {
                counted.fetch_add(usize::from(request.range_md5), Ordering::Relaxed);
                None
            });
            assert!(get_with(&sink, at, options()).await.unwrap() == bytes);
            let asked = asked.load(Ordering::Relaxed);
            let wanted = if reader_checks { 0 } else { requests };
            assert_eq!((place.proxy.count("GET"), asked), (requests, wanted));
            // Damaged bytes are the reader's to find then; and no more or fewer than there should
            // be.
            place.proxy.once("GET", Fault::FlipResponse(7));
            let read = get_with(&sink, at, options()).await.unwrap();
            assert_eq!((read.len(), read != bytes), (len, reader_checks), "{at}");
            place.proxy.once("GET", Fault::CutResponse(100));
            assert!(get_with(&sink, at, options()).await.unwrap() == bytes);
        }
    }
}

/// A stream that breaks off in the middle is taken up again, and never ends an object early.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_answer_is_read_again() {
    let place = Place::new().await;
    let sink = place.sink();
    let bytes = pattern(4 * PART + 100);
    put(&sink, "a", &bytes).await.unwrap();
    for cut in [0, 1, PART / 2, PART - 1] {
        place.proxy.times("GET", 4, Fault::CutResponse(cut));
        assert!(
            get(&sink, "a").await.unwrap() == bytes,
            "cut after {cut} bytes"
        );
    }
    place.proxy.times("GET list", 2, Fault::CutResponse(100));
    assert_eq!(list(&sink, ListOptions::default()).await.unwrap(), ["a"]);
    place.proxy.heal();
    place.proxy.always("GET", Fault::CutResponse(10));
    let error = get(&sink, "a").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.subject()),
        (ErrorKind::Unavailable, "a"),
        "{error}"
    );
}

/// An object that is replaced while it is read must not be read as a mixture.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_while_reading_is_noticed() {
    let place = Place::new().await;
    let mut config = place.config();
    config.range_parallel = 2;
    let sink = AzureSink::new(config).unwrap();
    put(&sink, "a", &pattern(20 * PART)).await.unwrap();
    let open = sink.get(&key("a"), Default::default()).await.unwrap();
    put(&sink, "a", &pattern(20 * PART + 1)).await.unwrap();
    let error = open.body.collect(1 << 30, "a").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.subject()),
        (ErrorKind::Changed, "a"),
        "{error}"
    );
}

/// What can't heal must not be tried for ever, and a fault that lasts must name object and cause.
#[tokio::test(flavor = "multi_thread")]
async fn a_lasting_fault_is_an_error_that_names_it() {
    let place = Place::new().await;
    let sink = place.sink();
    put(&sink, "there", b"x").await.unwrap();
    let large = pattern(3 * PART);
    place
        .proxy
        .always("PUT block", Fault::Answer(503, "ServerBusy"));
    let error = put(&sink, "large", &large).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.subject()),
        (ErrorKind::Unavailable, "large")
    );
    assert!(error.to_string().contains("503 ServerBusy"), "{error}");
    assert_eq!(
        sink.head(&key("large")).await.unwrap(),
        None,
        "half an object shows"
    );
    place.proxy.heal();
    place.proxy.reset_counts();
    place
        .proxy
        .always("PUT blocklist", Fault::Answer(500, "FeatureNotSupported"));
    let error = put(&sink, "large", &large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert_eq!(place.proxy.count("PUT blocklist"), 1, "it was tried again");
    assert_eq!(
        sink.head(&key("large")).await.unwrap(),
        None,
        "half an object shows"
    );
    place.proxy.heal();
    place.proxy.reset_counts();
    place
        .proxy
        .always("DELETE", Fault::Answer(500, "InternalError"));
    let error = sink
        .delete(&[key("absent"), key("there")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(place.proxy.count("DELETE"), 16, "8 attempts for each");
}

/// One key that can't be deleted must be named, and not keep the others from being deleted.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delete_names_its_key_and_goes_on() {
    let place = Place::new().await;
    let sink = place.sink();
    for at in ["a", "b", "c"] {
        put(&sink, at, b"x").await.unwrap();
    }
    place.proxy.rule(|request| {
        (request.verb == "DELETE" && request.path.ends_with("/b"))
            .then_some(Fault::Answer(403, "AuthorizationPermissionMismatch"))
    });
    let error = sink
        .delete(&[key("a"), key("b"), key("c")])
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.subject()),
        (ErrorKind::PermissionDenied, "b"),
        "{error}"
    );
    assert_eq!(list(&sink, ListOptions::default()).await.unwrap(), ["b"]);
}

/// A dead network must end an operation soon, and a request that hangs must be tried again before
/// that.
#[tokio::test(flavor = "multi_thread")]
async fn silence_has_an_end() {
    let place = Place::new().await;
    let mut config = place.config();
    config.retry.stall = Duration::from_millis(200);
    config.retry.silence = Duration::from_millis(700);
    let sink = AzureSink::new(config).unwrap();
    let bytes = pattern(PART + 5);
    for verb in ["PUT block", "PUT blocklist", "GET"] {
        place.proxy.once(verb, Fault::Hang);
    }
    put(&sink, "a", &bytes).await.unwrap();
    assert!(get(&sink, "a").await.unwrap() == bytes);
    for verb in ["PUT block", "PUT", "GET", "HEAD", "GET list", "DELETE"] {
        place.proxy.always(verb, Fault::Hang);
    }
    let dead = |outcome: Result<(), Error>| {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("no byte came"), "{error}");
    };
    dead(put(&sink, "a", &bytes).await.map(drop));
    dead(put(&sink, "b", b"small").await.map(drop));
    dead(get(&sink, "a").await.map(drop));
    dead(sink.head(&key("a")).await.map(drop));
    dead(list(&sink, ListOptions::default()).await.map(drop));
    dead(sink.delete(&[key("a")]).await);
}

/// Bytes that went only into this machine's buffers are no sign of life: a host that takes
/// connections and never answers must end an upload after the silence that is borne, not after as
/// much for each try.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_only_listens_is_dead() {
    let place = Place::new().await;
    let mut config = place.config();
    config.part_bytes = 1 << 20;
    config.retry.stall = Duration::from_millis(600);
    config.retry.silence = Duration::from_millis(1500);
    let sink = AzureSink::new(config).unwrap();
    place.proxy.always("PUT block", Fault::Hang);
    let begun = Instant::now();
    let error = put(&sink, "a", &pattern(5 << 19)).await.unwrap_err();
    assert!(
        error.to_string().contains("without a byte for 1.5 s"),
        "{error}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
}

/// A store that is well must not be given up because this program has no room for its bytes.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_room_is_no_silence() {
    let place = Place::new().await;
    let mut config = place.config();
    config.read_budget_bytes = PART as u64;
    config.retry.stall = Duration::from_millis(1500);
    config.retry.silence = Duration::from_millis(2500);
    let sink = AzureSink::new(config).unwrap();
    let bytes = pattern(PART);
    for at in ["a", "b"] {
        put(&sink, at, &bytes).await.unwrap();
    }
    let held = sink.get(&key("a"), GetOptions::default()).await.unwrap();
    let Body::Stream(mut held) = held.body else {
        panic!("a file came from a store");
    };
    while held.next().await.unwrap().unwrap().is_empty() {}
    place.proxy.reset_counts();
    place.proxy.once("GET", Fault::CutResponse(100));
    let other = tokio::spawn({
        let sink = sink.clone();
        async move { get(&sink, "b").await }
    });
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(
        !other.is_finished(),
        "it read without room, or gave up: {other:?}"
    );
    assert_eq!(place.proxy.count("GET"), 1, "it was taken for dead");
    drop(held);
    assert!(other.await.unwrap().unwrap() == bytes);
    // The range that was opened again gave its room back.
    assert!(get(&sink, "a").await.unwrap() == bytes);
}

/// A store that says "slow down" must see fewer requests at once.
#[tokio::test(flavor = "multi_thread")]
async fn throttling_slows_down() {
    let place = Place::new().await;
    let sink = AzureSink::new(AzureConfig {
        requests: 16,
        ..place.config()
    })
    .unwrap();
    place.proxy.set_latency(Duration::from_millis(30));
    place
        .proxy
        .times("PUT", 16, Fault::Answer(503, "ServerBusy"));
    let puts = |from: usize| {
        let sink = sink.clone();
        futures::future::join_all((from..from + 16).map(move |n| {
            let sink = sink.clone();
            async move { put(&sink, &format!("a/{n}"), b"x").await.map(drop) }
        }))
    };
    assert!(puts(0).await.into_iter().all(|done| done.is_ok()));
    place.proxy.reset_counts();
    assert!(puts(16).await.into_iter().all(|done| done.is_ok()));
    let most = place.proxy.most_under_way();
    assert!(
        most < 16,
        "{most} requests at once after the store was overloaded"
    );
}
