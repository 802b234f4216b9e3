//! Locks: an object that its holder keeps changing, so that others see that it lives.
//!
//! A lock is created only if it is absent, renewed and taken over only if it is still the very one
//! that was seen, and so never held by two, as long as the store keeps conditional writes. Clocks
//! are not compared: a holder counts as dead when its lock has stayed the same for a stated time by
//! the monotonic clock of the one who waits. A process that comes later need not wait for all of
//! it: where the store's own stamps (of the object, and of its answer) say that the lock is old,
//! two renewals that do not come are enough. Stamps alone decide nothing: they may be of two
//! clocks.

mod held;
mod record;

use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::{Key, LockOutcome, Result};

use crate::S3Config;
use crate::lock_state::lock_of;
use crate::store::{Store, nonce};
use held::held;
use record::{Condition, MAX_ATTEMPTS, Record, There, look, put};

/// By how much the difference of two times of a store may be too large: each is cut to whole
/// seconds.
const STAMP: Duration = Duration::from_secs(1);

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

/// Takes the lock `key`, if it is free. Waits only
/// to see whether a holder that is said to be long gone still renews it.
pub(crate) async fn lock(store: &Arc<Store>, key: &Key, holder: &str) -> Result<LockOutcome> {
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
    store: &Arc<Store>,
    key: &Key,
    holder: &str,
) -> Result<(LockOutcome, Option<Duration>)> {
    let _one_at_a_time = store.locks.one_at_a_time.lock().await;
    let name = store.name(key);
    let record = Record {
        holder: holder.to_owned(),
        nonce: nonce(),
        beat: 0,
        released: false,
    };
    let mut other = String::new();
    for _ in 0..MAX_ATTEMPTS {
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
    // A lock that anyone may take is nobody's. A process that asks first and locks later has waited
    // by then.
    let is_gone = matches!(holder_of(store, &name, &there), Holder::Gone);
    Ok((!is_gone).then_some(there.record.holder))
}

/// Frees the lock `key` if its holder gave this text: by overwriting it, as only that has a
/// condition with every store. Two who do so at once must not remove what one of them has taken
/// since.
pub(crate) async fn free_lock(store: &Store, key: &Key, holder: &str) -> Result<()> {
    let _one_at_a_time = store.locks.one_at_a_time.lock().await;
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
