//! Locks: an object that its holder keeps changing, so that others see that it lives.
//!
//! A lock is created only if it is absent, renewed and taken over only if it is still the very one that was seen, and
//! so never held by two, as long as the store keeps conditional writes. Clocks are not compared: a holder counts as dead when
//! its lock has stayed the same for a stated time by the monotonic clock of who waits. Who comes late need not wait for all
//! of it: where the store's own stamps (of the object, and of its answer) say that the lock is old, two renewals that do not
//! come are enough. Stamps alone decide nothing: they may be of two clocks.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_backup_core::{
    Error, ErrorKind, Key, LockGuard, LockOutcome, Result, UNCHECKED_LOCK_LIVES,
};
use async_trait::async_trait;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::S3Config;
use crate::checksum::Sum;
use crate::error::{Call, Fault};
use crate::store::{Shared, Store, nonce, odd_answer, quoted, unquoted};

/// How often a change under one's hands is followed up.
const TRIES: u32 = 5;

/// By how much the difference of two times of a store may be too large: each is cut to whole seconds.
const STAMP: Duration = Duration::from_secs(1);

/// What a sink knows of locks.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    /// Taking and giving back follow each other: a store without conditional deletes must not lose what was taken
    /// between a look and a delete.
    turn: tokio::sync::Mutex<()>,
    /// Locks of others, by name.
    seen: Mutex<HashMap<String, Seen>>,
    /// Nonces of locks that were dropped here, and may still be there.
    dropped: Mutex<HashSet<String>>,
}

#[derive(Debug)]
struct Seen {
    etag: String,
    since: Instant,
}

fn lock_of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Locks {
    /// For how long the lock of this name has been seen with this entity tag, from this look on.
    fn unchanged_for(&self, name: &str, etag: &str) -> Duration {
        let mut seen = lock_of(&self.seen);
        match seen.get(name) {
            Some(before) if before.etag == etag => before.since.elapsed(),
            _ => {
                let now = Seen {
                    etag: etag.to_owned(),
                    since: Instant::now(),
                };
                seen.insert(name.to_owned(), now);
                Duration::ZERO
            }
        }
    }
}

/// What the object of a lock holds, as JSON.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Record {
    holder: String,
    nonce: String,
    beat: u64,
    /// Given back by a holder that may not delete it: it is nobody's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    released: bool,
}

impl Record {
    /// Whether the holder with this nonce has it still.
    fn is_of(&self, nonce: &str) -> bool {
        self.nonce == nonce && !self.released
    }
}

/// A lock as it is in the store.
struct There {
    record: Record,
    etag: String,
    /// How old it is by the store's own clock, where the store tells.
    age: Option<Duration>,
}

/// The moment of an answer, by the clock of the store.
#[derive(Debug, Default)]
struct Answered(Arc<Mutex<Option<DateTime>>>);

impl Intercept for Answered {
    fn name(&self) -> &'static str {
        "Answered"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        *lock_of(&self.0) =
            date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        Ok(())
    }
}

/// The time from one stamp of a store to another; none when they are in the other order.
fn between(from: &DateTime, to: &DateTime) -> Option<Duration> {
    let seconds = to.secs().checked_sub(from.secs())?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// What there is to say of the holder of a lock.
enum Holder {
    Lives,
    /// It is said to have been gone for long; seen for so much longer without a change, it is.
    Doubtful(Duration),
    /// It has not renewed its lock for too long.
    Gone,
}

/// How old the lock of a dead holder can become. By its stamps a lock gets no less time than under
/// one's eyes, where a look comes up to one renewal after it.
pub(crate) fn longest(config: &S3Config) -> Duration {
    config.lock_expiry + config.lock_renewal + STAMP
}

fn holder_of(store: &Store, name: &str, there: &There) -> Holder {
    let config = &store.config;
    let longest = longest(config);
    let unchanged = store.locks.unchanged_for(name, &there.etag);
    if unchanged >= config.lock_expiry {
        return Holder::Gone;
    }
    if there.age.is_none_or(|age| age < longest) {
        return Holder::Lives;
    }
    match (2 * config.lock_renewal).checked_sub(unchanged) {
        Some(left) if !left.is_zero() => Holder::Doubtful(left),
        _ => Holder::Gone,
    }
}

enum Condition {
    Absent,
    Is(String),
}

fn locking(key: &str) -> Call<'_> {
    Call {
        operation: "lock",
        subject: key,
        permission: "s3:PutObject",
    }
}

