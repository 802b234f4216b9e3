//! `history` and `status`.

use std::sync::Arc;

use jiff::Timestamp;
use poem_openapi::types::ToJSON;

use super::arguments::HistoryArguments;
use super::exit_code::DONE;
use super::output::{escaped, print_line, print_note, print_stderr};
use super::signals::Signals;
use super::table::{Table, left, right};
use super::{figures, json};
use crate::api::types;
use crate::backup_type::BackupType;
use crate::names::shortened;
use crate::operations::{ArcBackup, Operation, OperationFilter, OperationKind, Status};
use crate::{Result, times};

pub(super) async fn status(
    engine: &Arc<ArcBackup>,
    as_json: bool,
    signals: &Signals,
) -> Result<u8> {
    let status = signals.or_interrupted(engine.status()).await?;
    match (as_json, status) {
        (true, Some(operation)) => print_line(&json::operation(operation)),
        (true, None) => print_line(&types::IdleBody::new(engine).await.to_json_string()),
        (false, None) => print_line("idle"),
        (false, Some(operation)) => {
            let now = Timestamp::now();
            status_lines(&operation, now)
                .iter()
                .for_each(|text| print_line(text));
        }
    }
    if let Some(marker) = engine.interrupted_restore().await {
        print_stderr!("{}: {}", marker, marker.remedy());
    }
    Ok(DONE)
}

fn status_lines(operation: &Operation, now: Timestamp) -> Vec<String> {
    if operation.operation == OperationKind::Unknown {
        let error = operation.error.as_deref().unwrap_or_default();
        return vec![format!("operation {}: {error}", operation.operation_id)];
    }
    let status = word(operation.status);
    let mut lines = vec![format!(
        "{}{} {}{}: {status}{}",
        match operation.backup_type {
            Some(BackupType::Incremental) if operation.operation == OperationKind::Backup => {
                "incremental "
            }
            _ => "",
        },
        operation.operation,
        operation.backup_id,
        place(operation),
        match &operation.phase {
            Some(phase) if operation.status == Status::Running => format!(" ({phase})"),
            _ => String::new(),
        },
    )];
    if !operation.scope.is_empty() {
        lines.push(format!("databases {}", operation.scope.join(", ")));
    }
    if let Some(selection) = &operation.selection {
        lines.push(format!("of {selection}"));
    }
    lines.push(match operation.status {
        Status::Running => progress(operation),
        _ => figures::figures(operation, now),
    });
    lines.push(format!(
        "operation {}, started {}, by {} ({})",
        operation.operation_id,
        figures::utc_and_age(&operation.started_at, now),
        operation.actor,
        operation.origin,
    ));
    if let Some(error) = &operation.error {
        lines.push(format!("error: {error}"));
    }
    for also in &operation.also_running {
        lines.push(format!(
            "also running: {} {}",
            also.operation, also.operation_id
        ));
    }
    lines.iter().map(|text| escaped(text)).collect()
}

/// `450 of 1200 files, 2.00 of 5.00 GiB (40%), 512 MiB/s, 6s left`.
fn progress(operation: &Operation) -> String {
    if operation.phase == Some(crate::operations::Phase::Reusing) {
        // The total grows with what is done.
        return format!(
            "{} files, {} so far",
            operation.processed_files,
            figures::size(operation.processed_bytes)
        );
    }
    let mut text = format!(
        "{} of {} files, {} of {}",
        operation.processed_files,
        operation.total_files,
        figures::size(operation.processed_bytes),
        figures::size(operation.total_bytes),
    );
    if let Some(rate) = operation.bytes_per_second {
        text.push_str(&format!(", {}/s", figures::size(rate)));
    }
    if let Some(seconds) = operation.eta_seconds {
        let left = std::time::Duration::from_secs(seconds);
        text.push_str(&format!(", {} left", times::long(left)));
    }
    text
}

pub(super) async fn history(
    engine: &Arc<ArcBackup>,
    arguments: HistoryArguments,
    as_json: bool,
    signals: &Signals,
) -> Result<u8> {
    let filter = OperationFilter {
        targets: arguments.target.into_iter().collect(),
        statuses: (arguments.status.as_deref().and_then(Status::from_name))
            .into_iter()
            .collect(),
        operations: (arguments
            .operation
            .as_deref()
            .and_then(OperationKind::from_name))
        .into_iter()
        .collect(),
        since: arguments.since,
        ..OperationFilter::default()
    };
    let found = engine.find_operations(&filter, 0, arguments.limit);
    let operations = signals.or_interrupted(found).await?.operations;
    if as_json {
        print_line(&json::pretty(&json::operations(operations)));
        return Ok(DONE);
    }
    if operations.is_empty() {
        print_note!("no operations");
        return Ok(DONE);
    }
    let now = Timestamp::now();
    let mut table = Table::new([
        left("OPERATION ID"),
        left("STARTED (UTC)").or_drop(2),
        right("AGE").or_drop(1),
        left("TYPE"),
        left("STATUS"),
        right("FILES"),
        right("SIZE"),
        right("TOOK"),
    ]);
    for operation in &operations {
        let is_known = operation.operation != OperationKind::Unknown;
        let took = figures::took(operation, now).filter(|_| is_known);
        let took = took.map_or_else(String::new, times::short);
        table.row([
            operation.operation_id.clone(),
            figures::utc(&operation.started_at),
            figures::age(&operation.started_at, now),
            operation.operation.to_string(),
            word(operation.status),
            operation.processed_files.to_string(),
            figures::size(operation.processed_bytes),
            took,
        ]);
        if is_known {
            let scope = match operation.scope.is_empty() {
                true => String::new(),
                false => format!(" of {}", shortened(&operation.scope)),
            };
            let selection = operation.selection.as_ref();
            let selection = selection.map_or_else(String::new, |part| format!(", of it {part}"));
            table.note(&format!(
                "{}{scope}{}{selection}, by {} ({})",
                operation.backup_id,
                place(operation),
                operation.actor,
                operation.origin
            ));
        }
        if let Some(error) = &operation.error {
            table.note(&format!("error: {error}"));
        }
    }
    table.print();
    Ok(DONE)
}

/// ` in target local`, or of a copy ` from target local to target offsite`, where it is known.
fn place(operation: &Operation) -> String {
    let target = operation.target.as_ref();
    match &operation.to_target {
        Some(to) => {
            let from = target.map_or_else(String::new, |target| format!(" from target {target}"));
            format!("{from} to target {to}")
        }
        None => target.map_or_else(String::new, |target| format!(" in target {target}")),
    }
}

fn word(status: Status) -> String {
    status.as_str().to_owned()
}
