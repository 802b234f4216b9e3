//! Estimating whether a restore will end within its time limit.
//!
//! The estimate uses the rate of past operations in the history. The network, the disk and the
//! sizes of files may differ now. So the result is a warning before anything is staged, and never a
//! refusal: the next restore reuses the staged files. Without past operations there is no estimate.

use std::time::Duration;

use jiff::Timestamp;

use crate::Result;
use crate::operations::OperationKind;
use crate::operations::context::Context;
use crate::operations::{Operation, Status};

/// The number of past operations that are read.
const RECENT: u64 = 200;
/// The minimum duration and size of an operation for a useful rate.
const SHORTEST_SECS: f64 = 5.0;
const SMALLEST_BYTES: u64 = 64 << 20;

/// Warns if a restore of `bytes` may not end within the remaining time.
pub(crate) async fn check_time(context: &Context, bytes: u64) -> Result<()> {
    let Some(remaining) = context.time.remaining() else {
        return Ok(());
    };
    let operations = match context.history.list(0, RECENT).await {
        Ok(operations) => operations,
        Err(error) => {
            tracing::warn!(%error, "cannot read the rate of past operations");
            return Ok(());
        }
    };
    let Some(rate) = rate_of(&operations, context.repository.name()) else {
        return Ok(());
    };
    let text = |needed: Duration| {
        format!(
            "{bytes} bytes take about {} s at the rate of past operations ({} bytes per second), but {} s remain \
             of {}: allow more with `--timeout` (timeout), or `backup.timeout`; 0 means no limit",
            needed.as_secs(),
            rate as u64,
            remaining.as_secs(),
            context.time
        )
    };
    if let Some(needed) = needed(bytes, rate).filter(|needed| *needed > remaining) {
        context.warn(text(needed));
    }
    Ok(())
}

/// Returns the estimated time; `None` if it is too long for a [`Duration`].
fn needed(bytes: u64, rate: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(bytes as f64 / rate).ok()
}

/// Returns the rate of the fastest restore or verification from this target, in bytes per second.
fn rate_of(operations: &[Operation], target: &str) -> Option<f64> {
    (operations.iter())
        .filter(|one| [OperationKind::Restore, OperationKind::Verify].contains(&one.operation))
        .filter(|one| one.target.as_deref() == Some(target))
        .filter_map(rate)
        .max_by(f64::total_cmp)
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

    fn operation(kind: OperationKind, target: &str, bytes: u64, seconds: i64) -> Operation {
        let began = Timestamp::UNIX_EPOCH;
        Operation {
            operation: kind,
            target: Some(target.to_owned()),
            status: Status::Completed,
            processed_bytes: bytes,
            started_at: began.to_string(),
            completed_at: Some((began + jiff::SignedDuration::from_secs(seconds)).to_string()),
            ..Operation::default()
        }
    }

    /// Guards against a restore that cannot end in time, and against a warning from a useless rate.
    #[test]
    fn the_rate_is_that_of_large_operations_from_the_same_target() {
        let mib = 1 << 20;
        let mut past = vec![
            operation(OperationKind::Backup, "far", 9000 * mib, 10),
            operation(OperationKind::Restore, "near", 9000 * mib, 10),
            operation(OperationKind::Verify, "far", 300 * mib, 10),
            operation(OperationKind::Restore, "far", 100 * mib, 10),
            // Too small, and too short, for a useful rate.
            operation(OperationKind::Restore, "far", 63 * mib, 5),
            operation(OperationKind::Restore, "far", 900 * mib, 4),
        ];
        assert_eq!(rate_of(&past, "far"), Some(30.0 * mib as f64));
        past[2].status = Status::Failed;
        assert_eq!(rate_of(&past, "far"), Some(10.0 * mib as f64));
        assert_eq!(rate_of(&past, "moon"), None);
        assert_eq!(needed(2_000, 10.0), Some(Duration::from_secs(200)));
        assert_eq!(needed(1, 0.0), None);
    }
}
