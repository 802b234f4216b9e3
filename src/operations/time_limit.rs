//! The time limit of an operation.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::operations::Request;

/// The time limit of an operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TimeLimit {
    /// The configured limit, `backup.timeout`.
    #[default]
    Configured,
    /// No limit.
    Unlimited,
    /// The limit of the request.
    Within(Duration),
}

impl TimeLimit {
    /// Parses the limit of a request: `90s`, `30m`, `6h`, `1d`, or a number of seconds; `0` means
    /// no limit.
    ///
    /// # Errors
    /// Returns a description of the allowed values.
    pub fn parse(text: &str) -> Result<Self, String> {
        match crate::times::parse_duration(text) {
            Some(Duration::ZERO) => Ok(Self::Unlimited),
            Some(limit) => Ok(Self::Within(limit)),
            None => {
                Err("expected a duration such as 90s, 30m, 6h or 1d; 0 means no limit".to_owned())
            }
        }
    }
}

/// A request with the time limit of its operation.
#[derive(Debug, Clone)]
pub struct TimedRequest {
    pub(crate) request: Request,
    pub(crate) limit: TimeLimit,
}

impl From<Request> for TimedRequest {
    fn from(request: Request) -> Self {
        request.within(TimeLimit::Configured)
    }
}

impl TimedRequest {
    /// Returns the request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }
}

impl Request {
    /// Returns the request with this time limit.
    #[must_use]
    pub fn within(self, limit: TimeLimit) -> TimedRequest {
        TimedRequest {
            request: self,
            limit,
        }
    }
}

/// The time limit of a requested operation. Its `Display` names the setting that it comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeAllowed {
    total: Option<Duration>,
    ends: Option<Instant>,
    is_of_request: bool,
}

impl TimeAllowed {
    /// Starts the time now.
    pub(crate) fn new(limit: TimeLimit, configured: Option<Duration>) -> Self {
        let (total, is_of_request) = match limit {
            TimeLimit::Configured => (configured, false),
            TimeLimit::Unlimited => (None, true),
            TimeLimit::Within(total) => (Some(total), true),
        };
        Self {
            total,
            ends: total.map(|total| Instant::now() + total),
            is_of_request,
        }
    }

    /// Returns the remaining time; `None` if there is no limit.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        Some(self.ends?.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// Returns the result of `work`; `None` if the time runs out first.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match self.ends {
            Some(ends) => tokio::time::timeout_at(ends, work).await.ok(),
            None => Some(work.await),
        }
    }
}

impl fmt::Display for TimeAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.total.unwrap_or_default().as_secs();
        match self.is_of_request {
            true => write!(f, "the timeout of the request ({seconds} s)"),
            false => write!(f, "`backup.timeout` ({seconds} s)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a restore that an unintended limit ends.
    #[test]
    fn limits_are_read_as_they_are_meant() {
        let within = |seconds| Ok(TimeLimit::Within(Duration::from_secs(seconds)));
        assert_eq!(TimeLimit::parse("6h"), within(21_600));
        assert_eq!(TimeLimit::parse("90"), within(90));
        assert_eq!(TimeLimit::parse("0"), Ok(TimeLimit::Unlimited));
        assert_eq!(TimeLimit::parse("0s"), Ok(TimeLimit::Unlimited));
        for wrong in ["", "soon", "-5", "5x", "99999999999999999999"] {
            assert!(TimeLimit::parse(wrong).is_err(), "{wrong:?}");
        }
        let configured = Some(Duration::from_secs(7200));
        let allowed = TimeAllowed::new(TimeLimit::Unlimited, configured);
        assert!(allowed.remaining().is_none() && !allowed.is_over());
        let allowed = TimeAllowed::new(TimeLimit::Configured, configured);
        assert!(allowed.remaining() > Some(Duration::from_secs(7190)));
        assert_eq!(allowed.to_string(), "`backup.timeout` (7200 s)");
        assert!(
            TimeAllowed::new(TimeLimit::Configured, None)
                .remaining()
                .is_none()
        );
    }
}
