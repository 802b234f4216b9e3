//! Warnings that a flood of requests must not repeat without end.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a warning is not repeated.
const QUIET: Duration = Duration::from_secs(60);
/// How many different warnings are remembered; beyond it all are forgotten.
const CAPACITY: usize = 256;

/// Remembers which warnings were logged lately.
#[derive(Default)]
pub(crate) struct LogThrottle {
    logged: Mutex<HashMap<String, Instant>>,
}

impl LogThrottle {
    /// Logs a warning unless the same text was logged within the last minute. The text never holds
    /// a token.
    pub(crate) fn warn(&self, text: &str) {
        if self.is_due(text, Instant::now()) {
            tracing::warn!("{text}");
        }
    }

    fn is_due(&self, text: &str, now: Instant) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = logged.get(text)
            && now.saturating_duration_since(*last) < QUIET
        {
            return false;
        }
        if logged.len() >= CAPACITY {
            logged.clear();
        }
        logged.insert(text.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a log that a stranger can fill, and a warning that is never repeated.
    #[test]
    fn a_warning_is_logged_once_a_minute() {
        let throttle = LogThrottle::default();
        let start = Instant::now();
        assert!(throttle.is_due("locked", start));
        assert!(!throttle.is_due("locked", start + Duration::from_secs(59)));
        assert!(throttle.is_due("other", start));
        assert!(throttle.is_due("locked", start + Duration::from_secs(60)));
    }
}
