//! Whatever breaks ends in success after another try, or in an error that names the object and the
//! cause: never in a wrong object, and never with an upload left in the store.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

mod support;

use std::time::Duration;

use arc_backup_core::{Activity, ErrorKind, GetOptions, ServerCopy, Sink, WriteOptions};
use arc_backup_s3::S3Sink;
use arc_backup_test_s3::{Fault, Rule, S3Server, Verb, When};
use support::{
    BUCKET, config, id, key, pattern, put, put_with, read, read_with, server, server_with, sink,
};

/// Every fault that passes.
fn passing() -> Vec<Fault> {
    vec![
        Fault::SlowDown,
        Fault::InternalError,
        Fault::Answer(429, "TooManyRequests", "slower"),
        Fault::Answer(400, "RequestTimeout", "your socket was idle"),
        Fault::Delay(Duration::from_millis(50)),
        Fault::CutResponse(0),
        Fault::CutResponse(30_000),
        Fault::CutRequest(0),
        Fault::CutRequest(30_000),
        Fault::FlipRequest(500),
        Fault::ErrorAfterSuccess,
        Fault::CloseAfterSuccess,
    ]
}

fn clean(server: &S3Server, when: &str) {
    assert_eq!(server.uploads(BUCKET), [], "{when}: an upload is left");
}

/// Lost if it fails: a backup, by a fault that passes.
#[tokio::test(flavor = "multi_thread")]
async fn writes_survive_every_fault() {
    for verb in [
        Verb::PutObject,
        Verb::CreateMultipartUpload,
        Verb::UploadPart,
        Verb::CompleteMultipartUpload,
    ] {
        for fault in passing() {
            for create_new in [false, true] {
                let when = format!("{fault:?} of {verb:?}, create_new {create_new}");
                let server = server();
                let sink = sink(&server, "p");
                server.fault(Rule::new(fault.clone()).verb(verb).when(When::First(2)));
                let len = if verb == Verb::PutObject {
                    50_000
                } else {
                    450_000
                };
                let bytes = pattern(len, 3);
                let options = WriteOptions {
                    create_new,
                    ..WriteOptions::default()
                };
                let meta = put_with(&sink, "a", &bytes, options).await;
                let meta = meta.unwrap_or_else(|error| panic!("{when}: {error}"));
                assert!(server.faults_met() > 0, "{when}: it never happened");
                assert!(
                    server.object(BUCKET, "p/a").unwrap() == bytes,
                    "{when}: other bytes"
                );
                let seen = sink.head(&key("a")).await.unwrap().unwrap();
                assert_eq!((meta.size, meta.etag), (seen.size, seen.etag), "{when}");
                clean(&server, &when);
            }
        }
    }
}

/// Lost if it fails: a restore or a verification, by a fault that passes.
#[tokio::test(flavor = "multi_thread")]
async fn reads_survive_every_fault() {
    let mut faults = passing();
    faults.push(Fault::FlipResponse(700));
    for fault in faults {
        for len in [50_000, 450_000] {
            if matches!(fault, Fault::FlipResponse(_)) && len > 100_000 {
                // Found, not healed: see below.
                continue;
            }
            let when = format!("{fault:?} of {len} bytes");
            let server = server();
            let sink = sink(&server, "p");
            let bytes = pattern(len, 4);
            put(&sink, "a", &bytes).await.unwrap();
            server.fault(
                Rule::new(fault.clone())
                    .verb(Verb::GetObject)
                    .when(When::First(2)),
            );
            let got = read(&sink, "a")
                .await
                .unwrap_or_else(|error| panic!("{when}: {error}"));
            assert!(server.faults_met() > 0, "{when}: it never happened");
            assert!(got == bytes, "{when}: other bytes");
        }
    }
}

