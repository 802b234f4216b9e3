//! Objects of every size, byte for byte, and what it costs in requests.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

mod support;

use arc_backup_core::{
    Activity, Child, ErrorKind, GetOptions, ListOptions, Listed, OtherKind, ServerCopy, Sink,
    WriteOptions,
};
use arc_backup_s3::S3Sink;
use arc_backup_test_s3::{Fault, Rule, Verb};
use futures::{StreamExt, TryStreamExt};
use support::{
    BUCKET, config, id, key, pattern, put, put_with, read, read_with, server, server_with, sink,
};

/// Lost if it fails: a byte at a seam, between parts or between ranges.
#[tokio::test(flavor = "multi_thread")]
async fn parts_and_ranges_meet_without_a_seam() {
    let server = server();
    let sink = sink(&server, "p");
    for len in [0, 1, 99_999, 100_000, 100_001, 200_000, 1_234_567] {
        let bytes = pattern(len, len as u64);
        for hint in [None, Some(len as u64), Some(7)] {
            let options = WriteOptions {
                size_hint: hint,
                ..WriteOptions::default()
            };
            let meta = put_with(&sink, "a", &bytes, options).await.unwrap();
            assert_eq!(meta.size, len as u64);
            assert_eq!(meta.etag, sink.head(&key("a")).await.unwrap().unwrap().etag);
        }
        assert!(
            server.object(BUCKET, "p/a").unwrap() == bytes,
            "{len} bytes are stored changed"
        );
        assert!(
            read(&sink, "a").await.unwrap() == bytes,
            "{len} bytes are read changed"
        );
        for range in [0..len / 2, len / 3..len, len / 2..len / 2 + 150_000] {
            let wanted = &bytes[range.start..range.end.min(len)];
            let options = GetOptions {
                range: Some(range.start as u64..range.end as u64),
                ..GetOptions::default()
            };
            assert!(
                read_with(&sink, "a", options).await.unwrap() == wanted,
                "{range:?} of {len}"
            );
        }
    }
    assert_eq!(server.uploads(BUCKET), []);
}

/// Lost if it fails: a request more for every object than it needs, of millions.
#[tokio::test]
async fn small_objects_cost_one_request() {
    let server = server();
    let sink = sink(&server, "p");
    put(&sink, "a", &pattern(5000, 1)).await.unwrap();
    read(&sink, "a").await.unwrap();
    let counts: Vec<_> = server.counts().into_iter().collect();
    assert_eq!(counts, [(Verb::PutObject, 1), (Verb::GetObject, 1)]);
}

/// Lost if it fails: a listing of everything before the first row of it, and backups that take
/// hours to list.
#[tokio::test]
async fn listings_cost_pages() {
    let server = server();
    for n in 0..100_000 {
        server.put(BUCKET, &format!("p/data/backup-{:03}/{n:06}", n / 400), "x");
    }
    server.put(BUCKET, "q", "beside the prefix");
    let sink = sink(&server, "p");
    let mut rows = sink.list(ListOptions::default());
    rows.next().await.unwrap().unwrap();
    assert_eq!(
        server.count(Verb::ListObjects),
        1,
        "the first row needs one page"
    );
    let rest: Vec<_> = rows.try_collect().await.unwrap();
    assert_eq!(rest.len(), 99_999);
    assert_eq!(server.count(Verb::ListObjects), 100);

    server.reset_counts();
    let children = sink.list_children(Some(&key("data"))).await.unwrap();
    assert_eq!(children.len(), 250);
    assert_eq!(children[7], Child::Folder("backup-007".to_owned()));
    assert_eq!(server.count(Verb::ListObjects), 1, "250 folders fit a page");

    server.reset_counts();
    let all = ListOptions {
        skip: vec!["data".to_owned()],
        ..ListOptions::default()
    };
    assert_eq!(sink.list(all).try_collect::<Vec<_>>().await.unwrap(), []);
    assert!(
        server.count(Verb::ListObjects) <= 2,
        "what is skipped is walked"
    );

    for n in 0..2500 {
        server.put(BUCKET, &format!("p/many/{n:04}/manifest.json"), "x");
    }
    server.reset_counts();
    assert_eq!(
        sink.list_children(Some(&key("many"))).await.unwrap().len(),
        2500
    );
    assert_eq!(server.count(Verb::ListObjects), 3);
}

/// Lost if it fails: objects of other tools, dropped in silence or taken for folders of ours.
#[tokio::test]
async fn what_is_no_object_of_ours_is_told() {
    let server = server();
    for (name, bytes) in [
        ("p/", ""),
        ("p/dir/", ""),
        ("p/dir/a", "x"),
        ("p/dir//b", "x"),
        ("p/c\\d", "x"),
        ("p/full/", "x"),
        ("p/line\nbreak\u{1}", "x"),
        ("pq", "x"),
    ] {
        server.put(BUCKET, name, bytes);
    }
    let sink = sink(&server, "p");
    let rows: Vec<_> = sink
        .list(ListOptions::default())
        .try_collect()
        .await
        .unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| match row {
            Listed::Object(meta) => (meta.key.as_str(), true),
            Listed::Other {
                path,
                kind: OtherKind::Unaddressable,
            } => (path.as_str(), false),
            other @ Listed::Other { .. } => panic!("{other:?}"),
        })
        .collect();
    let wanted = [
        ("c\\d", false),
        ("dir//b", false),
        ("dir/a", true),
        ("full/", false),
        ("line\nbreak\u{1}", false),
    ];
    assert_eq!(rows, wanted);
}

