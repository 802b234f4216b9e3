//! Readers and deleters that begin at the same moment, in every order of their calls.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use arc_backup_core::{
    Child, GetOptions, Key, ListOptions, ListStream, LockGuard, LockOutcome, MemorySink, Meta,
    Object, Result as CoreResult, Sink, SinkProperties, Upload, WriteOptions,
};
use async_trait::async_trait;

use super::*;

/// Pauses once: the test decides who goes on.
async fn step() {
    let mut paused = false;
    std::future::poll_fn(move |_| match std::mem::replace(&mut paused, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// A sink in memory that pauses before and after each call.
#[derive(Debug, Clone, Default)]
struct SteppedSink {
    inner: MemorySink,
    /// The locks that are held, if a listing shows them as objects, as those of most stores.
    listed: Option<Arc<Mutex<BTreeSet<Key>>>>,
}

struct SteppedLock {
    inner: Box<dyn LockGuard>,
    key: Key,
    listed: Option<Arc<Mutex<BTreeSet<Key>>>>,
}

#[async_trait]
impl LockGuard for SteppedLock {
    async fn check(&self) -> CoreResult<()> {
        self.inner.check().await
    }
    async fn release(&self) -> CoreResult<()> {
        step().await;
        if let Some(listed) = &self.listed {
            listed.lock().expect("no panic").remove(&self.key);
        }
        self.inner.release().await
    }
}

#[async_trait]
impl Sink for SteppedSink {
    fn location(&self) -> String {
        self.inner.location()
    }
    fn properties(&self) -> SinkProperties {
        self.inner.properties()
    }
    async fn begin(&self, key: &Key, options: WriteOptions) -> CoreResult<Box<dyn Upload>> {
        step().await;
        self.inner.begin(key, options).await
    }
    async fn get(&self, key: &Key, options: GetOptions) -> CoreResult<Object> {
        self.inner.get(key, options).await
    }
    async fn head(&self, key: &Key) -> CoreResult<Option<Meta>> {
        self.inner.head(key).await
    }
    fn list(&self, options: ListOptions) -> ListStream {
        self.inner.list(options)
    }
    async fn list_children(&self, folder: Option<&Key>) -> CoreResult<Vec<Child>> {
        step().await;
        let mut children = self.inner.list_children(folder).await?;
        if let (Some(listed), Some(folder)) = (&self.listed, folder) {
            let within = format!("{folder}/");
            let held = listed.lock().expect("no panic").clone();
            children.extend(
                (held.iter().filter_map(|key| key.strip_prefix(&within)))
                    .map(|name| Child::Object(name.to_owned())),
            );
        }
        step().await;
        Ok(children)
    }
    async fn delete(&self, keys: &[Key]) -> CoreResult<()> {
        step().await;
        self.inner.delete(keys).await
    }
    async fn lock(&self, key: &Key, holder: &str) -> CoreResult<LockOutcome> {
        step().await;
        let outcome = self.inner.lock(key, holder).await?;
        let outcome = match outcome {
            LockOutcome::Held(inner) => {
                if let Some(listed) = &self.listed {
                    listed.lock().expect("no panic").insert(key.clone());
                }
                LockOutcome::Held(Box::new(SteppedLock {
                    inner,
                    key: key.clone(),
                    listed: self.listed.clone(),
                }))
            }
            busy @ LockOutcome::Busy(_) => busy,
        };
        step().await;
        Ok(outcome)
    }
    async fn lock_holder(&self, key: &Key) -> CoreResult<Option<String>> {
        step().await;
        let holder = self.inner.lock_holder(key).await;
        step().await;
        holder
    }
}

/// What a reader and a deleter do at a moment.
#[derive(Default)]
struct World {
    reading: AtomicBool,
    deleting: AtomicBool,
}

impl World {
    /// Reads or deletes for a few steps, in which the other must not.
    async fn work(&self, own: &AtomicBool, other: &AtomicBool) {
        own.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            assert!(
                !other.load(Ordering::SeqCst),
                "files go while they are read"
            );
            step().await;
        }
        own.store(false, Ordering::SeqCst);
    }

    /// A whole operation that reads. Returns whether it did.
    async fn reader(&self, repository: &Repository, holder: &Holder) -> bool {
        match repository.reader_lease(holder).await {
            Ok(lease) => {
                self.work(&self.reading, &self.deleting).await;
                lease.release().await.expect("memory");
                true
            }
            Err(Error::Busy(busy)) => {
                assert_eq!(busy.holder.operation, "delete");
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// A whole operation that deletes. Returns whether it did.
    async fn deleter(&self, repository: &Repository, holder: &Holder) -> bool {
        let lock = repository.lock(holder).await.expect("nobody else deletes");
        let may = match repository.check_no_readers().await {
            Ok(()) => true,
            Err(Error::Busy(busy)) => {
                assert_ne!(busy.holder.operation, "delete");
                false
            }
            Err(error) => panic!("{error}"),
        };
        if may {
            self.work(&self.deleting, &self.reading).await;
        }
        lock.release().await.expect("memory");
        may
    }
}

/// Runs two operations to their ends. A bit of `order` decides which takes the next step.
fn interleave(
    first: impl Future<Output = bool>,
    second: impl Future<Output = bool>,
    order: u64,
) -> (bool, bool) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let mut context = Context::from_waker(Waker::noop());
    let (mut one, mut two) = (None, None);
    for number in 0.. {
        let turn = order >> (number % 64) & 1 == 0;
        match (turn || two.is_some()) && one.is_none() {
            true => one = ready(first.as_mut().poll(&mut context)),
            false => two = ready(second.as_mut().poll(&mut context)),
        }
        if let (Some(one), Some(two)) = (one, two) {
            return (one, two);
        }
    }
    unreachable!("each step takes both on")
}

fn ready(poll: Poll<bool>) -> Option<bool> {
    match poll {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

fn repository(lists_locks: bool) -> Repository {
    let sink = SteppedSink {
        inner: MemorySink::default(),
        listed: lists_locks.then(Arc::default),
    };
    Repository::new("far", Arc::new(sink))
}

/// Guards against a deletion that takes files from under a verification: in no order of their steps
/// do both go on, and where they do not meet, both do.
#[test]
fn of_a_reader_and_a_deleter_at_least_one_sees_the_other() {
    let mut seen = BTreeSet::new();
    let verify = Holder::this("verify", "20260211-143022-5f0c1d2e");
    let delete = Holder::this("delete", "20260211-143022-00000000");
    for lists_locks in [false, true] {
        for order in 0..1_u64 << 13 {
            // All orders of the first steps, and many of the later ones.
            let order = order | (order.wrapping_mul(0x9E37_79B9_7F4A_7C15) << 13);
            let (world, repository) = (World::default(), repository(lists_locks));
            let ended = interleave(
                world.reader(&repository, &verify),
                world.deleter(&repository, &delete),
                order,
            );
            seen.insert(ended);
        }
        let after = [0, u64::MAX].map(|order| {
            let (world, repository) = (World::default(), repository(lists_locks));
            interleave(
                world.reader(&repository, &verify),
                world.deleter(&repository, &delete),
                order,
            )
        });
        assert_eq!(after, [(true, true); 2], "one after the other");
    }
    // Each order gave one of these, and all of them occur.
    let all = [(false, false), (false, true), (true, false), (true, true)];
    assert_eq!(seen, BTreeSet::from(all));
}

/// Guards against verifications that keep each other out.
#[test]
fn two_readers_never_see_each_other() {
    let ids = ["20260211-143022-5f0c1d2e", "20260211-143022-6f0c1d2e"];
    let [first, second] = ids.map(|id| Holder::this("verify", id));
    for order in 0..1_u64 << 11 {
        let (world, repository) = (World::default(), repository(order % 2 == 0));
        let order = order.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let ended = interleave(
            world.reader(&repository, &first),
            world.reader(&repository, &second),
            order,
        );
        assert_eq!(ended, (true, true));
    }
}

/// Guards against a dead reader that prevents every deletion, and against a backup that would keep
/// readers out.
#[tokio::test]
async fn a_dead_lease_is_removed_and_other_locks_do_not_matter() {
    let sink = Arc::new(MemorySink::default());
    let repository = Repository::new("far", sink.clone());
    let backup = Holder::this("backup", "20260211-143022-00000000");
    let lock = repository.lock(&backup).await.expect("free");
    let reader = Holder::this("verify", "20260211-143022-5f0c1d2e");
    let lease = repository.reader_lease(&reader).await.expect("beside it");
    let live = repository.live_readers().await.expect("memory");
    assert_eq!(live, std::slice::from_ref(&reader));
    lock.release().await.expect("memory");
    let Err(Error::Busy(busy)) = repository.check_no_readers().await else {
        panic!("it is not seen");
    };
    let said = Error::Busy(busy).to_string();
    for part in ["verify", "5f0c1d2e", &reader.host, "since", "`--wait 30m`"] {
        assert!(said.contains(part), "{said}");
    }
    // Its task is gone, and only the marker stays.
    drop(lease);
    let left = async || {
        let children = sink.list_children(Some(&own(READERS))).await;
        children.expect("memory").len()
    };
    assert_eq!(left().await, 1);
    assert_eq!(repository.live_readers().await.expect("memory"), []);
    repository.check_no_readers().await.expect("nobody reads");
    assert_eq!(left().await, 0);
}
