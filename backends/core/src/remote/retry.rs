//! One request, attempted until it succeeds or can't.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ConcurrencyLimit;
use crate::{Error, ErrorKind, Result};

/// How a request is tried again.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// How often a request is attempted in all. 8: at 5 % faults the SDKs' usual 3 fail about one
    /// run in eight over a thousand requests.
    pub attempts: u32,
    /// The longest wait before the second attempt; it doubles with each. The wait is drawn evenly
    /// from zero to it ("full jitter").
    pub first_wait: Duration,
    /// The longest wait there is.
    pub longest_wait: Duration,
    /// How long one attempt may go without a byte before it ends and is repeated.
    pub stall: Duration,
    /// How long a request may go without a byte across all its attempts before it fails for good,
    /// so that a dead network ends an operation in a minute and not in two hours.
    pub silence: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 8,
            // With eight attempts a store that is away for ten seconds, as in a restart, is usually
            // back in time.
            first_wait: Duration::from_millis(400),
            longest_wait: Duration::from_secs(10),
            stall: Duration::from_secs(20),
            silence: Duration::from_secs(60),
        }
    }
}

/// Reports to a [`Retrier`] that a request moves: to be called for every piece of a body, in either
/// direction.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    last: Arc<Mutex<Instant>>,
    store: Option<Arc<Mutex<Silence>>>,
}

/// For how long a store has given no sign of life to any request of one retrier.
#[derive(Debug, Default)]
struct Silence {
    /// When the first request began that was not answered yet; `None` after any sign of life.
    since: Option<Instant>,
    /// When a request was last under way.
    last_asked: Option<Instant>,
    /// Until when time in which nobody polled is subtracted already: each request that waits
    /// notices it.
    late_until: Option<Instant>,
}

impl Silence {
    /// Subtracts that nobody polled for so long, once for all requests that were waiting.
    fn skip(&mut self, late: Duration) {
        let now = Instant::now();
        if self.late_until.is_none_or(|until| until + late <= now) {
            self.late_until = Some(now);
            self.since = self.since.map(|since| (since + late).min(now));
        }
    }
}

/// A request that is under way. One that is dropped says nothing of its store.
struct RequestUnderWay<'a> {
    silence_of_store: &'a Mutex<Silence>,
    has_ended: bool,
}

impl Drop for RequestUnderWay<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            lock(self.silence_of_store).since = None;
        }
    }
}

/// The share of [`RetryPolicy::silence`] that is left to a request, where its store has been silent
/// for all of it already.
const SHARE_OF_A_SILENT_STORE: u32 = 12;

/// How often a request that waits looks at the clock.
const LOOK: Duration = Duration::from_secs(5);

/// A look that comes later than this was not made in time: the process was stopped, or nobody
/// polled it.
const LATE: Duration = Duration::from_secs(1);

impl Default for Heartbeat {
    fn default() -> Self {
        Self::new()
    }
}

impl Heartbeat {
    /// One that has beaten at this moment.
    #[must_use]
    pub fn new() -> Self {
        Self {
            last: Arc::new(Mutex::new(Instant::now())),
            store: None,
        }
    }

    /// Bytes came or went just now.
    pub fn beat(&self) {
        *lock(&self.last) = Instant::now();
        if let Some(store) = &self.store {
            lock(store).since = None;
        }
    }

    /// The request has waited for something of this program's own: that is neither silence nor a
    /// sign of life.
    pub fn wait(&self) {
        *lock(&self.last) = Instant::now();
    }

    fn skip(&self, waited: Duration) {
        *lock(&self.last) += waited;
    }