/// Takes the lock `key`, if it is free. Waits only for what a holder that is said to be long gone does meanwhile.
pub(crate) async fn lock(store: &Shared, key: &Key, holder: &str) -> Result<LockOutcome> {
    match try_lock(store, key, holder).await? {
        (outcome, None) => Ok(outcome),
        (_, Some(wait)) => {
            tokio::time::sleep(wait).await;
            Ok(try_lock(store, key, holder).await?.0)
        }
    }
}

/// The same at once; with how long a holder of whom there is doubt has to be watched.
async fn try_lock(
    store: &Shared,
    key: &Key,
    holder: &str,
) -> Result<(LockOutcome, Option<Duration>)> {
    let _turn = store.locks.turn.lock().await;
    let name = store.name(key);
    let record = Record {
        holder: holder.to_owned(),
        nonce: nonce(),
        beat: 0,
        released: false,
    };
    let mut other = String::new();
    for _ in 0..TRIES {
        let condition = match look(store, key, &name).await? {
            None => Condition::Absent,
            // The answer to our own request was lost.
            Some(there) if there.record.nonce == record.nonce => {
                return Ok((held(store, key, name, record, there.etag), None));
            }
            Some(there) => {
                let state = holder_of(store, &name, &there);
                let dropped = there.record.released
                    || lock_of(&store.locks.dropped).contains(&there.record.nonce);
                other = there.record.holder;
                match state {
                    _ if dropped => {}
                    Holder::Gone => {}
                    Holder::Lives => return Ok((LockOutcome::Busy(other), None)),
                    Holder::Doubtful(wait) => return Ok((LockOutcome::Busy(other), Some(wait))),
                }
                if !dropped {
                    tracing::warn!(
                        key = key.as_str(),
                        holder = other,
                        age = ?there.age,
                        "taking a lock whose holder is gone"
                    );
                }
                Condition::Is(there.etag)
            }
        };
        if let Some(etag) = put(store, key, &name, &record, &condition).await? {
            return Ok((held(store, key, name, record, etag), None));
        }
    }
    Ok((LockOutcome::Busy(other), None))
}

/// Who holds the lock `key`.
pub(crate) async fn lock_holder(store: &Store, key: &Key) -> Result<Option<String>> {
    let name = store.name(key);
    let Some(there) = look(store, key, &name).await? else {
        return Ok(None);
    };
    if there.record.released || lock_of(&store.locks.dropped).contains(&there.record.nonce) {
        return Ok(None);
    }
    // A lock that anyone may take is nobody's. Who asks first and locks later has waited meanwhile.
    let is_gone = matches!(holder_of(store, &name, &there), Holder::Gone);
    Ok((!is_gone).then_some(there.record.holder))
}

fn held(store: &Shared, key: &Key, name: String, record: Record, etag: String) -> LockOutcome {
    lock_of(&store.locks.seen).remove(&name);
    let lock = Arc::new(Held {
        store: store.clone(),
        key: key.clone(),
        name,
        nonce: record.nonce.clone(),
        state: tokio::sync::Mutex::new(State {
            record,
            etag,
            lost: false,
            renewed: Instant::now(),
        }),
        checked: Mutex::new(Instant::now()),
        released: AtomicBool::new(false),
    });
    let renewed = lock.clone();
    let renewal = tokio::spawn(async move { renewed.renew_for_ever().await });
    LockOutcome::Held(Box::new(S3Lock { lock, renewal }))
}

/// The lock as it is now; `None` when it is absent.
async fn look(store: &Store, key: &Key, name: &str) -> Result<Option<There>> {
    let call = Call {
        operation: "read the lock",
        permission: "s3:GetObject",
        ..locking(key)
    };
    let asked = store
        .attempt(&store.control_caller, call, |client, _| {
            let answered = Answered::default();
            let moment = answered.0.clone();
            let request = client.get_object().bucket(store.bucket()).key(name);
            let request = request.customize().interceptor(answered);
            async move {
                let answer = request.send().await.map_err(|error| Fault::of(&error))?;
                let etag = answer.e_tag().map(unquoted).unwrap_or_default();
                let moment = *lock_of(&moment);
                let age = (answer.last_modified().zip(moment.as_ref()))
                    .and_then(|(modified, moment)| between(modified, moment));
                let body = answer
                    .body
                    .collect()
                    .await
                    .map_err(|error| Fault::broken(&error))?;
                Ok((body.into_bytes(), etag, age))
            }
        })
        .await;
    match asked {
        Ok((body, etag, age)) => Ok(Some(There {
            // What is no record is somebody's all the same.
            record: serde_json::from_slice(&body).unwrap_or_default(),
            etag,
            age,
        })),
        Err((Some(fault), _)) if fault.is_absent() => Ok(None),
        Err((_, error)) => Err(error),
    }
}

