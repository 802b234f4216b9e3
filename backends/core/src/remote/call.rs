//! One request, tried until it succeeds or can't.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Pace;
use crate::{Error, ErrorKind, Result};

/// How a request is tried again.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// How often a request is tried in all. 8: at 5 % faults the SDKs' usual 3 fail about one run in eight over a
    /// thousand requests.
    pub attempts: u32,
    /// The longest wait before the second try; it doubles with each. The wait is drawn evenly from zero to it ("full jitter").
    pub first_wait: Duration,
    /// The longest wait there is.
    pub longest_wait: Duration,
    /// How long one try may go without a byte before it is given up and tried again.
    pub stall: Duration,
    /// How long a request may go without a byte across all its tries before it fails for good, so that a dead
    /// network ends an operation in a minute and not in two hours.
    pub silence: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 8,
            // With eight tries a store that is away for ten seconds, as in a restart, is usually back in time.
            first_wait: Duration::from_millis(400),
            longest_wait: Duration::from_secs(10),
            stall: Duration::from_secs(20),
            silence: Duration::from_secs(60),
        }
    }
}

/// Tells a [`Caller`] that a request moves: to be called for every piece of a body, in either direction.
#[derive(Debug, Clone)]
pub struct Beat {
    last: Arc<Mutex<Instant>>,
    store: Option<Arc<Mutex<Quiet>>>,
}

/// For how long a store has given no sign of life to any request of one caller.
#[derive(Debug, Default)]
struct Quiet {
    /// When the first request began that was not answered yet; `None` after any sign of life.
    since: Option<Instant>,
    /// When a request was last under way.
    last_asked: Option<Instant>,
    /// Until when time in which nobody polled is left out already: each request that waits notices it.
    late_until: Option<Instant>,
}

impl Quiet {
    /// Leaves out that nobody polled for so long, once for all requests that were waiting.
    fn leave_out(&mut self, late: Duration) {
        let now = Instant::now();
        if self.late_until.is_none_or(|until| until + late <= now) {
            self.late_until = Some(now);
            self.since = self.since.map(|since| (since + late).min(now));
        }
    }
}

/// A request that is under way. One that is dropped says nothing of its store.
struct Asking<'a> {
    quiet: &'a Mutex<Quiet>,
    has_ended: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            lock(self.quiet).since = None;
        }
    }
}

/// The share of [`RetryPolicy::silence`] that a request to a store has which has been silent for all of it already.
const SHARE_OF_A_SILENT_STORE: u32 = 12;

/// How often a request that waits looks at the clock.
const LOOK: Duration = Duration::from_secs(5);

/// A look that comes later than this was not made in time: the process was stopped, or nobody polled it.
const LATE: Duration = Duration::from_secs(1);

impl Default for Beat {
    fn default() -> Self {
        Self::new()
    }
}

impl Beat {
    /// A beat at this moment.
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

    /// The request has waited for something of this program's: that is no silence, and no sign of life either.
    pub fn wait(&self) {
        *lock(&self.last) = Instant::now();
    }

    fn leave_out(&self, waited: Duration) {
        *lock(&self.last) += waited;
    }

