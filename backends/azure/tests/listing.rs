//! Listings of what others put there, and how much of a container they walk.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use arc_backup_azure::{AzureConfig, AzureSink};
use arc_backup_core::{Child, ListOptions, OtherKind, Sink};
use arc_backup_test_azurite::Lasts;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use hyper::Method;
use support::*;

/// Puts a blob that no sink would.
async fn put_raw(place: &Place, name: &str) {
    let path = format!("{}/{name}", place.container);
    let headers = [("x-ms-blob-type", "BlockBlob")];
    let answer = place
        .azurite
        .request(Method::PUT, &path, &[], &headers, Bytes::from_static(b"x"))
        .await;
    assert_eq!(answer.status, 201, "{name}: {answer:?}");
}

/// Names that are no keys must be listed, not dropped; markers of folders are nothing, unless they
/// have bytes.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_is_named() {
    let place = Place::new().await;
    let sink = place.sink();
    put(&sink, "a/b", b"x").await.unwrap();
    for name in ["a%2F%2Fc", "x%7Fy", "y%2F"] {
        put_raw(&place, name).await;
    }
    // Of no blocks.
    let empty =
        Bytes::from_static(b"<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList></BlockList>");
    for name in ["a%2F", "z%2F"] {
        let path = format!("{}/{name}", place.container);
        let query = [("comp", "blocklist")];
        let answer = place
            .azurite
            .request(Method::PUT, &path, &query, &[], empty.clone())
            .await;
        assert_eq!(answer.status, 201, "{name}: {answer:?}");
    }
    let listed = list(&sink, ListOptions::default()).await.unwrap();
    let other = |path: &str| format!("{}: {path}", OtherKind::Unaddressable.as_str());
    let wanted = [
        other("a//c"),
        "a/b".to_owned(),
        other("x\u{7f}y"),
        other("y/"),
    ];
    assert_eq!(listed, wanted);
    let root = sink.list_children(None).await.unwrap();
    let unaddressable = Child::Other("x\u{7f}y".to_owned(), OtherKind::Unaddressable);
    assert_eq!(
        root,
        [
            Child::Folder("a".to_owned()),
            unaddressable,
            Child::Folder("y".to_owned()),
            Child::Folder("z".to_owned())
        ]
    );
}

/// The order of an inventory: bytes, also where UTF-16, which Azure orders by, has another; and
/// spaces are part of a name.
#[tokio::test(flavor = "multi_thread")]
async fn the_order_is_that_of_bytes() {
    let place = Place::new().await;
    let sink = place.sink();
    let mut names = [
        "a\u{ff5e}",
        "a\u{1f600}",
        "a\u{e000}/x",
        " lead",
        "trail ",
        "b  c",
        "&amp;",
        "\u{a0}x",
        "é",
        "e\u{301}",
    ];
    for at in names {
        put(&sink, at, at.as_bytes()).await.unwrap();
    }
    names.sort_unstable();
    assert_eq!(list(&sink, ListOptions::default()).await.unwrap(), names);
    for at in names {
        assert_eq!(get(&sink, at).await.unwrap(), at.as_bytes(), "{at:?}");
        let after = ListOptions {
            start_after: Some(at.to_owned()),
            ..ListOptions::default()
        };
        let wanted: Vec<_> = names.iter().copied().filter(|name| *name > at).collect();
        assert_eq!(list(&sink, after).await.unwrap(), wanted, "after {at:?}");
    }
}

/// Listing the backups must not walk them, and a prefix must not see what lies beside it.
#[tokio::test(flavor = "multi_thread")]
async fn listing_the_backups_walks_none() {
    let place = Place::new().await;
    let sink = AzureSink::new(AzureConfig {
        prefix: Some("p".to_owned()),
        ..place.config()
    })
    .unwrap();
    let whole = place.sink();
    stream::iter(0..120)
        .for_each_concurrent(16, |n| {
            let (sink, whole) = (sink.clone(), whole.clone());
            async move {
                put(&sink, &format!("backup-{}/data/{n}", n % 3), b"")
                    .await
                    .unwrap();
                put(&whole, &format!("p.before-restore/{n}"), b"")
                    .await
                    .unwrap();
            }
        })
        .await;
    place.proxy.reset_counts();
    let children = sink.list_children(None).await.unwrap();
    let folder = |name: &str| Child::Folder(name.to_owned());
    assert_eq!(
        children,
        [folder("backup-0"), folder("backup-1"), folder("backup-2")]
    );
    assert_eq!(place.proxy.total(), 1, "{:?}", place.proxy.counts());
    assert_eq!(
        list(&sink, ListOptions::default()).await.unwrap().len(),
        120
    );
}

/// A listing goes page by page, and a folder that is skipped leaves what comes behind it: on a
/// store that can begin at a name, and on one that can't.
#[tokio::test(flavor = "multi_thread")]
async fn pages_and_skips_lose_nothing() {
    let place = Place::new().await;
    let sas = || {
        place
            .azurite
            .account_sas("rwdlac", Lasts::For(Duration::from_secs(3600)))
    };
    // Around the skipped folder, in order: `a/b`, `a/b!`, `a/b/…`, `a/b0`.
    let beside = ["a/b", "a/b!", "a/b0", "a/c", "z"].map(str::to_owned);
    let names: Vec<String> = beside
        .into_iter()
        .chain((0..60).map(|n| format!("a/b/{n:03}")))
        .collect();
    for at in &names {
        put(&place.sink(), at, b"").await.unwrap();
    }
    let skip = |folders: &[&str], prefix: &str| ListOptions {
        prefix: prefix.to_owned(),
        skip: folders.iter().map(|&folder| folder.to_owned()).collect(),
        ..ListOptions::default()
    };
    place.proxy.set_page(7);
    for knows in [false, true] {
        if knows {
            place.proxy.know_start_from();
        }
        let sink = place.sas_sink(sas());
        place.proxy.reset_counts();
        let all = list(&sink, ListOptions::default()).await.unwrap();
        assert_eq!(all.len(), names.len());
        assert!(all.is_sorted());
        assert_eq!(place.proxy.count("GET list"), names.len().div_ceil(7));
        place.proxy.reset_counts();
        let skipped = list(&sink, skip(&["a/b"], "")).await.unwrap();
        assert_eq!(skipped, ["a/b!", "a/b0", "a/c", "z"], "knows: {knows}");
        let pages = place.proxy.count("GET list");
        // One try more where it is of no use, and then never again; else what lies in the folder
        // costs a page.
        assert_eq!(pages, if knows { 2 } else { 11 }, "knows: {knows}");
        list(&sink, skip(&["a/b"], "")).await.unwrap();
        assert_eq!(
            place.proxy.count("GET list") - pages,
            if knows { 2 } else { 10 }
        );
        assert_eq!(list(&sink, skip(&["a/b"], "a/b/0")).await.unwrap(), [""; 0]);
        assert_eq!(
            list(&sink, skip(&["a"], "")).await.unwrap(),
            ["z"],
            "knows: {knows}"
        );
        assert_eq!(
            list(&sink, skip(&["a/b", "a/c"], "a/")).await.unwrap(),
            ["a/b!", "a/b0"]
        );
        let after = ListOptions {
            start_after: Some("a/b/031".to_owned()),
            ..ListOptions::default()
        };
        place.proxy.reset_counts();
        assert_eq!(
            list(&sink, after).await.unwrap(),
            all[34..],
            "knows: {knows}"
        );
        assert_eq!(place.proxy.count("GET list"), if knows { 5 } else { 10 });
    }
}
