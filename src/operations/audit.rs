//! The audit trail: a line in the log where an operation starts, where it ends, and where somebody
//! cancels it.
//!
//! Its target is `arc_backup::audit`. A service writes it by default; a command's own output says
//! the same.

use std::time::Duration;

use jiff::Timestamp;

use crate::operations::Origin;
use crate::operations::{Operation, Status};

/// An operation starts.
pub(crate) fn started(operation: &Operation) {
    tracing::info!(
        target: "arc_backup::audit",
        operation = operation.operation.as_str(),
        operation_id = operation.operation_id,
        backup_id = operation.backup_id,
        target = operation.target,
        actor = operation.actor,
        origin = operation.origin.as_str(),
        "operation started"
    );
}

/// An operation has ended, or failed before it began.
pub(crate) fn ended(operation: &Operation) {
    let seconds = duration(operation).unwrap_or_default().as_secs_f64();
    let rate = (seconds > 0.0).then(|| (operation.processed_bytes as f64 / seconds) as u64);
    // The level is a part of each place that logs.
    macro_rules! log {
        ($level:ident, $text:literal) => {
            tracing::$level!(
                target: "arc_backup::audit",
                operation = operation.operation.as_str(),
                operation_id = operation.operation_id,
                backup_id = operation.backup_id,
                target = operation.target,
                actor = operation.actor,
                origin = operation.origin.as_str(),
                status = operation.status.as_str(),
                files = operation.processed_files,
                bytes = operation.processed_bytes,
                duration_seconds = (seconds * 1000.0).round() / 1000.0,
                bytes_per_second = rate,
                problems = operation.problem_count,
                error = operation.error,
                $text
            )
        };
    }
    match operation.status {
        Status::Completed | Status::Running => log!(info, "operation completed"),
        Status::Cancelled => log!(warn, "operation cancelled"),
        Status::Failed => log!(error, "operation failed"),
    }
}

/// Somebody asked an operation to end.
pub(crate) fn cancel_requested(
    operation: &str,
    operation_id: &str,
    backup_id: Option<&str>,
    actor: &str,
    origin: Origin,
) {
    tracing::warn!(
        target: "arc_backup::audit",
        operation,
        operation_id,
        backup_id,
        actor,
        origin = origin.as_str(),
        "cancel requested"
    );
}

fn duration(operation: &Operation) -> Option<Duration> {
    let moment = |text: &str| text.parse::<Timestamp>().ok();
    let (started, ended) = (
        moment(&operation.started_at)?,
        moment(operation.completed_at.as_deref()?)?,
    );
    Duration::try_from(ended.duration_since(started)).ok()
}
