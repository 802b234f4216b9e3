//! Faults, and the requests that they happen to.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is named as in the documentation of S3")]
pub enum Verb {
    PutObject,
    GetObject,
    HeadObject,
    DeleteObject,
    DeleteObjects,
    CopyObject,
    ListObjects,
    CreateMultipartUpload,
    UploadPart,
    UploadPartCopy,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListMultipartUploads,
    ListParts,
    /// Any other request.
    Other,
}

/// The effect on a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// 503 `SlowDown`; the request is not done.
    SlowDown,
    /// 500 `InternalError`; the request is not done.
    InternalError,
    /// An answer with this status, code and message; the request is not done.
    Answer(u16, &'static str, &'static str),
    /// 403 `AccessDenied`; the request is not done.
    Deny,
    /// The request is done this much later.
    Delay(Duration),
    /// The body of the answer ends after that many bytes.
    CutResponse(u64),
    /// The body of the request is read up to that many bytes, and the connection is closed. The
    /// request is not done.
    CutRequest(u64),
    /// One bit of the answer's body is flipped, at this offset or in its last byte.
    FlipResponse(u64),
    /// One bit of the request's body is flipped, at this offset or in its last byte.
    FlipRequest(u64),
    /// The request is done, and the answer is 500 `InternalError`.
    ErrorAfterSuccess,
    /// The request is done, and the connection closed without an answer.
    CloseAfterSuccess,
    /// No answer ever comes; the request is not done.
    Hang,
}

/// When a rule applies, among the requests that match it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// Always.
    Always,
    /// For the first requests, up to this number.
    First(u64),
    /// For this one alone, counted from 1.
    Nth(u64),
    /// From this one on, counted from 1.
    From(u64),
    /// For every n-th: the second, the fourth and so on with 2.
    Every(u64),
    /// With this probability, drawn with the seed of [`ServerOptions`](crate::ServerOptions).
    Chance(f64),
}

/// A fault and the requests that it happens to. The first rule that applies decides.
#[derive(Debug, Clone)]
pub struct Rule {
    verb: Option<Verb>,
    key: Option<String>,
    when: When,
    fault: Fault,
}

impl Rule {
    /// This fault for every request of every kind.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self {
            verb: None,
            key: None,
            when: When::Always,
            fault,
        }
    }

    /// Only for this kind of request.
    #[must_use]
    pub fn verb(mut self, verb: Verb) -> Self {
        self.verb = Some(verb);
        self
    }

    /// Only for keys that contain this text.
    #[must_use]
    pub fn key(mut self, part: &str) -> Self {
        self.key = Some(part.to_owned());
        self
    }

    /// Only at these times.
    #[must_use]
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }
}

/// The active rules, and the counts.
#[derive(Debug)]
pub(crate) struct Faults {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rules: Vec<(Rule, u64)>,
    counts: BTreeMap<Verb, u64>,
    hits: u64,
    random: fastrand::Rng,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: Mutex::new(State {
                rules: Vec::new(),
                counts: BTreeMap::new(),
                hits: 0,
                random: fastrand::Rng::with_seed(seed),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, rule: Rule) {
        self.state().rules.push((rule, 0));
    }

    pub(crate) fn clear(&self) {
        self.state().rules.clear();
    }

    pub(crate) fn counts(&self) -> BTreeMap<Verb, u64> {
        self.state().counts.clone()
    }

    pub(crate) fn reset_counts(&self) {
        let mut state = self.state();
        state.counts.clear();
        state.hits = 0;
    }

    pub(crate) fn hits(&self) -> u64 {
        self.state().hits
    }

    /// Counts a request and returns its fault.
    pub(crate) fn on(&self, verb: Verb, key: &str) -> Option<Fault> {
        let mut state = self.state();
        let state = &mut *state;
        *state.counts.entry(verb).or_default() += 1;
        let mut happens = None;
        for (rule, seen) in &mut state.rules {
            let about = rule.verb.is_none_or(|of| of == verb)
                && rule
                    .key
                    .as_ref()
                    .is_none_or(|part| key.contains(part.as_str()));
            if !about {
                continue;
            }
            *seen += 1;
            let holds = match rule.when {
                When::Always => true,
                When::First(count) => *seen <= count,
                When::Nth(number) => *seen == number,
                When::From(number) => *seen >= number,
                When::Every(number) => *seen % number == 0,
                When::Chance(chance) => state.random.f64() < chance,
            };
            if holds && happens.is_none() {
                happens = Some(rule.fault.clone());
            }
        }
        state.hits += u64::from(happens.is_some());
        happens
    }
}
