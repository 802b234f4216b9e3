//! Locks: at most one holder, named by its text; a holder that lost its lease learns of it.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use arc_backup_azure::{AzureConfig, AzureSink};
use arc_backup_core::{ErrorKind, LockGuard, LockOutcome, Sink};
use arc_backup_test_azurite::Fault;
use bytes::Bytes;
use hyper::Method;
use support::*;

const AT: &str = ".arc-backup/lock";

async fn take(sink: &AzureSink, holder: &str) -> Box<dyn LockGuard> {
    match sink.lock(&key(AT), holder).await.unwrap() {
        LockOutcome::Held(guard) => guard,
        LockOutcome::Busy(other) => panic!("a free lock is held by {other:?}"),
    }
}

async fn busy(sink: &AzureSink) -> String {
    match sink.lock(&key(AT), "late").await.unwrap() {
        LockOutcome::Busy(other) => other,
        LockOutcome::Held(_) => panic!("two hold one lock"),
    }
}

/// Ends a lease behind its holder's back.
async fn break_lease(place: &Place) {
    let path = format!("{}/{AT}", place.container);
    let headers = [
        ("x-ms-lease-action", "break"),
        ("x-ms-lease-break-period", "0"),
    ];
    let query = [("comp", "lease")];
    let answer = place
        .azurite
        .request(Method::PUT, &path, &query, &headers, Bytes::new())
        .await;
    assert_eq!(answer.status, 202, "{answer:?}");
}

/// Two processes must never both write a backup to one place.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_holder_is_told_who_is_first() {
    let place = Place::new().await;
    // Each as a process of its own has it.
    let (first, second) = (place.sink(), place.sink());
    assert_eq!(second.lock_holder(&key(AT)).await.unwrap(), None);
    let text = "backup on größe, process 7\nsecond line";
    let guard = take(&first, text).await;
    assert_eq!(busy(&second).await, text);
    assert_eq!(
        second.lock_holder(&key(AT)).await.unwrap().as_deref(),
        Some(text)
    );
    guard.check().await.unwrap();
    guard.release().await.unwrap();
    assert_eq!(second.lock_holder(&key(AT)).await.unwrap(), None);
    take(&second, "second").await.release().await.unwrap();
}

/// A renewal that waits behind data comes too late: the lease runs out under an operation that is
/// well.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_waits_for_no_data() {
    let place = Place::new().await;
    let sink = AzureSink::new(AzureConfig {
        requests: 1,
        ..place.config()
    })
    .unwrap();
    place.proxy.always("PUT block", Fault::Hang);
    let writing = tokio::spawn({
        let sink = sink.clone();
        async move { put(&sink, "a", &pattern(3 * PART)).await }
    });
    while place.proxy.count("PUT block") == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let soon = async {
        let guard = take(&sink, "holder").await;
        guard.check().await.unwrap();
        guard.release().await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(3), soon)
        .await
        .expect("it has a way of its own");
    writing.abort();
}

/// Many at once: one gets it.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_gets_it() {
    let place = Place::new().await;
    for round in 0..5 {
        let takers = (0..8).map(|n| {
            let sink = place.sink();
            async move { sink.lock(&key(AT), &n.to_string()).await.unwrap() }
        });
        let outcomes = futures::future::join_all(takers).await;
        let held = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, LockOutcome::Held(_)));
        assert_eq!(held.count(), 1, "round {round}: {outcomes:?}");
        for outcome in outcomes {
            if let LockOutcome::Held(guard) = outcome {
                guard.release().await.unwrap();
            }
        }
    }
}

/// Whoever lost the lock must not publish: its check has to fail, whatever its memory says.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lock_is_noticed() {
    let place = Place::new().await;
    let sink = place.sink();
    // Broken, and taken by another.
    let guard = take(&sink, "first").await;
    break_lease(&place).await;
    let other = take(&place.sink(), "second").await;
    let error = guard.check().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.subject()),
        (ErrorKind::Busy, AT),
        "{error}"
    );
    guard.release().await.unwrap();
    assert_eq!(
        sink.lock_holder(&key(AT)).await.unwrap().as_deref(),
        Some("second")
    );
    other.check().await.unwrap();
    // Removed altogether.
    break_lease(&place).await;
    sink.delete(&[key(AT)]).await.unwrap();
    assert_eq!(other.check().await.unwrap_err().kind(), ErrorKind::Busy);
    drop(other);
    take(&sink, "third").await.release().await.unwrap();
}