    fn last(&self) -> Instant {
        *lock(&self.last)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does requests to one store: with retries, within a pace, and with an end to silence.
#[derive(Debug, Clone)]
pub struct Caller {
    policy: RetryPolicy,
    pace: Pace,
    hint: Arc<str>,
    quiet: Arc<Mutex<Quiet>>,
}

impl Caller {
    /// A caller of this policy, with at most `requests` under way at once.
    #[must_use]
    pub fn new(policy: RetryPolicy, requests: usize) -> Self {
        Self {
            policy,
            pace: Pace::new(requests),
            hint: "".into(),
            quiet: Arc::default(),
        }
    }

    /// The same, saying this of a store that is silent: where it is, and which setting to look at.
    #[must_use]
    pub fn with_hint(mut self, hint: &str) -> Self {
        self.hint = hint.into();
        self
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// The pace, to be looked at.
    #[must_use]
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Does a request: calls `attempt` until it succeeds, fails with an error that is not
    /// [retryable](Error::is_retryable), has been tried as often as the policy says, or has been silent too long.
    ///
    /// `attempt` is given what it beats with while its body moves, and is dropped when it stalls. It must be
    /// harmless to do twice: the store may have done it although the answer was lost.
    ///
    /// # Errors
    /// The last attempt's. [`ErrorKind::Throttled`] slows all requests of this caller down.
    pub async fn call<T, F, Fut>(
        &self,
        operation: &'static str,
        subject: &str,
        mut attempt: F,
    ) -> Result<T>
    where
        F: FnMut(Beat) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let beat = self.beat();
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self
                .once(operation, subject, &beat, || attempt(beat.clone()))
                .await
            {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if !self.may_try_again(&error, tries) || self.is_silent(&beat) {
                return Err(self.given_up(error, tries, &beat));
            }
            self.wait(tries, &error).await;
        }
    }

    /// Whether a request that was tried so often may be tried once more after this error.
    pub(super) fn may_try_again(&self, error: &Error, tries: u32) -> bool {
        let most = (error.most_tries())
            .map_or(self.policy.attempts, |most| most.min(self.policy.attempts));
        error.is_retryable() && tries < most
    }

    /// A beat that counts the signs of life of this caller's store.
    pub(super) fn beat(&self) -> Beat {
        Beat {
            store: Some(self.quiet.clone()),
            ..Beat::new()
        }
    }

    /// Whether there was no byte for as long as the policy bears.
    pub(super) fn is_silent(&self, beat: &Beat) -> bool {
        beat.last().elapsed() >= self.silence()
    }

    /// How long a request may be silent: once the whole store has been silent for as long as the policy bears, a share of it,
    /// so that an operation with several requests to a dead store does not wait as many times.
    fn silence(&self) -> Duration {
        let since = lock(&self.quiet).since;
        match since {
            Some(since) if since.elapsed() >= self.policy.silence => {
                self.policy.silence / SHARE_OF_A_SILENT_STORE
            }
            _ => self.policy.silence,
        }
    }

    /// Forgets that the store was silent: the next request has its whole time again.
    pub fn forget_silence(&self) {
        lock(&self.quiet).since = None;
    }

    fn asks(&self) -> Asking<'_> {
        let now = Instant::now();
        let mut quiet = lock(&self.quiet);
        // What was so long ago says nothing of now.
        let is_old = |last: Instant| now.duration_since(last) >= self.policy.silence;
        if quiet.since.is_none() || quiet.last_asked.is_none_or(is_old) {
            quiet.since = Some(now);
        }
        quiet.last_asked = Some(now);
        Asking {
            quiet: &self.quiet,
            has_ended: false,
        }
    }

    fn was_answered(&self) {
        lock(&self.quiet).since = None;
    }

    /// Waits before the next of several tries.
    pub(super) async fn wait(&self, tries: u32, error: &Error) {
        let longest = self
            .policy
            .first_wait
            .saturating_mul(1 << (tries - 1).min(16))
            .min(self.policy.longest_wait);
        let wait = longest.mul_f64(fastrand::f64());
        tracing::debug!(%error, tries, ?wait, "trying again");
        tokio::time::sleep(wait).await;
    }

    /// Does one try, in its turn.
    pub(super) async fn once<T, Fut>(
        &self,
        operation: &'static str,
        subject: &str,
        beat: &Beat,
        attempt: impl FnOnce() -> Fut,
    ) -> Result<T>
    where
        Fut: Future<Output = Result<T>>,
    {
        let waiting = Instant::now();
        let _turn = self.pace.turn().await;
        // Waiting for a turn is no silence of the store's.
        beat.leave_out(waiting.elapsed());
        let mut asking = self.asks();
        let outcome = self.watched(operation, subject, beat, attempt()).await;
        asking.has_ended = true;
        drop(asking);
        match &outcome {
            Ok(_) => {
                self.pace.succeeded();
                self.was_answered();
            }
            Err(error) if error.kind() == ErrorKind::Throttled => {
                self.pace.throttled();
                // Whoever says "slow down" is there.
                beat.beat();
            }
            // A connection that was refused, or broke, is no sign of life.
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
        beat: &Beat,
        attempt: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut begun = Instant::now();
        let mut attempt = std::pin::pin!(attempt);
        loop {
            let stalls = |begun: Instant| {
                let stalls = beat.last().max(begun) + self.policy.stall;
                stalls.min(beat.last() + self.silence())
            };
            let looks = stalls(begun).min(Instant::now() + LOOK);
            tokio::select! {
                biased;
                outcome = &mut attempt => return outcome,
                () = tokio::time::sleep_until(looks) => {}
            }
            // Time in which this was not polled is no silence of the store's.
            let late = looks.elapsed();
            if late > LATE {
                begun += late;
                beat.leave_out(late);
                lock(&self.quiet).leave_out(late);
            }
            if stalls(begun) <= Instant::now() {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    operation,
                    subject,
                    format!(
                        "no byte came for {} s{}{}",
                        (beat.last().max(begun).elapsed().as_secs_f32() * 10.0).round() / 10.0,
                        if self.hint.is_empty() { "" } else { "; " },
                        self.hint
                    ),
                )
                .retryable());
            }
        }
    }

    /// The last error of several tries, as the caller sees it.
    pub(super) fn given_up(&self, error: Error, tries: u32, beat: &Beat) -> Error {
        if !error.is_retryable() {
            return error;
        }
        let silence = if self.is_silent(beat) {
            let silence = beat.last().elapsed().min(self.policy.silence);
            let tenths = (silence.as_secs_f32() * 10.0).round();
            format!(", without a byte for {} s", tenths / 10.0)
        } else {
            String::new()
        };
        let kind = match error.kind() {
            ErrorKind::Throttled => ErrorKind::Unavailable,
            kind => kind,
        };
        let told = Error::new(
            kind,
            error.operation(),
            error.subject(),
            format!("{} (tried {tries} times{silence})", error.detail()),
        );
        told.with_source(error)
    }
}

#[cfg(test)]
mod tests;
