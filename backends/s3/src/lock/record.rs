//! The object of a lock: what it holds, and how it is read, written and removed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_backup_core::{ErrorKind, Key, Result};
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::checksum::Sum;
use crate::delete::send_delete;
use crate::error::RequestFault;
use crate::lock_state::lock_of;
use crate::store::{Store, odd_answer, quoted, unquoted};

/// How often a lock is tried again that has changed in between.
pub(crate) const MAX_ATTEMPTS: u32 = 5;

/// What the object of a lock holds, as JSON.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) holder: String,
    pub(super) nonce: String,
    pub(super) beat: u64,
    /// Given back by a holder that may not delete it: it is nobody's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) released: bool,
}

impl Record {
    /// Whether the holder with this nonce has it still.
    pub(super) fn is_of(&self, nonce: &str) -> bool {
        self.nonce == nonce && !self.released
    }
}

/// A lock as it is in the store.
pub(super) struct There {
    pub(super) record: Record,
    pub(super) etag: String,
    /// How old it is by the store's own clock, where the store says.
    pub(super) age: Option<Duration>,
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

pub(super) enum Condition {
    Absent,
    Is(String),
}

pub(super) fn locking(key: &str) -> Call<'_> {
    Call {
        operation: "lock",
        subject: key,
        permission: "s3:PutObject",
    }
}

/// The lock as it is now; `None` when it is absent.
pub(super) async fn look(store: &Store, key: &Key, name: &str) -> Result<Option<There>> {
    let call = Call {
        operation: "read the lock",
        permission: "s3:GetObject",
        ..locking(key)
    };
    let asked = store
        .attempt(&store.control_retrier, call, |client, _| {
            let answered = Answered::default();
            let moment = answered.0.clone();
            let request = client.get_object().bucket(store.bucket()).key(name);
            let request = request.customize().interceptor(answered);
            async move {
                let answer = request
                    .send()
                    .await
                    .map_err(|error| RequestFault::of(&error))?;
                let etag = answer.e_tag().map(unquoted).unwrap_or_default();
                let moment = *lock_of(&moment);
                let age = (answer.last_modified().zip(moment.as_ref()))
                    .and_then(|(modified, moment)| between(modified, moment));
                let body = answer
                    .body
                    .collect()
                    .await
                    .map_err(|error| RequestFault::broken(&error))?;
                Ok((body.into_bytes(), etag, age))
            }
        })
        .await;
    match asked {
        Ok((body, etag, age)) => Ok(Some(There {
            // What can't be read as a record is somebody's all the same.
            record: serde_json::from_slice(&body).unwrap_or_default(),
            etag,
            age,
        })),
        Err((Some(fault), _)) if fault.is_absent() => Ok(None),
        Err((_, error)) => Err(error),
    }
}

/// Writes the lock under a condition; its new entity tag, or `None` when the condition does not
/// hold.
pub(super) async fn put(
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
        .attempt(&store.control_retrier, locking(key), |client, _| {
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
            async {
                request
                    .send()
                    .await
                    .map_err(|error| RequestFault::of(&error))
            }
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

/// Removes the lock `key` if it `is_it`. Without the right to delete, it is overwritten as one that
/// is nobody's.
pub(super) async fn remove(
    store: &Store,
    key: &Key,
    is_it: impl Fn(&Record) -> bool,
) -> Result<()> {
    let name = store.name(key);
    let mut conditional = true;
    for _ in 0..MAX_ATTEMPTS {
        match look(store, key, &name).await? {
            Some(there) if is_it(&there.record) && !there.record.released => {
                let condition = conditional.then(|| quoted(&there.etag));
                match send_delete(
                    store,
                    &store.control_retrier,
                    releasing(key),
                    &name,
                    condition,
                )
                .await
                {
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

fn releasing(key: &str) -> Call<'_> {
    Call {
        operation: "release the lock",
        permission: "s3:DeleteObject",
        ..locking(key)
    }
}