/// A blob that is locked must not be overwritten or deleted past its holder.
#[tokio::test(flavor = "multi_thread")]
async fn others_cannot_touch_the_lock() {
    let place = Place::new().await;
    let sink = place.sink();
    let guard = take(&sink, "first").await;
    assert_eq!(
        put(&sink, AT, b"x").await.unwrap_err().kind(),
        ErrorKind::Busy
    );
    assert_eq!(
        sink.delete(&[key(AT)]).await.unwrap_err().kind(),
        ErrorKind::Busy
    );
    guard.check().await.unwrap();
    guard.release().await.unwrap();
}

/// Faults on the way must neither give a lock to two nor leave it taken.
#[tokio::test(flavor = "multi_thread")]
async fn faults_do_not_confuse_a_lock() {
    let place = Place::new().await;
    for fault in [
        Fault::CloseAfter,
        Fault::AnswerAfter(500, "InternalError"),
        Fault::Answer(503, "ServerBusy"),
        Fault::Close,
    ] {
        let sink = place.sink();
        for verb in ["PUT lease", "PUT", "DELETE", "GET"] {
            place.proxy.once(verb, fault.clone());
        }
        let guard = take(&sink, "first").await;
        assert_eq!(busy(&place.sink()).await, "first", "{fault:?}");
        place.proxy.once("PUT lease", fault.clone());
        guard.check().await.unwrap();
        guard.release().await.unwrap();
        assert_eq!(sink.lock_holder(&key(AT)).await.unwrap(), None, "{fault:?}");
        place.proxy.heal();
    }
}

/// Credentials that may not delete must still give a lock back.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_given_back_without_the_right_to_delete() {
    let place = Place::new().await;
    let sink = place.sink();
    place.proxy.always(
        "DELETE",
        Fault::Answer(403, "AuthorizationPermissionMismatch"),
    );
    for holder in ["first", "second"] {
        let guard = take(&sink, holder).await;
        assert_eq!(
            sink.lock_holder(&key(AT)).await.unwrap().as_deref(),
            Some(holder)
        );
        guard.release().await.unwrap();
        assert_eq!(sink.lock_holder(&key(AT)).await.unwrap(), None);
    }
}

/// The lock of a process that died must become free by itself, and that of one that lives must not,
/// however long it takes.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_lock_of_the_dead_runs_out() {
    let place = Place::new().await;
    let sink = AzureSink::new(AzureConfig {
        // The shortest that Azure gives.
        lock_lease: Duration::from_secs(15),
        lock_renewal: Duration::from_secs(4),
        ..place.config()
    })
    .unwrap();
    let living = take(&sink, "living").await;
    let dead = match sink.lock(&key("other"), "dead").await.unwrap() {
        LockOutcome::Held(guard) => guard,
        LockOutcome::Busy(other) => panic!("{other}"),
    };
    let started = place.proxy.count("PUT lease");
    // As a kill leaves it: neither renewed nor given back.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(40);
    place.proxy.rule(|request| {
        (request.query.contains("comp=lease") && request.path.ends_with("/other"))
            .then_some(Fault::Close)
    });
    std::mem::forget(dead);
    let other = AzureSink::new(AzureConfig {
        connection_string: Some(place.azurite.connection_string()),
        ..place.config()
    })
    .unwrap();
    let taken = loop {
        match other.lock(&key("other"), "next").await.unwrap() {
            LockOutcome::Held(guard) => break guard,
            LockOutcome::Busy(holder) => assert_eq!(holder, "dead"),
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "the lease never ends"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert!(
        place.proxy.count("PUT lease") > started,
        "nothing was renewed in between"
    );
    taken.release().await.unwrap();
    assert_eq!(busy(&other).await, "living");
    living.check().await.unwrap();
}
