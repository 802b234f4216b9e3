//! `Idempotency-Key`, as in the IETF's draft: a request that is sent again because its answer was
//! lost starts nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_backup_core::Digest;
use poem::Request;
use poem_openapi::types::ParseFromJSON;
use serde_json::Value;

use super::error::{ApiError, ErrorBody, error_body};
use super::types::Accepted;
use crate::operations::{ArcBackup, KeyedRequest, KnownKey, Who};

/// The header.
pub(super) const HEADER: &str = "Idempotency-Key";
/// The longest key, in characters.
pub(super) const KEY_LIMIT: usize = 255;

/// The key of a request, and a digest of the request.
#[derive(Debug, Clone)]
pub(super) struct Key {
    text: String,
    request: String,
}

impl Key {
    /// The text of the key, where the request has one.
    pub(super) fn text_of(request: &Request) -> Result<Option<String>, ApiError> {
        let refuse = |what: &str| {
            let text = format!("{HEADER} must be 1 to {KEY_LIMIT} visible ASCII characters");
            Err(ApiError::bad(&text, what.to_owned()))
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

    /// The key of a request to `path` with this body. The order of its fields does not matter.
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

    fn keyed_by(self, who: &Who) -> KeyedRequest {
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

/// What is known of a request with a key.
#[derive(Debug)]
pub(super) enum Lookup {
    /// It was answered before, with this.
    Answered(Accepted),
    /// It is new, and its answer is to be stored.
    New(KeyInUse),
}

impl KeysInUse {
    /// Looks up whether a request with this key was answered before.
    pub(super) async fn look_up(
        &self,
        engine: &ArcBackup,
        key: Key,
        who: &Who,
    ) -> Result<Lookup, ApiError> {
        let request = key.keyed_by(who);
        let used = KeyInUse::take(self, request.clone())?;
        match engine.recall(request).await? {
            None => Ok(Lookup::New(used)),
            Some(KnownKey::Other) => Err(ApiError::other_request()),
            Some(KnownKey::Same(answer)) => match Accepted::parse_from_json_string(&answer) {
                Ok(accepted) => Ok(Lookup::Answered(accepted)),
                // Nobody knows what it started, and it must not be started twice.
                Err(error) => Err(crate::Error::Failed(format!(
                    "the stored answer for this {HEADER} can't be read: {}",
                    error.into_message()
                ))
                .into()),
            },
        }
    }
}

impl KeyInUse {
    fn take(keys: &KeysInUse, request: KeyedRequest) -> Result<Self, ApiError> {
        let name = (request.actor.clone(), request.key.clone());
        let mut used = keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.insert(name) {
            return Err(ApiError::busy(ErrorBody {
                detail: Some("ask again: the answer will be the same".to_owned()),
                ..error_body(format!("A request with this {HEADER} is being answered"))
            }));
        }
        Ok(Self {
            request,
            keys: keys.clone(),
        })
    }

    /// Stores the answer for a repeated request.
    pub(super) async fn store(self, engine: &ArcBackup, answer: String) -> crate::Result<()> {
        engine.remember(self.request.clone(), answer).await
    }
}

impl Drop for KeyInUse {
    fn drop(&mut self) {
        let mut used = (self.keys.0.lock()).unwrap_or_else(PoisonError::into_inner);
        used.remove(&(self.request.actor.clone(), self.request.key.clone()));
    }
}