/// Writes the lock under a condition; its new entity tag, or `None` when the condition does not hold.
async fn put(
    store: &Store,
    key: &Key,
    name: &str,
    record: &Record,
    condition: &Condition,
) -> Result<Option<String>> {
    let body = serde_json::to_vec(record).expect("texts and a number are JSON");
    let body = Bytes::from(body);
    let sum = Sum::of(&body, store.config.checksums);
    let asked = store
        .attempt(&store.control_caller, locking(key), |client, _| {
            let request = client
                .put_object()
                .bucket(store.bucket())
                .key(name)
                .set_checksum_crc64_nvme(sum.crc64_text())
                .set_content_md5(sum.md5_text())
                .body(body.clone().into());
            let request = match condition {
                Condition::Absent => request.if_none_match("*"),
                Condition::Is(etag) => request.if_match(quoted(etag)),
            };
            async { request.send().await.map_err(|error| Fault::of(&error)) }
        })
        .await;
    match asked {
        Ok(answer) => {
            let etag = answer.e_tag().map(unquoted);
            Ok(Some(
                etag.ok_or_else(|| odd_answer(locking(key), "`ETag`"))?,
            ))
        }
        Err((Some(fault), _)) if fault.is_unmet() || fault.is_absent() => Ok(None),
        Err((_, error)) => Err(error),
    }
}

struct Held {
    store: Shared,
    key: Key,
    name: String,
    nonce: String,
    /// Locked for a whole renewal, so that no two of them follow the same entity tag.
    state: tokio::sync::Mutex<State>,
    /// When the holder last asked whether it still has the lock.
    checked: Mutex<Instant>,
    released: AtomicBool,
}

struct State {
    record: Record,
    etag: String,
    lost: bool,
    /// When the lock was last written.
    renewed: Instant,
}

impl Held {
    async fn renew_for_ever(&self) {
        loop {
            tokio::time::sleep(self.store.config.lock_renewal).await;
            // A holder that hangs must not keep all others out.
            if lock_of(&self.checked).elapsed() > UNCHECKED_LOCK_LIVES {
                continue;
            }
            match self.renew().await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Busy => return,
                Err(error) => tracing::warn!(%error, "a lock is not renewed"),
            }
        }
    }

    /// Looks whether the lock is still this holder's, and renews it where that is due: each renewal is a version of the object in
    /// a bucket that keeps them, and so none is made for nothing.
    async fn check(&self) -> Result<()> {
        *lock_of(&self.checked) = Instant::now();
        {
            let mut state = self.state.lock().await;
            if state.lost {
                return Err(self.lost());
            }
            if state.renewed.elapsed() < self.store.config.lock_renewal {
                match look(&self.store, &self.key, &self.name).await? {
                    Some(there) if there.record.is_of(&self.nonce) => return Ok(()),
                    _ => {
                        state.lost = true;
                        return Err(self.lost());
                    }
                }
            }
        }
        self.renew().await
    }

    /// Writes the next beat; [`ErrorKind::Busy`] when the lock is another's or gone.
    async fn renew(&self) -> Result<()> {
        let mut state = self.state.lock().await;
        state.record.beat += 1;
        for _ in 0..TRIES {
            if state.lost {
                break;
            }
            let condition = Condition::Is(state.etag.clone());
            if let Some(etag) = put(
                &self.store,
                &self.key,
                &self.name,
                &state.record,
                &condition,
            )
            .await?
            {
                state.etag = etag;
                state.renewed = Instant::now();
                return Ok(());
            }
            match look(&self.store, &self.key, &self.name).await? {
                // A renewal whose answer was lost, or that nobody waited for.
                Some(there) if there.record.is_of(&self.nonce) => state.etag = there.etag,
                _ => state.lost = true,
            }
        }
        Err(self.lost())
    }

    fn lost(&self) -> Error {
        Error::new(
            ErrorKind::Busy,
            "hold the lock",
            self.key.as_str(),
            "it was lost: another took or removed it, as if this process were dead",
        )
    }

    /// Removes the lock if it is still this one.
    async fn give_back(&self) -> Result<()> {
        let _turn = self.store.locks.turn.lock().await;
        // A renewal under way ends first.
        let _state = self.state.lock().await;
        remove(&self.store, &self.key, |there| there.nonce == self.nonce).await
    }
}

