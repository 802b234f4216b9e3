//! Listings are complete and in byte order of keys.

use futures::StreamExt;

use super::calls::{children, key, list, list_all, put_all, read};
use crate::{Child, ListOptions, Sink};

pub(super) async fn carries_odd_keys(sink: &dyn Sink) {
    let mut keys: Vec<String> = [
        "a b/c d.parquet",
        "größe/ü-日本.parquet",
        "a..b/..c/d..",
        ".hidden/.x",
        "percent%20/100%/+&=?#",
        "quote'\"/<tag>",
        "year=2026/host=a:b@c",
        "~tilde/$dollar;semi,comma!(x)[y]{z}|*",
    ]
    .map(str::to_owned)
    .to_vec();
    // Near the longest key, in segments that any file system takes.
    keys.push(format!("{0}/{0}/{0}/{0}/end", "k".repeat(200)));
    put_all(sink, &keys).await;
    keys.sort();
    assert_eq!(
        list_all(sink).await,
        keys,
        "an odd key is not listed as it was written"
    );
    for at in &keys {
        assert_eq!(
            read(sink, at).await,
            at.as_bytes(),
            "`{at}` has the bytes of another"
        );
        let (folder, _) = at.rsplit_once('/').expect("each is in a folder");
        let within = ListOptions::within(&key(folder));
        assert_eq!(
            list(sink, within).await,
            [at.as_str()],
            "`{folder}` lists something else"
        );
    }
    let keys: Vec<_> = keys.iter().map(|at| key(at)).collect();
    sink.delete(&keys)
        .await
        .expect("a delete of odd keys succeeds");
    assert_eq!(list_all(sink).await, [""; 0], "an odd key can't be deleted");
}

/// Keys in byte order, which is not the order that a walk by names gives.
const ORDERED: [&str; 11] = [
    "A", "a b", "a!", "a-b", "a.b", "a/b", "a/b-c/x", "a/b.c", "a/c/d", "a0", "ä",
];

async fn put_ordered(sink: &dyn Sink) -> Vec<&'static str> {
    // `a/b` is an object, so that nothing can be below it; in another order than that of the keys.
    let shuffled: Vec<_> = ORDERED.iter().rev().map(|&at| at.to_owned()).collect();
    put_all(sink, &shuffled).await;
    let mut keys = ORDERED.to_vec();
    keys.sort_unstable();
    keys
}

pub(super) async fn lists_in_byte_order(sink: &dyn Sink) {
    let keys = put_ordered(sink).await;
    assert_eq!(
        list_all(sink).await,
        keys,
        "list is not in byte order of keys"
    );
}

pub(super) async fn limits_a_listing(sink: &dyn Sink) {
    let keys = put_ordered(sink).await;
    for prefix in [
        "", "a", "a/", "a/b", "a/b-", "a/b-c/", "a0", "b", "a//", "/", "../", "a/b/",
    ] {
        let wanted: Vec<_> = keys
            .iter()
            .copied()
            .filter(|at| at.starts_with(prefix))
            .collect();
        let options = || ListOptions {
            prefix: prefix.to_owned(),
            ..ListOptions::default()
        };
        assert_eq!(
            list(sink, options()).await,
            wanted,
            "the prefix `{prefix}` is not kept to"
        );
        for after in keys
            .iter()
            .copied()
            .chain(["", "a", "a/", "a/b-c", "a/zzz", "zzz"])
        {
            let wanted: Vec<_> = wanted.iter().copied().filter(|&at| at > after).collect();
            let options = ListOptions {
                start_after: Some(after.to_owned()),
                ..options()
            };
            let got = list(sink, options).await;
            assert_eq!(
                got, wanted,
                "start_after `{after}` in `{prefix}` is not kept to"
            );
        }
    }
    for (skip, gone) in [
        (&["a"][..], &["a/b", "a/b-c/x", "a/b.c", "a/c/d"][..]),
        (&["a/b"], &["a/b"]),
        (&["a/b-c", "a/c/d", "A"], &["a/b-c/x", "a/c/d", "A"]),
        (&["a/c/d/e", "absent", "a/b-"], &[]),
    ] {
        let wanted: Vec<_> = keys
            .iter()
            .copied()
            .filter(|at| !gone.contains(at))
            .collect();
        let options = ListOptions {
            skip: skip.iter().map(|&at| at.to_owned()).collect(),
            ..ListOptions::default()
        };
        assert_eq!(
            list(sink, options).await,
            wanted,
            "skip of {skip:?} is not kept to"
        );
    }
    let options = ListOptions {
        prefix: "a/".to_owned(),
        skip: vec!["a".to_owned()],
        ..ListOptions::default()
    };
    let got = list(sink, options).await;
    assert_eq!(
        got, [""; 0],
        "a listing within a skipped folder is not empty"
    );
}

fn many() -> Vec<String> {
    (0..2500)
        .map(|n| format!("db/m{}/{n:05}.parquet", n % 3))
        .collect()
}

pub(super) async fn lists_many(sink: &dyn Sink) {
    let mut keys = many();
    put_all(sink, &keys).await;
    keys.sort();
    assert!(
        list_all(sink).await == keys,
        "a listing of {} keys is not complete",
        keys.len()
    );
    let page = ListOptions {
        prefix: "db/".to_owned(),
        start_after: Some(keys[1234].clone()),
        ..ListOptions::default()
    };
    assert!(
        list(sink, page).await == keys[1235..],
        "a listing from the middle is not complete"
    );
    let mut begun = sink.list(ListOptions::default());
    assert!(
        begun.next().await.is_some_and(|row| row.is_ok()),
        "a listing has no first row"
    );
    drop(begun);
    assert_eq!(
        children(sink, Some("db")).await.len(),
        3,
        "list_children walks below"
    );
    sink.delete(&keys.iter().map(|at| key(at)).collect::<Vec<_>>())
        .await
        .unwrap_or_else(|error| panic!("delete of {} keys fails: {error}", keys.len()));
    assert_eq!(
        list_all(sink).await,
        [""; 0],
        "delete of many keys leaves some"
    );
    assert_eq!(
        children(sink, None).await,
        [],
        "a folder stays when its last object is deleted"
    );
}

pub(super) async fn lists_one_level(sink: &dyn Sink) {
    put_ordered(sink).await;
    let object = |name: &str| Child::Object(name.to_owned());
    let folder = |name: &str| Child::Folder(name.to_owned());
    let mut root = ["A", "a b", "a!", "a-b", "a.b", "a0", "ä"]
        .map(object)
        .to_vec();
    root.push(folder("a"));
    root.sort_by(|a, b| a.name().cmp(b.name()));
    assert_eq!(
        children(sink, None).await,
        root,
        "list_children of the root is wrong"
    );
    let below = [object("b"), folder("b-c"), object("b.c"), folder("c")];
    assert_eq!(
        children(sink, Some("a")).await,
        below,
        "list_children of a folder is wrong"
    );
    assert_eq!(
        children(sink, Some("absent")).await,
        [],
        "an absent folder has children"
    );
}