/// Lost if it fails: a byte that flipped on its way from a large object, in a backup that says it
/// is complete.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_of_a_large_object_is_found() {
    let server = server();
    let sink = sink(&server, "p");
    put(&sink, "a", &pattern(450_000, 4)).await.unwrap();
    for number in 1..=4 {
        server.heal();
        server.fault(
            Rule::new(Fault::FlipResponse(9))
                .verb(Verb::GetObject)
                .when(When::Nth(number)),
        );
        let error = read(&sink, "a").await.expect_err("the checksum differs");
        assert_eq!((error.kind(), error.subject()), (ErrorKind::Corrupt, "a"));
        assert!(error.is_retryable());
    }
    server.heal();
    // And one that flipped where it lies, in an object of any size.
    for len in [10, 50_000, 450_000] {
        put(&sink, "a", &pattern(len, 4)).await.unwrap();
        server.damage(BUCKET, "p/a", len / 2);
        let error = read(&sink, "a").await.expect_err("the checksum differs");
        assert_eq!((error.kind(), error.subject()), (ErrorKind::Corrupt, "a"));
    }
}

/// Lost if it fails: listings, deletes, copies and what is set aside, by a fault that passes.
#[tokio::test(flavor = "multi_thread")]
async fn everything_else_survives_every_fault() {
    use arc_backup_core::{AsideMode, ListOptions};
    use futures::TryStreamExt;
    for fault in passing() {
        if matches!(fault, Fault::Answer(400, ..)) {
            // An answer to HEAD has no code: there, this is a refusal as any other.
            continue;
        }
        let when = format!("{fault:?}");
        let server = server_with(|options| options.page_keys = 3);
        let sink = sink(&server, "p");
        let large = pattern(700_000, 6);
        put(&sink, "large", &large).await.unwrap();
        for n in 0..10 {
            put(&sink, &format!("a/{n}"), &pattern(100, n))
                .await
                .unwrap();
        }
        server.fault(Rule::new(fault.clone()).when(When::Every(2)));
        let ok = |done: Result<(), arc_backup_core::Error>, what: &str| {
            done.unwrap_or_else(|error| panic!("{when}, {what}: {error}"));
        };
        let rows = sink
            .list(ListOptions::default())
            .try_collect::<Vec<_>>()
            .await;
        ok(
            rows.map(|rows| assert_eq!(rows.len(), 11, "{when}")),
            "list",
        );
        let from = sink.address(&key("large"));
        ok(sink.copy_from(&from, &key("copy")).await.map(drop), "copy");
        ok(
            sink.aside()
                .unwrap()
                .set_aside(&key("large"), &id("op"), AsideMode::Move)
                .await,
            "set aside",
        );
        ok(sink.delete(&[key("a/1"), key("a/2")]).await, "delete");
        ok(
            (&sink as &dyn Sink)
                .remove_tree(&key("a"), &Activity::default())
                .await,
            "remove",
        );
        server.heal();
        assert_eq!(
            server.keys(BUCKET),
            ["p.before-restore/op/large", "p/copy"],
            "{when}"
        );
        assert!(server.object(BUCKET, "p/copy").unwrap() == large, "{when}");
        clean(&server, &when);
    }
}

/// Lost if it fails: 1,100 requests in eight runs, of which the SDK's own retries lose one.
#[tokio::test(flavor = "multi_thread")]
async fn one_request_in_twenty_may_fail() {
    let server = server();
    let sink = sink(&server, "p");
    for fault in [
        Fault::InternalError,
        Fault::CloseAfterSuccess,
        Fault::CutResponse(50),
    ] {
        server.fault(Rule::new(fault).when(When::Chance(0.02)));
    }
    for n in 0..60 {
        let bytes = pattern(350_000, n);
        let at = format!("a/{n}");
        let options = WriteOptions {
            create_new: true,
            ..WriteOptions::default()
        };
        put_with(&sink, &at, &bytes, options).await.unwrap();
        assert!(
            read(&sink, &at).await.unwrap() == bytes,
            "{at} has other bytes"
        );
    }
    assert!(server.faults_met() > 10);
    server.heal();
    clean(&server, "at 6 %");
}

