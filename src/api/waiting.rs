//! `?wait=30s`: an answer that is sent when the operation has ended.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::error::ApiError;
use crate::operations::{ArcBackup, Status};
use crate::times;

/// How long an answer waits at most: proxies and clients give up after a minute or more.
const LIMIT: Duration = Duration::from_secs(60);
/// How often the history is read for an operation of another process.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Limits how many answers wait, so that connections are left for other requests.
#[derive(Debug)]
pub(super) struct WaitLimit(Semaphore);

impl WaitLimit {
    /// Lets half of the connections wait.
    pub(super) fn new(connections: usize) -> Self {
        Self(Semaphore::new(connections / 2))
    }

    /// Returns when the operation has ended, when `time` is over, or when the service ends. Returns
    /// at once where too many answers wait already.
    pub(super) async fn until_ended(
        &self,
        engine: &ArcBackup,
        operation_id: &str,
        time: Duration,
    ) -> crate::Result<()> {
        let ends = Instant::now() + time;
        let Ok(_permit) = self.0.try_acquire() else {
            return Ok(());
        };
        let own = engine.running(operation_id);
        if let Some(running) = own.filter(|running| !running.is_done()) {
            let _ = tokio::time::timeout_at(ends, running.wait()).await;
            return Ok(());
        }
        // Another process runs it.
        loop {
            let operation = engine.operation(operation_id).await?;
            let runs = operation.is_some_and(|operation| operation.status == Status::Running);
            if !runs || engine.is_closing() || Instant::now() >= ends {
                return Ok(());
            }
            tokio::time::sleep_until(ends.min(Instant::now() + POLL_INTERVAL)).await;
        }
    }
}

/// How long the answer to a request waits.
pub(super) fn parse(text: Option<&str>) -> Result<Option<Duration>, ApiError> {
    let Some(text) = text else {
        return Ok(None);
    };
    (times::parse_duration(text))
        .filter(|time| *time <= LIMIT)
        .map(Some)
        .ok_or_else(|| {
            let limit = LIMIT.as_secs();
            let text = format!("wait must be a duration of at most {limit} s, such as 30s or 30");
            ApiError::bad(&text, None)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a wait longer than a client's timeout, which looks like a dead service.
    #[test]
    fn a_wait_is_bounded() {
        for (text, seconds) in [("30s", 30), ("30", 30), ("0", 0), ("1m", 60)] {
            let parsed = parse(Some(text)).expect("a duration");
            assert_eq!(parsed, Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "61s",
            "2m",
            "1h",
            "soon",
            "",
            "-1",
            "30ms",
            "99999999999999999999",
        ] {
            assert!(parse(Some(text)).is_err(), "{text}");
        }
    }
}