    fn last(&self) -> Instant {
        *lock(&self.last)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does requests to one store: with retries, within a limit, and with an end to silence.
#[derive(Debug, Clone)]
pub struct Retrier {
    policy: RetryPolicy,
    limit: ConcurrencyLimit,
    hint: Option<(&'static str, Arc<str>)>,
    silence_of_store: Arc<Mutex<Silence>>,
}

impl Retrier {
    /// A retrier of this policy, with at most `requests` under way at once.
    #[must_use]
    pub fn new(policy: RetryPolicy, requests: usize) -> Self {
        Self {
            policy,
            limit: ConcurrencyLimit::new(requests),
            hint: None,
            silence_of_store: Arc::default(),
        }
    }

    /// The same, saying this of a store that is silent: where it is, and the setting that names it.
    #[must_use]
    pub fn with_hint(mut self, setting: &'static str, hint: &str) -> Self {
        self.hint = Some((setting, hint.into()));
        self
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// The limit, to be looked at.
    #[must_use]
    pub fn limit(&self) -> &ConcurrencyLimit {
        &self.limit
    }

    /// Does a request: calls `attempt` until it succeeds, fails with an error that is not
    /// [retryable](Error::is_retryable), has been attempted as often as the policy says, or has
    /// been silent too long.
    ///
    /// `attempt` is given the heartbeat that it beats while its body moves, and is dropped when it
    /// stalls. It must be harmless to do twice: the store may have done it although the answer was
    /// lost.
    ///
    /// # Errors
    /// The last attempt's. [`ErrorKind::Throttled`] slows all requests of this retrier down.
    pub async fn call<T, F, Fut>(
        &self,
        operation: &'static str,
        subject: &str,
        mut attempt: F,
    ) -> Result<T>
    where
        F: FnMut(Heartbeat) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let heartbeat = self.heartbeat();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let error = match self
                .once(operation, subject, &heartbeat, || {
                    attempt(heartbeat.clone())
                })
                .await
            {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if !self.may_try_again(&error, attempts) || self.is_silent(&heartbeat) {
                return Err(self.given_up(error, attempts, &heartbeat));
            }
            self.wait(attempts, &error).await;
        }
    }

    /// Whether a request may be attempted once more after so many attempts and this error.
    pub(super) fn may_try_again(&self, error: &Error, attempts: u32) -> bool {
        let most = (error.max_attempts())
            .map_or(self.policy.attempts, |most| most.min(self.policy.attempts));
        error.is_retryable() && attempts < most
    }

    /// A heartbeat that counts the signs of life of this retrier's store.
    pub(super) fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            store: Some(self.silence_of_store.clone()),
            ..Heartbeat::new()
        }
    }

    /// Whether there was no byte for as long as the policy allows.
    pub(super) fn is_silent(&self, heartbeat: &Heartbeat) -> bool {
        heartbeat.last().elapsed() >= self.silence()
    }

    /// How long a request may be silent: once the whole store has been silent for as long as the
    /// policy allows, a share of it, so that an operation with several requests to a dead store
    /// does not wait as many times.
    fn silence(&self) -> Duration {
        let since = lock(&self.silence_of_store).since;
        match since {
            Some(since) if since.elapsed() >= self.policy.silence => {
                self.policy.silence / SHARE_OF_A_SILENT_STORE
            }
            _ => self.policy.silence,
        }
    }

    /// Forgets that the store was silent: the next request has its whole time again.
    pub fn forget_silence(&self) {
        lock(&self.silence_of_store).since = None;
    }

    fn begin_request(&self) -> RequestUnderWay<'_> {
        let now = Instant::now();
        let mut silence_of_store = lock(&self.silence_of_store);
        // What was so long ago says nothing of now.
        let is_old = |last: Instant| now.duration_since(last) >= self.policy.silence;
        if silence_of_store.since.is_none() || silence_of_store.last_asked.is_none_or(is_old) {
            silence_of_store.since = Some(now);
        }
        silence_of_store.last_asked = Some(now);
        RequestUnderWay {
            silence_of_store: &self.silence_of_store,
            has_ended: false,
        }
    }

    fn was_answered(&self) {
        lock(&self.silence_of_store).since = None;
    }