/// Lost if it fails: a delete that the store refuses as a whole, or that says it is done when a key
/// is left.
#[tokio::test]
async fn deletes_a_thousand_with_a_request() {
    let server = server_with(|options| options.undeletable = Some("stuck".to_owned()));
    let sink = sink(&server, "p");
    let keys: Vec<_> = (0..2500).map(|n| key(&format!("a/{n:04}"))).collect();
    for key in &keys {
        server.put(BUCKET, &format!("p/{key}"), "x");
    }
    sink.delete(&keys).await.unwrap();
    assert_eq!(server.count(Verb::DeleteObjects), 3);
    assert_eq!(server.keys(BUCKET), [""; 0]);
    server.put(BUCKET, "p/b/stuck", "x");
    let error = sink
        .delete(&[key("b/one"), key("b/stuck")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(
        error.to_string().contains("`b/stuck`") && error.to_string().contains("s3:DeleteObject"),
        "{error}"
    );
}

/// Lost if it fails: a copy of a large object that never comes about, or comes without its end.
#[tokio::test]
async fn copies_large_objects_in_parts() {
    let server = server_with(|options| {
        options.copy_limit_bytes = 300_000;
        options.buckets.push("other".to_owned());
    });
    let here = sink(&server, "p");
    let mut config = config(&server, "q");
    config.bucket = "other".to_owned();
    let there = S3Sink::new(config).unwrap();
    for len in [0, 299_999, 300_000, 300_001, 1_000_000] {
        let bytes = pattern(len, 5);
        put(&here, "größe/a+b%2F", &bytes).await.unwrap();
        let from = here.address(&key("größe/a+b%2F"));
        let meta = there.copy_from(&from, &key("copy")).await.unwrap();
        assert_eq!(meta.size, len as u64);
        assert!(
            server.object("other", "q/copy").unwrap() == bytes,
            "a copy of {len} bytes differs"
        );
    }
    assert!(server.count(Verb::UploadPartCopy) >= 6);
    assert_eq!(
        server.count(Verb::GetObject),
        0,
        "bytes passed through here"
    );
    assert_eq!(server.uploads("other"), []);
}

/// Lost if it fails: the only copy of what a restore replaced.
#[tokio::test]
async fn sets_aside_beside_the_prefix() {
    use arc_backup_core::AsideMode::{Keep, Move};
    let server = server();
    let here = sink(&server, "p/q");
    let large = pattern(450_000, 1);
    put(&here, "a", &large).await.unwrap();
    for _ in 0..2 {
        here.aside()
            .unwrap()
            .set_aside(&key("a"), &id("op-1"), Keep)
            .await
            .unwrap();
    }
    put(&here, "a", &pattern(10, 2)).await.unwrap();
    here.aside()
        .unwrap()
        .set_aside(&key("a"), &id("op-1"), Move)
        .await
        .unwrap();
    here.aside()
        .unwrap()
        .set_aside(&key("a"), &id("op-1"), Move)
        .await
        .unwrap();
    let kept = ["p/q.before-restore/op-1/a", "p/q.before-restore/op-1/a.1"];
    assert_eq!(server.keys(BUCKET), kept);
    assert!(server.object(BUCKET, kept[0]).unwrap() == large);
    assert_eq!(
        here.aside().unwrap().location(&id("op-1")),
        "s3://test/p/q.before-restore/op-1/"
    );
    put(&here, "b", &pattern(10, 2)).await.unwrap();
    here.aside()
        .unwrap()
        .set_aside(&key("b"), &id("op-10"), Keep)
        .await
        .unwrap();
    here.aside()
        .unwrap()
        .remove(&id("op-1"), &Activity::default())
        .await
        .unwrap();
    assert_eq!(server.keys(BUCKET), ["p/q.before-restore/op-10/b", "p/q/b"]);
    assert!(
        sink(&server, "").aside().is_none(),
        "a whole bucket has nothing beside it"
    );
}

/// Lost if it fails: what was written to a key while its former bytes were set aside.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_it_is_set_aside_is_kept() {
    let server = server();
    let here = sink(&server, "p");
    put(&here, "a", &pattern(10, 1)).await.unwrap();
    let delay = Fault::Delay(std::time::Duration::from_millis(200));
    server.fault(Rule::new(delay).verb(Verb::DeleteObject));
    let moving = {
        let here = here.clone();
        let mode = arc_backup_core::AsideMode::Move;
        tokio::spawn(async move {
            here.aside()
                .unwrap()
                .set_aside(&key("a"), &id("op"), mode)
                .await
        })
    };
    while server.count(Verb::DeleteObject) == 0 {
        tokio::task::yield_now().await;
    }
    server.put(BUCKET, "p/a", pattern(10, 2));
    moving.await.unwrap().unwrap();
    assert_eq!(
        server.keys(BUCKET),
        ["p.before-restore/op/a", "p.before-restore/op/a.1"]
    );
    let kept = |name| server.object(BUCKET, name).unwrap();
    assert!(kept("p.before-restore/op/a") == pattern(10, 1));
    assert!(kept("p.before-restore/op/a.1") == pattern(10, 2));
}
