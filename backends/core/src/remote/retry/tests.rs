use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

fn retrier() -> Retrier {
    Retrier::new(RetryPolicy::default(), 4)
}

fn fault(kind: ErrorKind) -> Error {
    Error::new(kind, "read", "a", "it broke")
}

/// A passing fault must not cost an operation.
#[tokio::test(start_paused = true)]
async fn tries_again_until_it_succeeds() {
    let count = AtomicU32::new(0);
    let done = retrier()
        .call("read", "a", |_| async {
            match count.fetch_add(1, Ordering::Relaxed) {
                0..7 => Err(fault(ErrorKind::Unavailable).retryable()),
                n => Ok(n),
            }
        })
        .await;
    assert_eq!(done.expect("the eighth try succeeds"), 7);
}

/// What can't heal is not tried again, and what does not heal is given up with the number of
/// attempts.
#[tokio::test(start_paused = true)]
async fn gives_up() {
    let count = AtomicU32::new(0);
    let attempt = |error: fn() -> Error| {
        let count = &count;
        move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Err::<(), _>(error()))
        }
    };
    let denied = retrier()
        .call("read", "a", attempt(|| fault(ErrorKind::PermissionDenied)))
        .await;
    assert_eq!(count.swap(0, Ordering::Relaxed), 1);
    assert!(denied.is_err_and(|e| e.kind() == ErrorKind::PermissionDenied));
    let slow = retrier()
        .call(
            "read",
            "a",
            attempt(|| fault(ErrorKind::Throttled).retryable()),
        )
        .await
        .expect_err("it never succeeds");
    assert_eq!(count.load(Ordering::Relaxed), 8);
    assert!(slow.to_string().contains("tried 8 times"), "{slow}");
}

/// A name that nobody knows is known a second later at best: half a minute of attempts is an
/// operator's.
#[tokio::test(start_paused = true)]
async fn a_fault_may_be_worth_few_tries() {
    let count = AtomicU32::new(0);
    let attempt = |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let error = fault(ErrorKind::Unavailable).with_remedy("correct it");
        std::future::ready(Err::<(), _>(error.retryable_at_most(3)))
    };
    let error = retrier().call("read", "a", attempt).await;
    assert_eq!(count.load(Ordering::Relaxed), 3);
    let error = error.expect_err("it never succeeds");
    assert_eq!(error.remedy(), Some("correct it"));
    let text = error.at("target \"x\"").to_string();
    assert_eq!(
        text,
        "target \"x\": it broke (tried 3 times) (cannot read `a`)"
    );
}

/// An operation asks a dead store several things: it has one minute for all of them, and not one
/// for each.
#[tokio::test(start_paused = true)]
async fn a_silent_store_is_waited_for_once() {
    let retrier = retrier();
    let begun = Instant::now();
    for _ in 0..5 {
        let dead = retrier.call("read", "a", |_| std::future::pending::<Result<()>>());
        dead.await.expect_err("nothing ever comes");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(90), "{took:?}");
    // It may be there again after a while: then it has its time again.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let slow = retrier.call("read", "a", |_| async {
        tokio::time::sleep(Duration::from_secs(15)).await;
        Ok(())
    });
    slow.await.expect("it is slow, and answers");
}

/// A process that was stopped for an hour has not waited for the store.
#[tokio::test(start_paused = true)]
async fn time_in_which_nobody_polled_is_no_silence() {
    let retrier = retrier();
    let slow = retrier.call("read", "a", |_| async {
        tokio::time::sleep(Duration::from_secs(3610)).await;
        Ok(())
    });
    let mut slow = std::pin::pin!(slow);
    let polled = tokio::time::timeout(Duration::from_secs(1), &mut slow).await;
    assert!(polled.is_err(), "it has only begun");
    tokio::time::advance(Duration::from_secs(3600)).await;
    slow.await.expect("its store answered within ten seconds");
}

/// A dead network ends an operation in a minute, not in two hours; one that is only slow does not
/// end it.
#[tokio::test(start_paused = true)]
async fn silence_has_an_end() {
    let begun = Instant::now();
    let dead = retrier()
        .call("read", "a", |_| std::future::pending::<Result<()>>())
        .await;
    let error = dead.expect_err("nothing ever comes");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let took = begun.elapsed();
    assert!(
        (Duration::from_secs(59)..Duration::from_secs(65)).contains(&took),
        "{took:?}"
    );
    let slow = retrier()
        .call("read", "a", |beat| async move {
            for _ in 0..30 {
                tokio::time::sleep(Duration::from_secs(10)).await;
                beat.beat();
            }
            Ok(())
        })
        .await;
    slow.expect("a byte every ten seconds is slow, not dead");
}
