//! Whether a restore will end in time, by what others have taken before.
//!
//! The rate is that of past operations in the history, so it is no more than a guess: another network, another disk, other
//! sizes of files. Up to twice the time that is left is therefore a warning. Only what is far past it is refused, before
//! anything is staged. Where nothing was measured, nothing is said.

use std::time::Duration;

use jiff::Timestamp;

use super::context::Context;
use super::operation::{Operation, Status};
use crate::{Error, Result};

/// How many operations are looked at.
const RECENT: u64 = 200;
/// What took less, or was smaller, tells nothing of a rate.
const SHORTEST_SECS: f64 = 1.0;
const SMALLEST_BYTES: u64 = 1 << 20;
/// How many times the time that is left a restore may seem to need.
const FAR_PAST: f64 = 2.0;

/// Refuses a restore that has to go through `bytes` and can't in the time that is left, or warns.
pub(super) async fn check_time(context: &Context, bytes: u64) -> Result<()> {
    let Some(left) = context.time.left() else {
        return Ok(());
    };
    let operations = match context.history.list(0, RECENT).await {
        Ok(operations) => operations,
        Err(error) => {
            tracing::warn!(%error, "how fast past operations were is not known");
            return Ok(());
        }
    };
    let Some(rate) = rate_of(&operations, context.repository.name()) else {
        return Ok(());
    };
    let text = |needed: Duration| {
        format!(
            "{bytes} bytes take about {} s at the rate of past operations ({} bytes a second), and {} s are left of {}: \
             allow more with `--timeout` (timeout), or `backup.timeout`; 0 is no limit",
            needed.as_secs(),
            rate as u64,
            left.as_secs(),
            context.time
        )
    };
    match judge(bytes, rate, left) {
        Verdict::Fits => {}
        Verdict::MayNotFit(needed) => context.warn(text(needed)),
        Verdict::FarPast(needed) => return Err(Error::Failed(text(needed))),
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Fits,
    MayNotFit(Duration),
    FarPast(Duration),
}

fn judge(bytes: u64, rate: f64, left: Duration) -> Verdict {
    let seconds = bytes as f64 / rate;
    let needed = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    let left = left.as_secs_f64();
    if seconds <= left {
        Verdict::Fits
    } else if seconds <= left * FAR_PAST {
        Verdict::MayNotFit(needed)
    } else {
        Verdict::FarPast(needed)
    }
}

/// Bytes a second, by the fastest restore from this target; else by the fastest verification, which only reads.
fn rate_of(operations: &[Operation], target: &str) -> Option<f64> {
    let fastest = |kind: &str| {
        (operations.iter())
            .filter(|one| one.operation == kind && one.target.as_deref() == Some(target))
            .filter_map(rate)
            .max_by(f64::total_cmp)
    };
    fastest("restore").or_else(|| fastest("verify"))
}

fn rate(operation: &Operation) -> Option<f64> {
    let moment = |text: &str| text.parse::<Timestamp>().ok();
    let (began, ended) = (
        moment(&operation.started_at)?,
        moment(operation.completed_at.as_deref()?)?,
    );
    let seconds = ended.duration_since(began).as_secs_f64();
    let is_measure = operation.status == Status::Completed
        && seconds >= SHORTEST_SECS
        && operation.processed_bytes >= SMALLEST_BYTES;
    is_measure.then(|| operation.processed_bytes as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(kind: &str, target: &str, bytes: u64, seconds: i64) -> Operation {
        let began = Timestamp::UNIX_EPOCH;
        Operation {
            operation: kind.to_owned(),
            target: Some(target.to_owned()),
            status: Status::Completed,
            processed_bytes: bytes,
            started_at: began.to_string(),
            completed_at: Some((began + jiff::SignedDuration::from_secs(seconds)).to_string()),
            ..Operation::default()
        }
    }

    /// Lost otherwise: two hours, to a restore that could not have ended in them; or a restore that would have.
    #[test]
    fn the_rate_is_that_of_restores_from_the_same_target() {
        let mib = 1 << 20;
        let mut past = vec![
            operation("verify", "far", 900 * mib, 1),
            operation("restore", "near", 900 * mib, 1),
            operation("restore", "far", 100 * mib, 10),
            operation("restore", "far", 90 * mib, 10),
            // Too small, and too short, to tell.
            operation("restore", "far", 1000, 1),
            operation("restore", "far", 900 * mib, 0),
        ];
        assert_eq!(rate_of(&past, "far"), Some(10.0 * mib as f64));
        past[2].status = Status::Failed;
        assert_eq!(rate_of(&past, "far"), Some(9.0 * mib as f64));
        past.truncate(1);
        assert_eq!(rate_of(&past, "far"), Some(900.0 * mib as f64));
        assert_eq!(rate_of(&past, "moon"), None);
    }

    #[test]
    fn only_what_is_far_past_the_limit_is_refused() {
        let left = Duration::from_secs(100);
        assert_eq!(judge(1_000, 10.0, left), Verdict::Fits);
        let needed = Duration::from_secs(200);
        assert_eq!(judge(2_000, 10.0, left), Verdict::MayNotFit(needed));
        let needed = Duration::from_secs(201);
        assert_eq!(judge(2_010, 10.0, left), Verdict::FarPast(needed));
    }
}