    /// Waits before the next of several attempts.
    pub(super) async fn wait(&self, attempts: u32, error: &Error) {
        let longest = self
            .policy
            .first_wait
            .saturating_mul(1 << (attempts - 1).min(16))
            .min(self.policy.longest_wait);
        let wait = longest.mul_f64(fastrand::f64());
        tracing::debug!(%error, attempts, ?wait, "trying again");
        tokio::time::sleep(wait).await;
    }

    /// Does one attempt, as soon as the limit allows it.
    pub(super) async fn once<T, Fut>(
        &self,
        operation: &'static str,
        subject: &str,
        heartbeat: &Heartbeat,
        attempt: impl FnOnce() -> Fut,
    ) -> Result<T>
    where
        Fut: Future<Output = Result<T>>,
    {
        let waiting = Instant::now();
        let _permit = self.limit.acquire().await;
        // Waiting for a permit is not silence of the store's.
        heartbeat.skip(waiting.elapsed());
        let mut request = self.begin_request();
        let outcome = self.watched(operation, subject, heartbeat, attempt()).await;
        request.has_ended = true;
        drop(request);
        match &outcome {
            Ok(_) => {
                self.limit.succeeded();
                self.was_answered();
            }
            Err(error) if error.kind() == ErrorKind::Throttled => {
                self.limit.throttled();
                // Whoever says "slow down" is there.
                heartbeat.beat();
            }
            // A connection that was refused, or broke, is not a sign of life.
            Err(error) if error.kind() == ErrorKind::Unavailable => {}
            Err(_) => self.was_answered(),
        }
        outcome
    }

    /// Runs one attempt; ends it when it stalls.
    pub(super) async fn watched<T>(
        &self,
        operation: &'static str,
        subject: &str,
        heartbeat: &Heartbeat,
        attempt: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut begun = Instant::now();
        let mut attempt = std::pin::pin!(attempt);
        loop {
            let stalls = |begun: Instant| {
                let stalls = heartbeat.last().max(begun) + self.policy.stall;
                stalls.min(heartbeat.last() + self.silence())
            };
            let looks = stalls(begun).min(Instant::now() + LOOK);
            tokio::select! {
                biased;
                outcome = &mut attempt => return outcome,
                () = tokio::time::sleep_until(looks) => {}
            }
            // Time in which this was not polled is not silence of the store's.
            let late = looks.elapsed();
            if late > LATE {
                begun += late;
                heartbeat.skip(late);
                lock(&self.silence_of_store).skip(late);
            }
            if stalls(begun) <= Instant::now() {
                let silent = heartbeat.last().max(begun).elapsed();
                return Err(self.stalled(operation, subject, silent));
            }
        }
    }

    fn stalled(&self, operation: &'static str, subject: &str, silent: Duration) -> Error {
        let silent = (silent.as_secs_f32() * 10.0).round() / 10.0;
        let detail = match &self.hint {
            Some((_, hint)) => format!("no byte came for {silent} s; {hint}"),
            None => format!("no byte came for {silent} s"),
        };
        let error = Error::new(ErrorKind::Unavailable, operation, subject, detail).retryable();
        match self.hint {
            Some((setting, _)) => error.with_setting(setting),
            None => error,
        }
    }

    /// The last error of several attempts, as the caller sees it.
    pub(super) fn given_up(&self, error: Error, attempts: u32, heartbeat: &Heartbeat) -> Error {
        if !error.is_retryable() {
            return error;
        }
        let silence = if self.is_silent(heartbeat) {
            let silence = heartbeat.last().elapsed().min(self.policy.silence);
            let tenths = (silence.as_secs_f32() * 10.0).round();
            format!(", without a byte for {} s", tenths / 10.0)
        } else {
            String::new()
        };
        let kind = match error.kind() {
            ErrorKind::Throttled => ErrorKind::Unavailable,
            kind => kind,
        };
        let detail = format!("{} (tried {attempts} times{silence})", error.detail());
        Error::new(kind, error.operation(), error.subject(), detail).with_source(error)
    }
}

#[cfg(test)]
mod tests;
