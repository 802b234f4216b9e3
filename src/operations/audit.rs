//! The audit trail: a log line for the start, the end and the cancellation of each operation.
//!
//! Its log target is `arc_backup::audit`. A service writes it by default; a command prints the same
//! facts.

use std::time::Duration;

use jiff::Timestamp;

use crate::operations::Origin;
use crate::operations::{Operation, Status};

/// Logs the start of an operation.
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

/// Logs the end of an operation, or its failure to start.
pub(crate) fn ended(operation: &Operation) {
    let seconds = duration(operation).unwrap_or_default().as_secs_f64();
    let rate = (seconds > 0.0).then(|| (operation.processed_bytes as f64 / seconds) as u64);
    // A macro: the level of a tracing event is fixed at compile time.
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

/// Logs a request to cancel an operation.
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
