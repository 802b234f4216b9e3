//! Locks between sinks in one bucket.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

mod support;

use std::time::{Duration, Instant};

use arc_backup_core::{ErrorKind, ExpiringLocks, LockGuard, LockOutcome, Sink};
use arc_backup_s3::S3Sink;
use arc_backup_test_s3::{Fault, Rule, S3Server, Verb, When};
use support::{BUCKET, config, key, server};

const AT: &str = ".arc-backup/lock";
const STORED: &str = "p/.arc-backup/lock";

fn sink_with(server: &S3Server, renewal: u64, expiry: u64) -> S3Sink {
    let mut config = config(server, "p");
    config.lock_renewal = Duration::from_millis(renewal);
    config.lock_expiry = Duration::from_millis(expiry);
    S3Sink::new(config).unwrap()
}

async fn try_lock(sink: &S3Sink, holder: &str) -> Result<Box<dyn LockGuard>, String> {
    match sink.lock(&key(AT), holder).await.unwrap() {
        LockOutcome::Held(guard) => Ok(guard),
        LockOutcome::Busy(other) => Err(other),
    }
}

async fn held(sink: &S3Sink, holder: &str) -> Box<dyn LockGuard> {
    try_lock(sink, holder)
        .await
        .unwrap_or_else(|other| panic!("busy: {other}"))
}

async fn is_lost(guard: &dyn LockGuard) -> bool {
    guard.check().await.err().map(|error| error.kind()) == Some(ErrorKind::Busy)
}

