//! How an operation ended, for people.

use jiff::Timestamp;

use super::output::{print_note, print_stderr};
use super::{figures, restore_report};
use crate::backup_type::BackupType;
use crate::operations::{Operation, OperationKind, Status};
use crate::times;

/// Prints how an operation ended, on standard error.
pub(super) fn print(operation: &Operation) {
    for problem in operation.problems.iter().take(50) {
        print_stderr!("{}: {} ({})", problem.path, problem.detail, problem.kind);
    }
    if operation.problem_count > 50 {
        print_stderr!(
            "… and {} more problems (all with --json)",
            operation.problem_count - 50
        );
    }
    for warning in &operation.warnings {
        print_note!("warning: {warning}");
    }
    for omitted in &operation.not_included {
        print_note!("not included: {omitted}");
    }
    if let Some(count) = operation.special_files {
        print_note!(
            "not included: {count} links or special files: {}",
            operation.special_sample.join(", ")
        );
    }
    if let Some(count) = operation.unaddressable_files {
        print_note!(
            "not included: {count} files with unsupported names: {}",
            operation.unaddressable_sample.join(", ")
        );
    }
    if let Some(copy) = &operation.incomplete_copy {
        print_stderr!("kept as an incomplete copy: {copy}");
    }
    if let Some(sample) = &operation.sample {
        print_note!(
            "sample: {} of {} files, {} of {}{}",
            operation.processed_files,
            sample.of_files,
            figures::size(operation.processed_bytes),
            figures::size(sample.of_bytes),
            sample.covered.map_or_else(String::new, |covered| format!(
                "; the samples of this round have read {:.0}% of the backup",
                (covered * 100.0).floor()
            )),
        );
    }
    if operation.operation.changes_live_data() {
        restore_report::print_outcome(operation);
    }
    if let (Some(files), Some(bytes)) = (operation.freed_files, operation.freed_bytes) {
        let stays = (operation.retained_files).zip(operation.retained_bytes);
        let (kept_files, kept_bytes) = stays.unwrap_or_default();
        print_note!(
            "freed: {}",
            figures::freed([files, bytes], [kept_files, kept_bytes])
        );
    }
    let now = Timestamp::now();
    for id in &operation.deleted_backups {
        print_note!("deleted {id}");
    }
    let kind = match operation.backup_type {
        Some(BackupType::Incremental) if operation.operation == OperationKind::Backup => {
            "incremental "
        }
        _ => "",
    };
    let what = format!("{kind}{} {}", operation.operation, operation.backup_id);
    // Of a prune there is no one backup.
    let what = what.trim_end();
    if operation.unchanged == Some(true) {
        print_note!(
            "{what}: already in target {}, nothing was {}",
            (operation.to_target.as_deref())
                .or(operation.target.as_deref())
                .unwrap_or("?"),
            operation.operation.participle()
        );
        return;
    }
    let to = (operation.to_target.as_ref()).map_or_else(String::new, |to| {
        let reused = match (operation.reused_files, operation.reused_bytes) {
            (Some(files), Some(bytes)) => format!(
                "; it had {files} of the files already, {}",
                figures::size(bytes)
            ),
            _ => String::new(),
        };
        format!(" to target {to}{reused}")
    });
    let to = match (&operation.file, operation.operation) {
        (Some(file), OperationKind::Import) => format!(" from {file}"),
        (Some(file), _) => format!(" to {file}"),
        (None, _) => to,
    };
    let place = match &operation.targets[..] {
        [] => format!("target {}", operation.target.as_deref().unwrap_or("?")),
        several => format!("the targets {}", several.join(", ")),
    };
    match &operation.error {
        Some(error) => {
            let took = figures::took(operation, now).unwrap_or_default();
            let ended = match operation.status {
                Status::Cancelled => "cancelled",
                _ => "failed",
            };
            print_stderr!("{what} {ended} after {}: {error}", times::long(took));
        }
        None => print_note!(
            "{what} completed: {}, {} {place}{to}{}",
            figures::figures(operation, now),
            match operation.operation.as_str() {
                "backup" | "import" => "to",
                "restore" | "copy" | "export" | "extract" => "from",
                _ => "in",
            },
            match operation.has_checksums {
                Some(false) => " (without checksums: the backup was made by Arc)",
                _ => "",
            },
        ),
    }
}
