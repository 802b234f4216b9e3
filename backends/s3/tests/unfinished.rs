//! Uploads that nobody waits for are ended, and those of a crash are found.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

mod support;

use std::time::Duration;

use arc_backup_core::{Discard, Key, ServerCopy, Sink, UnfinishedUploads, WriteOptions};
use arc_backup_s3::S3Sink;
use arc_backup_test_s3::{Fault, Rule, S3Server, Verb, When};
use support::{BUCKET, key, pattern, put, server, server_with, sink};

fn clean(server: &S3Server, when: &str) {
    assert_eq!(server.uploads(BUCKET), [], "{when}: an upload is left");
}

/// Ends unfinished uploads there; how many these were.
async fn discard(sink: &S3Sink, folder: Option<&Key>) -> u64 {
    let discarded = sink.discard(folder, Discard::Remove).await;
    discarded.unwrap().whole().unwrap()
}

/// Lost if it fails: parts that are billed for ever, of an upload that nobody waited for.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_or_given_up_is_ended() {
    let server = server();
    let sink = sink(&server, "p");
    // The beginning is slow, so that the end overtakes it.
    server.fault(
        Rule::new(Fault::Delay(Duration::from_millis(100))).verb(Verb::CreateMultipartUpload),
    );
    for drops in [true, false] {
        let mut upload = sink
            .begin(&key("a"), WriteOptions::default())
            .await
            .unwrap();
        upload.write(pattern(250_000, 1)).await.unwrap();
        // The upload is being begun by now, and is not yet.
        tokio::time::sleep(Duration::from_millis(30)).await;
        if drops {
            drop(upload);
        } else {
            upload.abort().await.unwrap();
        }
    }
    let commit = async {
        let mut upload = sink
            .begin(&key("b"), WriteOptions::default())
            .await
            .unwrap();
        upload.write(pattern(250_000, 1)).await.unwrap();
        upload.commit().await
    };
    assert!(
        tokio::time::timeout(Duration::from_millis(50), commit)
            .await
            .is_err()
    );
    let ended = async {
        while server.count(Verb::AbortMultipartUpload) < 3 || !server.uploads(BUCKET).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), ended).await;
    assert!(
        waited.is_ok(),
        "left: {:?}, asked: {:?}",
        server.uploads(BUCKET),
        server.counts()
    );
    assert_eq!(server.keys(BUCKET), [""; 0]);
}

/// Lost if it fails: parts of uploads that a crash left, or uploads of others, aborted under their
/// hands.
#[tokio::test(flavor = "multi_thread")]
async fn discards_what_a_crash_left_and_nothing_of_others() {
    let server = server_with(|options| options.page_keys = 2);
    for (prefix, at) in [
        ("p", "a/x"),
        ("p", "a/x"),
        ("p", "a/y"),
        ("p", "a/z"),
        ("p", "ab"),
        ("p", "b/x"),
        ("pq", "a/x"),
    ] {
        let sink = sink(&server, prefix);
        let mut upload = sink.begin(&key(at), WriteOptions::default()).await.unwrap();
        upload.write(pattern(250_000, 1)).await.unwrap();
        while server.uploads(BUCKET).is_empty() {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        std::mem::forget(upload);
    }
    let sink = sink(&server, "p");
    // One object alone, as a caller knows it from a journal.
    assert_eq!(discard(&sink, Some(&key("a/x"))).await, 2);
    assert_eq!(discard(&sink, Some(&key("a"))).await, 2);
    assert_eq!(discard(&sink, None).await, 2);
    let left: Vec<_> = server
        .uploads(BUCKET)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(left, ["pq/a/x"]);
}

/// Lost if it fails: parts that are billed for ever, on a store that lists uploads by their exact
/// names only.
#[tokio::test(flavor = "multi_thread")]
async fn discards_what_it_left_where_only_exact_names_are_listed() {
    let server = server_with(|options| options.lists_uploads_of_exact_keys_only = true);
    let sink = sink(&server, "p");
    server.fault(Rule::new(Fault::Deny).verb(Verb::AbortMultipartUpload));
    for at in ["a/x", "a/y", "b/x"] {
        let mut upload = sink.begin(&key(at), WriteOptions::default()).await.unwrap();
        upload.write(pattern(250_000, 1)).await.unwrap();
        while server
            .uploads(BUCKET)
            .iter()
            .all(|(name, _)| !name.ends_with(at))
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(upload.abort().await.is_err());
    }
    server.heal();
    assert_eq!(discard(&sink, Some(&key("a"))).await, 2);
    // Another process knows the key from its journal.
    let other = support::sink(&server, "p");
    assert_eq!(discard(&other, Some(&key("b"))).await, 0);
    assert_eq!(discard(&other, Some(&key("b/x"))).await, 1);
    clean(&server, "all are discarded");
}

/// Lost if it fails: parts that are billed for ever, of a copy, or of the end of an upload, that
/// nobody waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_or_an_end_that_is_dropped_is_ended() {
    let server = server();
    let sink = sink(&server, "p");
    put(&sink, "a", &pattern(900_000, 1)).await.unwrap();
    let from = sink.address(&key("a"));
    let slow = Fault::Delay(Duration::from_secs(20));
    server.fault(Rule::new(slow.clone()).verb(Verb::UploadPartCopy));
    let to = key("copy");
    let copy = sink.copy_from(&from, &to);
    let soon = Duration::from_millis(300);
    assert!(tokio::time::timeout(soon, copy).await.is_err());
    assert!(server.count(Verb::UploadPartCopy) > 0);

    server.fault(
        Rule::new(slow)
            .verb(Verb::AbortMultipartUpload)
            .key("p/b")
            .when(When::First(1)),
    );
    let mut upload = sink
        .begin(&key("b"), WriteOptions::default())
        .await
        .unwrap();
    upload.write(pattern(250_000, 1)).await.unwrap();
    while !server.uploads(BUCKET).iter().any(|(name, _)| name == "p/b") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(tokio::time::timeout(soon, upload.abort()).await.is_err());
    let ended = async {
        while !server.uploads(BUCKET).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), ended).await;
    assert!(waited.is_ok(), "left: {:?}", server.uploads(BUCKET));
    assert_eq!(server.keys(BUCKET), ["p/a"]);
}
