//! Removing takes what it is asked to and nothing else.

use super::calls::{children, key, list_all, put, put_all};
use crate::{Activity, Child, Sink};

pub(super) async fn deletes(sink: &dyn Sink) {
    put_all(sink, &["a/b", "a/c", "d/e/f", "g"].map(str::to_owned)).await;
    let keys = ["a/b", "absent", "d/e/f", "a/b/c", "d"].map(key);
    sink.delete(&keys)
        .await
        .unwrap_or_else(|error| panic!("delete with absent keys among others fails: {error}"));
    assert_eq!(
        list_all(sink).await,
        ["a/c", "g"],
        "delete removes too much or too little"
    );
    let left = [Child::Folder("a".to_owned()), Child::Object("g".to_owned())];
    assert_eq!(
        children(sink, None).await,
        left,
        "a folder stays when it is empty"
    );
    sink.delete(&keys)
        .await
        .expect("deleting again is harmless");
    put(sink, "d", b"a file where a folder was").await;
    sink.delete(&[key("a")])
        .await
        .expect("a key that names a folder names no object");
    assert_eq!(
        list_all(sink).await,
        ["a/c", "d", "g"],
        "delete of a key removes a folder"
    );
}

pub(super) async fn removes_a_tree(sink: &dyn Sink) {
    put_all(
        sink,
        &["a/x", "a/b/c/d", "a/b/e", "a-b/x", "ab", "c"].map(str::to_owned),
    )
    .await;
    sink.remove_tree(&key("a/b"), &Activity::default())
        .await
        .expect("remove_tree succeeds");
    assert_eq!(
        list_all(sink).await,
        ["a-b/x", "a/x", "ab", "c"],
        "remove_tree is not exact"
    );
    sink.remove_tree(&key("a"), &Activity::default())
        .await
        .expect("remove_tree succeeds");
    sink.remove_tree(&key("a"), &Activity::default())
        .await
        .expect("remove_tree again is harmless");
    assert_eq!(
        list_all(sink).await,
        ["a-b/x", "ab", "c"],
        "remove_tree is not exact"
    );
    let names: Vec<_> = children(sink, None).await;
    let names: Vec<_> = names.iter().map(Child::name).collect();
    assert_eq!(names, ["a-b", "ab", "c"], "remove_tree leaves the folder");
}
