//! Locks and durability, and what a sink declares in its capabilities.

use std::time::{Duration, SystemTime};

use super::{children, expect_absent, head, key, list_all, put, put_all, put_with, read};
use crate::{Activity, AsideMode, Child, Discard, ErrorKind, LockOutcome, Sink, WriteOptions};

pub(super) async fn keeps_attributes(sink: &dyn Sink) {
    if !sink.capabilities().attributes {
        return;
    }
    let modified = SystemTime::UNIX_EPOCH + Duration::new(1_600_000_000, 123_456_789);
    let options = WriteOptions {
        modified: Some(modified),
        mode: Some(0o640),
        ..WriteOptions::default()
    };
    let meta = put_with(sink, "a", b"x", options).await;
    assert_eq!(
        meta.modified,
        Some(modified),
        "the modification time is not kept"
    );
    assert_eq!(meta.mode, Some(0o640), "the mode is not kept");
    assert_eq!(
        head(sink, "a").await,
        Some(meta),
        "head has other attributes than commit"
    );
    let meta = put(sink, "b", b"x").await;
    let private = matches!(meta.mode, None | Some(0o600));
    assert!(
        private,
        "an object without a mode is not private: {:?}",
        meta.mode
    );
}

pub(super) async fn stages(sink: &dyn Sink) {
    if !sink.capabilities().staging {
        return;
    }
    let staged = || WriteOptions {
        stage: Some("op-1".to_owned()),
        ..WriteOptions::default()
    };
    put_with(sink, "a/b", b"new", staged()).await;
    expect_absent(sink, "a/b", "while it is staged").await;
    assert_eq!(
        children(sink, Some("a")).await,
        [],
        "list_children shows what is staged"
    );
    sink.promote(&key("a/b"), "op-1")
        .await
        .expect("promote succeeds");
    assert_eq!(
        read(sink, "a/b").await,
        b"new",
        "what was promoted has other bytes"
    );
    let again = sink
        .promote(&key("a/b"), "op-1")
        .await
        .expect_err("nothing is staged any more");
    assert_eq!(
        again.kind(),
        ErrorKind::NotFound,
        "promote of nothing says: {again}"
    );

    put_with(sink, "a/b", b"first try", staged()).await;
    put_with(sink, "a/b", b"newer", staged()).await;
    assert_eq!(
        read(sink, "a/b").await,
        b"new",
        "staging changes what is there"
    );
    let other = sink.promote(&key("a/b"), "op-2").await;
    assert!(other.is_err(), "promote takes what another stage holds");
    sink.promote(&key("a/b"), "op-1")
        .await
        .expect("promote over an object succeeds");
    assert_eq!(
        read(sink, "a/b").await,
        b"newer",
        "it is not the last staged that is promoted"
    );

    put_with(sink, "a/c", b"x", staged()).await;
    let found = sink.staged(&key("a/c"), "op-1").await;
    if let Some(object) = found.expect("what is staged can be looked for") {
        let bytes = object.body.collect(1 << 20, &key("a/c")).await;
        assert_eq!(
            bytes.expect("it can be read"),
            b"x",
            "other bytes are staged"
        );
    }
    for (name, stage) in [("a/c", "op-2"), ("a/b", "op-1")] {
        let found = sink.staged(&key(name), stage).await;
        let found = found.expect("nothing is no error");
        assert!(found.is_none(), "{name} is staged in {stage}");
    }
    sink.discard_staged(&key("a/c"), "op-1")
        .await
        .expect("discard_staged succeeds");
    sink.discard_staged(&key("a/c"), "op-1")
        .await
        .expect("discarding again is harmless");
    assert!(
        sink.promote(&key("a/c"), "op-1").await.is_err(),
        "what was discarded is promoted"
    );
    put_with(sink, "d/e", b"x", staged()).await;
    put_with(sink, "f", b"x", staged()).await;
    let discard = async |folder: Option<&crate::Key>, discard| {
        let discarded = sink.discard_unfinished(folder, discard).await;
        let whole = discarded.and_then(crate::Discarded::whole);
        whole.expect("it can be discarded")
    };
    let d = key("d");
    for (folder, what, count) in [
        (None, Discard::Count, 2),
        (Some(&d), Discard::Count, 1),
        (Some(&d), Discard::Remove, 1),
        (None, Discard::Remove, 1),
        (None, Discard::Count, 0),
    ] {
        let found = discard(folder, what).await;
        assert_eq!(
            found, count,
            "discard_unfinished({folder:?}, {what:?}) counts wrong"
        );
    }
    assert_eq!(
        list_all(sink).await,
        ["a/b"],
        "staging leaves something behind"
    );
}

