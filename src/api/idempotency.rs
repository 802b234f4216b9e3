//! `Idempotency-Key`, as the IETF's draft has it: a request that is sent again, because its answer was lost, starts nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_backup_core::Digest;
use poem::Request;
use poem_openapi::types::ParseFromJSON;
use serde_json::Value;

use super::answers::Accepted;
use super::faults::{ErrorBody, Fault, body};
use crate::operations::{ArcBackup, KeyedRequest, KnownKey, Who};

/// The header.
pub(super) const HEADER: &str = "Idempotency-Key";
/// The longest key, in characters.
pub(super) const KEY_LIMIT: usize = 255;

/// The key of a request, and what the request asks for.
#[derive(Debug, Clone)]
pub(super) struct Key {
    text: String,
    request: String,
}

impl Key {
    /// The text of the key, where the request has one.
    pub(super) fn text_of(request: &Request) -> Result<Option<String>, Fault> {
        let refuse = |what: &str| {
            let text = format!("{HEADER} must be 1 to {KEY_LIMIT} visible ASCII characters");
            Err(Fault::bad(&text, what.to_owned()))
        };
        let mut given = request.headers().get_all(HEADER).iter();
        let Some(value) = given.next() else {
            return Ok(None);
        };
        if given.next().is_some() {
            return refuse("the request has several");
        }
        match value.to_str() {
            Ok("") => refuse("it is empty"),
            Ok(text) if text.len() > KEY_LIMIT => refuse(&format!("it has {}", text.len())),
            Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Some(text.to_owned()))
            }
            _ => refuse("it has other characters"),
        }
    }

    /// The key of a request to `path` with this body. In what order its fields stand makes no difference.
    pub(super) fn new(text: String, path: &str, body: &Value) -> Self {
        let mut body = body.clone();
        if let Value::Object(fields) = &mut body {
            fields.retain(|_, value| !value.is_null());
        }
        body.sort_all_objects();
        let path = path.trim_end_matches('/');
        Self {
            text,
            request: Digest::of(format!("{path}\n{body}").as_bytes()).to_string(),
        }
    }

    fn asked_by(self, who: &Who) -> KeyedRequest {
        let fingerprint = who.fingerprint.unwrap_or_default();
        KeyedRequest {
            actor: fingerprint
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            key: self.text,
            request: self.request,
        }
    }
}

/// The keys of requests that are being answered.
#[derive(Debug, Clone, Default)]
pub(super) struct KeysInUse(Arc<Mutex<BTreeSet<(String, String)>>>);

/// A key that is in use until this is dropped.
#[derive(Debug)]
pub(super) struct KeyInUse {
    request: KeyedRequest,
    keys: KeysInUse,
}

/// What becomes of a request with a key.
#[derive(Debug)]
pub(super) enum Asked {
    /// It was answered before, like this.
    Before(Accepted),
    /// It is new, and its answer is to be kept.
    Now(KeyInUse),
}

impl KeysInUse {
    /// Whether a request with this key was answered before.
    pub(super) async fn ask(
        &self,
        engine: &ArcBackup,
        key: Key,
        who: &Who,
    ) -> Result<Asked, Fault> {
        let request = key.asked_by(who);
        let used = KeyInUse::take(self, request.clone())?;
        match engine.recall(request).await? {
            None => Ok(Asked::Now(used)),
            Some(KnownKey::Other) => Err(Fault::other_request()),
            Some(KnownKey::Same(answer)) => match Accepted::parse_from_json_string(&answer) {
                Ok(accepted) => Ok(Asked::Before(accepted)),
                // It is not known what it started: starting that again is what must not be.
                Err(error) => Err(crate::Error::Failed(format!(
                    "the answer that was kept for this {HEADER} can't be read: {}",
                    error.into_message()
                ))
                .into()),
            },
        }
    }
}

impl KeyInUse {
    fn take(keys: &KeysInUse, request: KeyedRequest) -> Result<Self, Fault> {
        let name = (request.actor.clone(), request.key.clone());
        let mut used = keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.insert(name) {
            return Err(Fault::busy(ErrorBody {
                detail: Some("ask again: its answer will be the same".to_owned()),
                ..body(format!("A request with this {HEADER} is being answered"))
            }));
        }
        Ok(Self {
            request,
            keys: keys.clone(),
        })
    }

    /// Keeps the answer for who asks again.
    pub(super) async fn answer(self, engine: &ArcBackup, answer: String) -> crate::Result<()> {
        engine.remember(self.request.clone(), answer).await
    }
}

impl Drop for KeyInUse {
    fn drop(&mut self) {
        let mut used = (self.keys.0.lock()).unwrap_or_else(PoisonError::into_inner);
        used.remove(&(self.request.actor.clone(), self.request.key.clone()));
    }
}
