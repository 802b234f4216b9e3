//! Locks between sinks on one folder. That they hold between processes is tested with the product.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

mod support;

use std::time::{Duration, Instant};

use arc_backup_core::{ErrorKind, LockGuard, LockOutcome, Sink};
use arc_backup_local::{LocalConfig, LocalSink};
use support::{Place, key};

async fn held(sink: &LocalSink, holder: &str) -> Box<dyn LockGuard> {
    match sink.lock(&key("x/lock"), holder).await.unwrap() {
        LockOutcome::Held(guard) => guard,
        LockOutcome::Busy(other) => panic!("busy: {other}"),
    }
}

/// Lost if it fails: the only thing that keeps a service and a command line from writing one
/// repository at once.
#[tokio::test]
async fn two_sinks_on_one_folder_exclude_each_other() {
    let place = Place::new();
    let other = LocalSink::new(LocalConfig::new(place.path("../root/")));
    let guard = held(&place.sink, "me").await;
    let begun = Instant::now();
    let LockOutcome::Busy(text) = other.lock(&key("x/lock"), "other").await.unwrap() else {
        panic!("both hold it");
    };
    assert_eq!(text, "me");
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "busy is said too late"
    );
    assert_eq!(
        other.lock_holder(&key("x/lock")).await.unwrap().as_deref(),
        Some("me")
    );
    guard.release().await.unwrap();
    assert_eq!(other.lock_holder(&key("x/lock")).await.unwrap(), None);
    let _guard = held(&other, "other").await;
}

/// Lost if it fails: an operation that goes on when its lock, with its folder, was removed under
/// it.
#[tokio::test]
async fn a_lock_that_was_removed_is_lost() {
    let place = Place::new();
    let guard = held(&place.sink, "me").await;
    guard.check().await.unwrap();
    std::fs::remove_dir_all(place.path("x")).unwrap();
    assert_eq!(guard.check().await.unwrap_err().kind(), ErrorKind::Busy);
    let second = held(&place.sink, "second").await;
    assert_eq!(guard.check().await.unwrap_err().kind(), ErrorKind::Busy);
    drop(guard);
    second.check().await.unwrap();
    let holder = place.sink.lock_holder(&key("x/lock")).await.unwrap();
    assert_eq!(holder.as_deref(), Some("second"));
}

/// Lost if it fails: a repository that stays locked after a crash, which leaves the text behind.
#[tokio::test]
async fn a_text_alone_is_no_lock() {
    let place = Place::new();
    place.write("x/lock", "a process that died");
    assert_eq!(place.sink.lock_holder(&key("x/lock")).await.unwrap(), None);
    let _guard = held(&place.sink, "me").await;
    assert_eq!(std::fs::read_to_string(place.path("x/lock")).unwrap(), "me");
}

/// Lost if it fails: a lock that seems taken because somebody asks who holds it.
#[tokio::test(flavor = "multi_thread")]
async fn asking_for_the_holder_does_not_hold() {
    let place = Place::new();
    drop(held(&place.sink, "first").await);
    let asking = place.sink.clone();
    let asker = tokio::spawn(async move {
        for _ in 0..500 {
            let holder = asking.lock_holder(&key("x/lock")).await.unwrap();
            assert!(holder.is_none_or(|text| text.is_empty() || text == "me"));
        }
    });
    for _ in 0..100 {
        held(&place.sink, "me").await.release().await.unwrap();
    }
    asker.await.unwrap();
}