pub(super) async fn sets_aside(sink: &dyn Sink) {
    if !sink.capabilities().aside {
        return;
    }
    put_all(sink, &["a/keep", "a/move", "b/move"].map(str::to_owned)).await;
    assert!(
        sink.aside_location("op-1").is_some(),
        "nobody is told where things are set aside"
    );
    for _ in 0..2 {
        let prepared = sink.prepare_aside("op-1", 100).await;
        prepared.unwrap_or_else(|error| panic!("prepare_aside fails: {error}"));
    }
    assert_eq!(list_all(sink).await.len(), 3, "what was prepared shows");
    for _ in 0..2 {
        let kept = sink
            .set_aside(&key("a/keep"), "op-1", AsideMode::Keep)
            .await;
        kept.unwrap_or_else(|error| panic!("set_aside (keep) fails: {error}"));
    }
    for at in ["a/move", "b/move"] {
        let moved = sink.set_aside(&key(at), "op-1", AsideMode::Move).await;
        moved.unwrap_or_else(|error| panic!("set_aside (move) fails: {error}"));
    }
    assert_eq!(
        list_all(sink).await,
        ["a/keep"],
        "set_aside keeps or moves the wrong objects"
    );
    let listed = sink.list_aside().await.expect("list_aside succeeds");
    let listed = listed.iter().find(|found| found.area == "op-1");
    assert_eq!(
        listed.map(|found| (found.files, found.bytes)),
        Some((3, 18)),
        "list_aside reports something else than was set aside"
    );
    let names = children(sink, None).await;
    assert_eq!(
        names,
        [Child::Folder("a".to_owned())],
        "what is set aside shows in the sink"
    );
    let error = sink
        .set_aside(&key("absent"), "op-1", AsideMode::Keep)
        .await;
    let kind = error.err().map(|error| error.kind());
    assert_eq!(
        kind,
        Some(ErrorKind::NotFound),
        "set_aside of what is absent is not NotFound"
    );
    // The same key once more, with other bytes: the first stays, so this must not fail nor replace it.
    put(sink, "a/move", b"other bytes").await;
    sink.set_aside(&key("a/move"), "op-1", AsideMode::Move)
        .await
        .expect("a second version goes");
    sink.remove_aside("op-1", &Activity::default())
        .await
        .expect("remove_aside succeeds");
    sink.remove_aside("op-1", &Activity::default())
        .await
        .expect("remove_aside again is harmless");
    let listed = sink.list_aside().await.expect("list_aside succeeds");
    assert!(
        listed.iter().all(|found| found.area != "op-1"),
        "list_aside reports what was removed"
    );
    assert_eq!(
        list_all(sink).await,
        ["a/keep"],
        "remove_aside removes what is in the sink"
    );
    assert_eq!(
        read(sink, "a/keep").await,
        b"a/keep",
        "remove_aside harms what was kept in place"
    );
}

pub(super) async fn locks(sink: &dyn Sink) {
    let at = key(".arc-backup/lock");
    let take = |holder: &'static str| {
        let at = at.clone();
        async move {
            let outcome = sink.lock(&at, holder).await;
            outcome.unwrap_or_else(|error| panic!("lock fails: {error}"))
        }
    };
    let holder = || async {
        let holder = sink.lock_holder(&at).await;
        holder.unwrap_or_else(|error| panic!("lock_holder fails: {error}"))
    };
    let LockOutcome::Held(guard) = take("the first of two holders").await else {
        panic!("a free lock is busy");
    };
    guard.check().await.expect("a lock that is held is held");
    match take("second").await {
        LockOutcome::Busy(holder) => {
            assert_eq!(
                holder, "the first of two holders",
                "a busy lock names another holder"
            );
        }
        LockOutcome::Held(_) => panic!("two hold one lock"),
    }
    let named = holder().await;
    assert_eq!(
        named.as_deref(),
        Some("the first of two holders"),
        "lock_holder names another"
    );
    let other = sink
        .lock(&key(".arc-backup/other"), "x")
        .await
        .expect("another lock is free");
    assert!(
        matches!(other, LockOutcome::Held(_)),
        "one lock holds up another"
    );
    guard
        .check()
        .await
        .expect("a lock stays held when others try to take it");
    guard.release().await.expect("release succeeds");
    assert_eq!(holder().await, None, "a released lock has a holder");

    let LockOutcome::Held(guard) = take("third").await else {
        panic!("a released lock is busy");
    };
    assert_eq!(
        holder().await.as_deref(),
        Some("third"),
        "lock_holder tells an old text"
    );
    drop(guard);
    let again = take("fourth").await;
    assert!(
        matches!(again, LockOutcome::Held(_)),
        "a dropped lock is busy"
    );
}

pub(super) async fn is_durable(sink: &dyn Sink) {
    let mark = sink
        .durability()
        .await
        .expect("a mark can be opened on an empty sink");
    let durable = WriteOptions {
        durable: true,
        ..WriteOptions::default()
    };
    put_with(sink, "a/b", b"x", durable).await;
    put(sink, "a/c", b"x").await;
    mark.sync()
        .await
        .expect("what was committed can be made durable");
    mark.sync().await.expect("a mark can be used again");
    assert_eq!(
        read(sink, "a/b").await,
        b"x",
        "a durable commit has other bytes"
    );
    sink.free_space()
        .await
        .expect("the free space can be asked for");
}

pub(super) async fn copies_within_the_store(sink: &dyn Sink) {
    if !sink.capabilities().server_copy {
        let none = sink.address(&key("a"));
        assert_eq!(none, None, "an address that nothing can be copied from");
        return;
    }
    let odd = "a/größe b+c%20/x";
    put(sink, odd, b"the bytes").await;
    let from = |at: &str| {
        let address = sink.address(&key(at));
        address.unwrap_or_else(|| panic!("`{at}` has no address"))
    };
    for to in ["b/copy", "b/copy", "b/größe d+e%20"] {
        let copied = sink.copy_from(&from(odd), &key(to)).await;
        let meta = copied.unwrap_or_else(|error| panic!("copy_from fails: {error}"));
        assert_eq!(
            (&*meta.key, meta.size),
            (to, 9),
            "copy_from returns wrong facts"
        );
        assert_eq!(read(sink, to).await, b"the bytes", "a copy differs");
    }
    put(sink, odd, b"other").await;
    sink.copy_from(&from(odd), &key("b/copy"))
        .await
        .expect("a copy over an object succeeds");
    assert_eq!(
        read(sink, "b/copy").await,
        b"other",
        "a copy does not replace"
    );
    let error = sink.copy_from(&from("absent"), &key("b/none")).await;
    let kind = error.err().map(|error| error.kind());
    assert_eq!(
        kind,
        Some(ErrorKind::NotFound),
        "a copy of what is absent is not NotFound"
    );
    assert_eq!(head(sink, "b/none").await, None, "a failed copy shows");
}
