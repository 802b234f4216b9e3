//! How an operation ended, in words.

use jiff::Timestamp;

use super::output::{complain, note};
use super::words;
use crate::operations::OperationKind;
use crate::operations::{Operation, Status};
use crate::times;

/// Tells of an ended operation in words, on standard error.
pub(super) fn print(operation: &Operation) {
    for problem in operation.problems.iter().take(50) {
        complain!("{}: {} ({})", problem.path, problem.detail, problem.kind);
    }
    if operation.problem_count > 50 {
        complain!(
            "… and {} more problems (all with --json)",
            operation.problem_count - 50
        );
    }
    for warning in &operation.warnings {
        note!("warning: {warning}");
    }
    for omitted in &operation.not_included {
        note!("not included: {omitted}");
    }
    if let Some(count) = operation.special_files {
        note!(
            "not included: {count} links or special files: {}",
            operation.special_sample.join(", ")
        );
    }
    if let Some(count) = operation.unaddressable_files {
        note!(
            "not included: {count} files whose names no key can carry: {}",
            operation.unaddressable_sample.join(", ")
        );
    }
    if let Some(copy) = &operation.incomplete_copy {
        complain!("kept as an incomplete copy: {copy}");
    }
    if let Some(sample) = &operation.sample {
        note!(
            "a sample: {} of {} files, {} of {}{}",
            operation.processed_files,
            sample.of_files,
            words::size(operation.processed_bytes),
            words::size(sample.of_bytes),
            sample.covered.map_or_else(String::new, |covered| format!(
                "; samples have read {:.0}% of the backup since this round began",
                (covered * 100.0).floor()
            )),
        );
    }
    if let Some(count) = operation.set_aside_files.filter(|count| *count > 0) {
        let place = operation.set_aside_location.as_deref().map_or_else(
            || "removed".to_owned(),
            |place| format!("set aside: {place}"),
        );
        note!("replaced live files ({count}) {place}");
    }
    for kept in &operation.kept {
        note!("kept what was there: {kept}");
    }
    if operation.restart_required == Some(true) {
        note!("restart Arc: it keeps tokens and configuration in memory");
    }
    let now = Timestamp::now();
    let what = format!("{} {}", operation.operation, operation.backup_id);
    let target = operation.target.as_deref().unwrap_or("?");
    match &operation.error {
        Some(error) => {
            let took = words::took(operation, now).unwrap_or_default();
            let ended = match operation.status {
                Status::Cancelled => "cancelled",
                _ => "failed",
            };
            complain!("{what} {ended} after {}: {error}", times::long(took));
        }
        None => note!(
            "{what} completed: {}, {} target {target}{}",
            words::figures(operation, now),
            match operation.operation {
                OperationKind::Backup => "to",
                OperationKind::Restore => "from",
                _ => "in",
            },
            match operation.has_checksums {
                Some(false) => " (unverified: Arc's own backup)",
                _ => "",
            },
        ),
    }
}
