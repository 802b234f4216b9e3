//! Objects that are set aside.

use super::calls::{children, id, key, list_all, put, put_all, read};
use crate::{Activity, AsideMode, AsideObject, AsideStore, Child, ErrorKind, Sink};

pub(super) async fn sets_aside(sink: &dyn Sink) {
    let Some(aside) = sink.aside() else {
        return;
    };
    let one = id("op-1");
    put_all(sink, &["a/keep", "a/move", "b/move"].map(str::to_owned)).await;
    let location = aside.location(&one);
    assert!(
        location.contains("op-1"),
        "the place of what is set aside does not name the operation: {location}"
    );
    for _ in 0..2 {
        let prepared = aside.prepare(&one, 100).await;
        prepared.unwrap_or_else(|error| panic!("prepare fails: {error}"));
    }
    assert_eq!(list_all(sink).await.len(), 3, "what was prepared shows");
    for _ in 0..2 {
        let kept = aside.set_aside(&key("a/keep"), &one, AsideMode::Keep).await;
        kept.unwrap_or_else(|error| panic!("set_aside (keep) fails: {error}"));
    }
    for at in ["a/move", "b/move"] {
        let moved = aside.set_aside(&key(at), &one, AsideMode::Move).await;
        moved.unwrap_or_else(|error| panic!("set_aside (move) fails: {error}"));
    }
    assert_eq!(
        list_all(sink).await,
        ["a/keep"],
        "set_aside keeps or moves the wrong objects"
    );
    let listed = aside.list().await.expect("list succeeds");
    let listed = listed.iter().find(|found| found.area == "op-1");
    assert_eq!(
        listed.map(|found| (found.files, found.bytes)),
        Some((3, 18)),
        "list reports something else than was set aside"
    );
    let names = children(sink, None).await;
    assert_eq!(
        names,
        [Child::Folder("a".to_owned())],
        "what is set aside shows in the sink"
    );
    let error = aside.set_aside(&key("absent"), &one, AsideMode::Keep).await;
    let kind = error.err().map(|error| error.kind());
    assert_eq!(
        kind,
        Some(ErrorKind::NotFound),
        "set_aside of what is absent is not NotFound"
    );
    // The same key once more, with other bytes: the first stays, so this must not fail nor replace
    // it.
    put(sink, "a/move", b"other bytes").await;
    aside
        .set_aside(&key("a/move"), &one, AsideMode::Move)
        .await
        .expect("a second version goes");
    puts_back(sink, aside).await;
    aside
        .remove(&one, &Activity::default())
        .await
        .expect("remove succeeds");
    aside
        .remove(&one, &Activity::default())
        .await
        .expect("remove again is harmless");
    let listed = aside.list().await.expect("list succeeds");
    assert!(
        listed.iter().all(|found| found.area != "op-1"),
        "list reports what was removed"
    );
    assert_eq!(
        list_all(sink).await,
        ["a/keep"],
        "remove removes what is in the sink"
    );
    assert_eq!(
        read(sink, "a/keep").await,
        b"a/keep",
        "remove harms what was kept in place"
    );
}

/// What is set aside comes back, more than once, in place of what is there.
async fn puts_back(sink: &dyn Sink, aside: &dyn AsideStore) {
    let one = id("op-1");
    let look = async |at: &str| aside.look(&key(at), &one).await.expect("look succeeds");
    assert_eq!(look("absent").await, None, "look finds what is not there");
    let of_six = |is_live| Some(AsideObject { size: 6, is_live });
    assert_eq!(look("a/keep").await, of_six(true), "look at what was kept");
    assert_eq!(
        look("a/move").await,
        of_six(false),
        "look at what was moved"
    );
    put(sink, "a/keep", b"newer!").await;
    assert_eq!(look("a/keep").await, of_six(false), "look at another one");
    for at in ["a/keep", "a/move"] {
        for _ in 0..2 {
            let back = aside.put_back(&key(at), &one).await;
            back.unwrap_or_else(|error| panic!("put_back fails: {error}"));
            assert_eq!(read(sink, at).await, at.as_bytes(), "other bytes came back");
        }
        assert_eq!(look(at).await, of_six(true), "look at what came back");
    }
    sink.delete(&[key("a/move")])
        .await
        .expect("delete succeeds");
    assert_eq!(
        look("a/move").await,
        of_six(false),
        "what came back was moved"
    );
    let error = aside.put_back(&key("absent"), &one).await;
    let kind = error.err().map(|error| error.kind());
    assert_eq!(
        kind,
        Some(ErrorKind::NotFound),
        "put_back of what is not set aside is not NotFound"
    );
}