/// Lost if it fails: an error without a name, an object of half its bytes, parts that are billed
/// for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_stays_is_named_and_leaves_nothing() {
    for (fault, kind) in [
        (Fault::SlowDown, ErrorKind::Unavailable),
        (Fault::InternalError, ErrorKind::Unavailable),
        (Fault::CutRequest(10), ErrorKind::Unavailable),
        (Fault::CutResponse(0), ErrorKind::Unavailable),
        (Fault::FlipRequest(7), ErrorKind::Corrupt),
        (Fault::Deny, ErrorKind::PermissionDenied),
        (
            Fault::Answer(507, "XMinioStorageFull", "full"),
            ErrorKind::NoSpace,
        ),
        (
            Fault::Answer(403, "QuotaExceeded", "quota"),
            ErrorKind::NoSpace,
        ),
    ] {
        for verb in [
            Verb::PutObject,
            Verb::CreateMultipartUpload,
            Verb::UploadPart,
            Verb::CompleteMultipartUpload,
            Verb::GetObject,
        ] {
            let when = format!("{fault:?} of {verb:?}");
            let reads = verb == Verb::GetObject;
            let no_body = matches!(verb, Verb::CreateMultipartUpload | Verb::GetObject);
            let after_all = matches!(fault, Fault::CutResponse(_)) && !reads;
            if (no_body && matches!(fault, Fault::FlipRequest(_) | Fault::CutRequest(_)))
                || after_all
            {
                continue;
            }
            let server = server();
            let sink = sink(&server, "p");
            let len = if verb == Verb::PutObject {
                50_000
            } else {
                450_000
            };
            let bytes = pattern(len, 3);
            if reads {
                put(&sink, "data/a", &bytes).await.unwrap();
            }
            server.fault(Rule::new(fault.clone()).verb(verb));
            let error = if reads {
                read(&sink, "data/a").await.map(drop).unwrap_err()
            } else {
                put(&sink, "data/a", &bytes).await.map(drop).unwrap_err()
            };
            if !(verb == Verb::CompleteMultipartUpload && kind == ErrorKind::Corrupt) {
                assert_eq!(error.kind(), kind, "{when}: {error}");
            }
            assert_eq!(error.subject(), "data/a", "{when}: {error}");
            if !reads {
                assert_eq!(server.keys(BUCKET), [""; 0], "{when}");
            }
            server.heal();
            clean(&server, &when);
        }
    }
}

/// Lost if it fails: another's object, taken for ours because a request of ours may have written
/// it.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_object_is_never_ours() {
    for len in [50_000, 450_000] {
        let server = server();
        let sink = sink(&server, "p");
        let bytes = pattern(len, 1);
        for fault in [None, Some(Fault::InternalError)] {
            server.put(BUCKET, "p/a", bytes.clone());
            if let Some(fault) = fault {
                for verb in [Verb::PutObject, Verb::CompleteMultipartUpload] {
                    server.fault(Rule::new(fault.clone()).verb(verb).when(When::First(1)));
                }
            }
            let options = WriteOptions {
                create_new: true,
                ..WriteOptions::default()
            };
            let error = put_with(&sink, "a", &bytes, options).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            clean(&server, "a foreign object");
        }
    }
}

/// Lost if it fails: two halves of two objects, read as one.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_changes_while_it_is_read_is_told() {
    let server = server();
    let mut config = config(&server, "p");
    config.parallel = 1;
    let sink = S3Sink::new(config).unwrap();
    put(&sink, "a", &pattern(2_000_000, 1)).await.unwrap();
    server.fault(
        Rule::new(Fault::CutResponse(300_000))
            .verb(Verb::GetObject)
            .when(When::First(1)),
    );
    let object = sink.get(&key("a"), GetOptions::default()).await.unwrap();
    put(&sink, "a", &pattern(2_000_000, 2)).await.unwrap();
    let read = object.body.collect(1 << 30, "a").await;
    let error = read
        .map(|bytes| bytes.len())
        .expect_err("two objects are read as one");
    assert_eq!(
        error.kind(),
        ErrorKind::Changed,
        "{error} {:?}",
        server.counts()
    );
    let options = GetOptions {
        range: Some(5..10),
        if_match: Some("other".to_owned()),
        ..GetOptions::default()
    };
    let error = read_with(&sink, "a", options)
        .await
        .expect_err("it is another");
    assert_eq!(error.kind(), ErrorKind::Changed);
}
