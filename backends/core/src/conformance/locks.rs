//! Locks.

use super::calls::key;
use crate::{LockOutcome, Sink};

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
        "lock_holder reports an old text"
    );
    drop(guard);
    let again = take("fourth").await;
    assert!(
        matches!(again, LockOutcome::Held(_)),
        "a dropped lock is busy"
    );
}