/// Waits as one who wants the lock does.
async fn wait_for(sink: &S3Sink, holder: &str) -> Box<dyn LockGuard> {
    let begun = Instant::now();
    loop {
        match try_lock(sink, holder).await {
            Ok(guard) => return guard,
            Err(other) => assert!(begun.elapsed() < Duration::from_secs(30), "still {other}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Lost if it fails: two backups that write one repository at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_live_holder_keeps_its_lock() {
    let server = server();
    let (one, two) = (sink_with(&server, 20, 200), sink_with(&server, 20, 200));
    let guard = held(&one, "one").await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(800) {
        assert_eq!(try_lock(&two, "two").await.err().as_deref(), Some("one"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    guard.check().await.unwrap();
    assert_eq!(
        two.lock_holder(&key(AT)).await.unwrap().as_deref(),
        Some("one")
    );
    guard.release().await.unwrap();
    assert_eq!(two.lock_holder(&key(AT)).await.unwrap(), None);
    held(&two, "two").await.release().await.unwrap();
    assert_eq!(server.keys(BUCKET), [""; 0]);
}

/// Lost if it fails: a repository that stays locked for ever after a crash; a holder that was
/// stopped and goes on writing; and a lock that its former holder takes from the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_holder_loses_its_lock_and_knows_it() {
    let server = server();
    // One that is stopped does not renew.
    let (one, two) = (
        sink_with(&server, 1_000_000, 200),
        sink_with(&server, 20, 200),
    );
    let guard = held(&one, "one").await;
    assert_eq!(try_lock(&two, "two").await.err().as_deref(), Some("one"));
    let second = wait_for(&two, "two").await;
    assert!(is_lost(&*guard).await);
    assert!(is_lost(&*guard).await);
    second.check().await.unwrap();
    guard.release().await.unwrap();
    second.check().await.unwrap();
    assert_eq!(
        one.lock_holder(&key(AT)).await.unwrap().as_deref(),
        Some("two")
    );
    let again = held_after_release(&one, second).await;
    drop(again);
    wait_for(&two, "two").await.check().await.unwrap();
}

async fn held_after_release(sink: &S3Sink, guard: Box<dyn LockGuard>) -> Box<dyn LockGuard> {
    guard.release().await.unwrap();
    held(sink, "three").await
}

/// Lost if it fails: a manifest, published under a lock that an operator has removed.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_lock_is_lost() {
    let server = server();
    let sink = sink_with(&server, 1_000_000, 200);
    let guard = held(&sink, "one").await;
    server.remove(BUCKET, STORED);
    assert!(is_lost(&*guard).await);
    assert_eq!(server.keys(BUCKET), [""; 0], "a lost lock comes back");
    let second = held(&sink, "two").await;
    assert!(is_lost(&*guard).await);
    drop(guard);
    tokio::time::sleep(Duration::from_millis(100)).await;
    second.check().await.unwrap();
}

/// Lost if it fails: a lock that nobody holds, or that two hold, because an answer was lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_loses_no_lock() {
    for fault in [
        Fault::ErrorAfterSuccess,
        Fault::CloseAfterSuccess,
        Fault::InternalError,
    ] {
        let server = server();
        let sink = sink_with(&server, 1_000_000, 1_000_000);
        server.fault(Rule::new(fault.clone()).when(When::Every(2)));
        let guard = held(&sink, "one").await;
        for _ in 0..5 {
            guard
                .check()
                .await
                .unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        }
        assert_eq!(try_lock(&sink, "two").await.err().as_deref(), Some("one"));
        guard.release().await.unwrap();
        server.heal();
        assert_eq!(server.keys(BUCKET), [""; 0], "{fault:?}");
    }
}

/// Lost if it fails: one of many who want the lock at once, or two of them.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_gets_it() {
    let server = server();
    for _ in 0..10 {
        let sinks: Vec<_> = (0..8)
            .map(|_| sink_with(&server, 1_000_000, 1_000_000))
            .collect();
        let attempts = sinks.iter().map(|sink| try_lock(sink, "x"));
        let won: Vec<_> = futures::future::join_all(attempts)
            .await
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(won.len(), 1);
        for guard in won {
            guard.release().await.unwrap();
        }
    }
}

/// Lost if it fails: a lock on a store that knows no conditional delete, which then keeps it for
/// ever.
#[tokio::test(flavor = "multi_thread")]
async fn releases_without_a_conditional_delete() {
    let server = server();
    let sink = sink_with(&server, 1_000_000, 1_000_000);
    let guard = held(&sink, "one").await;
    server.fault(
        Rule::new(Fault::Answer(501, "NotImplemented", "no"))
            .verb(Verb::DeleteObject)
            .when(When::First(1)),
    );
    guard.release().await.unwrap();
    assert_eq!(server.keys(BUCKET), [""; 0]);
}

/// Lost if it fails: a repository that a crash locks for every command line, each of which looks
/// once and ends.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_later_gets_the_lock_of_a_dead_holder_soon() {
    let server = server();
    let guard = held(&sink_with(&server, 1_000_000, 200), "one").await;
    std::mem::forget(guard);
    let first = sink_with(&server, 20, 200);
    assert_eq!(try_lock(&first, "two").await.err().as_deref(), Some("one"));
    // The expiry and a renewal, and what whole seconds may hide.
    tokio::time::sleep(Duration::from_millis(3300)).await;
    // Under its own eyes it would take an hour.
    let late = sink_with(&server, 300, 3_600_000);
    assert_eq!(
        late.lock_holder(&key(AT)).await.unwrap().as_deref(),
        Some("one")
    );
    let late = sink_with(&server, 300, 700);
    let begun = Instant::now();
    let guard = held(&late, "three").await;
    assert!(
        begun.elapsed() >= Duration::from_millis(600),
        "two renewals"
    );
    assert_eq!(
        try_lock(&first, "two").await.err().as_deref(),
        Some("three")
    );
    guard.release().await.unwrap();
}

/// Lost if it fails: the lock of one that lives, on a store that stamps objects by one clock and
/// answers by another.
#[tokio::test(flavor = "multi_thread")]
async fn stamps_of_two_clocks_cost_no_lock() {
    let server = support::server_with(|options| {
        options.stamps_behind = Duration::from_secs(3600);
    });
    let guard = held(&sink_with(&server, 100, 400), "one").await;
    for _ in 0..5 {
        let late = sink_with(&server, 100, 400);
        assert_eq!(try_lock(&late, "two").await.err().as_deref(), Some("one"));
        let holder = late.lock_holder(&key(AT)).await.unwrap();
        assert_eq!(holder.as_deref(), Some("one"));
    }
    guard.check().await.unwrap();
    guard.release().await.unwrap();
}

/// Lost if it fails: the lock of one that lives, to each newcomer, and two backups that write one
/// repository at once.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_later_finds_a_live_holder() {
    let server = server();
    let guard = held(&sink_with(&server, 200, 400), "one").await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        let late = sink_with(&server, 200, 400);
        assert_eq!(try_lock(&late, "two").await.err().as_deref(), Some("one"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    guard.check().await.unwrap();
    guard.release().await.unwrap();
}

/// Lost if it fails: 92 seconds for each backup behind another whose keys may not delete, as if its
/// process had died; or the lock itself, where what a holder gave back is taken for that of one
/// that lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_may_not_be_deleted_is_given_back() {
    let server = server();
    server.fault(Rule::new(Fault::Deny).verb(Verb::DeleteObject));
    let (one, two) = (
        sink_with(&server, 20, 1_000_000),
        sink_with(&server, 20, 1_000_000),
    );
    for _ in 0..2 {
        let guard = held(&one, "one").await;
        assert_eq!(try_lock(&two, "two").await.err().as_deref(), Some("one"));
        guard.release().await.unwrap();
        assert_eq!(server.keys(BUCKET), [STORED]);
        assert_eq!(two.lock_holder(&key(AT)).await.unwrap(), None);
        // By a drop as well, and with a lost answer.
        let second = held(&two, "two").await;
        assert_eq!(try_lock(&one, "one").await.err().as_deref(), Some("two"));
        assert!(is_lost(&*guard).await);
        second.check().await.unwrap();
        server.fault(
            Rule::new(Fault::CloseAfterSuccess)
                .verb(Verb::PutObject)
                .when(When::First(1)),
        );
        drop(second);
        while one.lock_holder(&key(AT)).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    // One that was freed by somebody who knows its holder dead is no longer its holder's.
    let guard = held(&one, "one").await;
    two.free(&key(AT), "one").await.unwrap();
    assert!(is_lost(&*guard).await);
    assert_eq!(one.lock_holder(&key(AT)).await.unwrap(), None);
    // Who may delete it does.
    server.heal();
    held(&one, "one").await.release().await.unwrap();
    assert_eq!(server.keys(BUCKET), [""; 0]);
}