/// Frees the lock `key` if its holder gave this text: by overwriting it, as only that has a condition with every store. Two who do so
/// at once must not remove what one of them has taken since.
pub(crate) async fn free_lock(store: &Store, key: &Key, holder: &str) -> Result<()> {
    let _turn = store.locks.turn.lock().await;
    let name = store.name(key);
    match look(store, key, &name).await? {
        Some(there) if there.record.holder == holder && !there.record.released => {
            let record = Record {
                released: true,
                ..there.record
            };
            let condition = Condition::Is(there.etag);
            put(store, key, &name, &record, &condition).await.map(drop)
        }
        _ => Ok(()),
    }
}

/// Removes the lock `key` if it `is_it`. Without the right to delete, it is overwritten as one that is nobody's.
async fn remove(store: &Store, key: &Key, is_it: impl Fn(&Record) -> bool) -> Result<()> {
    let name = store.name(key);
    let mut conditional = true;
    for _ in 0..TRIES {
        match look(store, key, &name).await? {
            Some(there) if is_it(&there.record) && !there.record.released => {
                let condition = conditional.then(|| quoted(&there.etag));
                match delete(store, key, &name, condition).await {
                    Ok(()) => return Ok(()),
                    Err((Some(fault), _)) if fault.is_unmet() => {}
                    Err((Some(fault), _)) if fault.is_absent() => return Ok(()),
                    Err((_, error)) if error.kind() == ErrorKind::Unsupported && conditional => {
                        conditional = false;
                    }
                    Err((_, error)) if error.kind() == ErrorKind::PermissionDenied => {
                        let record = Record {
                            released: true,
                            ..there.record
                        };
                        let condition = Condition::Is(there.etag);
                        // That it can't be overwritten either is the smaller fault.
                        match put(store, key, &name, &record, &condition).await {
                            Ok(Some(_)) => return Ok(()),
                            Ok(None) => {}
                            Err(_) => return Err(error),
                        }
                    }
                    Err((_, error)) => return Err(error),
                }
            }
            _ => return Ok(()),
        }
    }
    Ok(())
}

async fn delete(
    store: &Store,
    key: &Key,
    name: &str,
    if_match: Option<String>,
) -> Result<(), (Option<Fault>, Error)> {
    let call = Call {
        operation: "release the lock",
        permission: "s3:DeleteObject",
        ..locking(key)
    };
    let sent = store
        .attempt(&store.control_caller, call, |client, _| {
            let request = client
                .delete_object()
                .bucket(store.bucket())
                .key(name)
                .set_if_match(if_match.clone());
            async { request.send().await.map_err(|error| Fault::of(&error)) }
        })
        .await;
    sent.map(|_| ())
}

/// A lock that is held and renewed until it is released or dropped.
struct S3Lock {
    lock: Arc<Held>,
    renewal: JoinHandle<()>,
}

#[async_trait]
impl LockGuard for S3Lock {
    async fn check(&self) -> Result<()> {
        self.lock.check().await
    }

    async fn release(&self) -> Result<()> {
        self.renewal.abort();
        if self.lock.released.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        // Whoever locks next with this sink need not wait for the store to hear of it, should nobody wait for this.
        let dropped = &self.lock.store.locks.dropped;
        lock_of(dropped).insert(self.lock.nonce.clone());
        let lock = self.lock.clone();
        let given_back = self.lock.store.releases.run(async move {
            lock.give_back().await?;
            lock_of(&lock.store.locks.dropped).remove(&lock.nonce);
            Ok(())
        });
        given_back.await.unwrap_or(Ok(()))
    }
}

impl Drop for S3Lock {
    fn drop(&mut self) {
        self.renewal.abort();
        if self.lock.released.swap(true, Ordering::SeqCst) {
            return;
        }
        let lock = self.lock.clone();
        lock_of(&lock.store.locks.dropped).insert(lock.nonce.clone());
        self.lock.store.releases.spawn(async move {
            match lock.give_back().await {
                Ok(()) => {
                    lock_of(&lock.store.locks.dropped).remove(&lock.nonce);
                }
                Err(error) => tracing::warn!(%error, "a lock stays until it expires"),
            }
        });
    }
}
