//! What a restore would do, and what it did: the same rows in the same order.

use std::time::Duration;

use super::figures;
use super::output::{escaped, print_line, print_note, print_stderr};
use super::table::{Table, left, right};
use crate::operations::{ExtraFilesPolicy, Operation, RestorePlan, RestorePreview};
use crate::times;

/// The width that lines are wrapped to.
const WIDTH: usize = 100;
/// The width of the names in front.
const INDENT: usize = 16;
const RESTART: &str = "restart Arc: it keeps tokens and configuration in memory";

/// Prints what a restore would do, on standard error.
pub(super) fn print_preview(preview: &RestorePreview) {
    for line in preview_lines(preview) {
        print_stderr!("{line}");
    }
}

/// Prints the plan that a restore can name, on standard output.
pub(super) fn print_plan(preview: &RestorePreview) {
    for line in preview_lines(preview)
        .into_iter()
        .chain(plan_lines(preview))
    {
        print_line(&escaped(&line));
    }
}

/// What changes in each database, the room that is needed, and how to do it.
fn plan_lines(preview: &RestorePreview) -> Vec<String> {
    let mut lines = Vec::new();
    for room in preview.plan.iter().flat_map(|plan| &plan.room) {
        let text = format!(
            "{} must be free at {}",
            figures::size(room.bytes),
            room.path
        );
        wrap(&mut lines, "room", &text);
    }
    let databases = preview.plan.iter().flat_map(|plan| &plan.databases);
    let mut table = Table::new([
        left("DATABASE"),
        right("WRITTEN"),
        right("BYTES"),
        right("REPLACED"),
        right("EXTRA"),
        right("UNCHANGED"),
    ]);
    for one in databases {
        table.row([
            one.name.clone(),
            one.written_files.to_string(),
            figures::size(one.bytes_to_write),
            one.replaced_files.to_string(),
            one.extra_files.to_string(),
            one.unchanged_files.to_string(),
        ]);
    }
    if !table.is_empty() {
        lines.push(String::new());
        lines.extend(table.lines());
    }
    lines.push(String::new());
    lines.push(match &preview.plan_id {
        Some(plan_id) => {
            format!("nothing was changed; to do this and nothing else, add --plan {plan_id}")
        }
        None => "nothing was changed".to_owned(),
    });
    lines
}

/// Prints what a restore did, on standard error.
pub(super) fn print_outcome(operation: &Operation) {
    for line in outcome_lines(operation) {
        print_note!("{line}");
    }
}

/// The lines, each at most 100 columns wide unless a path is longer.
fn preview_lines(preview: &RestorePreview) -> Vec<String> {
    let mut lines = vec![format!(
        "Restore of {} (target {})",
        preview.backup_id, preview.target
    )];
    // To the second.
    let created = preview.created_at.get(..19).unwrap_or(&preview.created_at);
    let created = &created.replace('T', " ");
    let age = preview.age_seconds.map_or_else(
        || created.clone(),
        |age| {
            format!(
                "{} ago ({created} UTC)",
                times::long(Duration::from_secs(age))
            )
        },
    );
    let mut row = |name: &str, text: &str| wrap(&mut lines, name, text);
    row("made", &age);
    match &preview.source {
        None => row("from", "not known: the backup was made by Arc"),
        Some(source) if preview.other_instance => {
            row("from", &format!("ANOTHER INSTANCE: {source}"));
        }
        Some(source) => row("from", &source.to_string()),
    }
    let destination = &preview.destination;
    match preview.is_live {
        true => row("to", &destination.storage.to_string()),
        false => row(
            "to",
            &format!(
                "{}: nothing that is live is touched",
                destination.storage.location
            ),
        ),
    }
    for path in &destination.databases {
        row("", path);
    }
    if let Some(path) = &destination.config {
        row("", path);
    }
    if let Some(path) = &destination.warehouse {
        row("", &format!("{path} (Iceberg warehouse: extra files stay)"));
    }
    for (old, new) in &preview.rename {
        row(
            "renamed",
            &format!("{old} as {new}: nothing else is restored"),
        );
    }
    if !preview.scope.is_empty() && preview.rename.is_empty() {
        let scope = preview.scope.join(", ");
        row("scope", &format!("{scope}: no other database is touched"));
    }
    if let Some(selection) = &preview.selection {
        row("scope", &format!("{selection}: nothing else is touched"));
    }
    if !preview.databases.is_empty() {
        row("databases", &preview.databases.join(", "));
    }
    if !preview.sqlite_databases.is_empty() {
        row("SQLite", &preview.sqlite_databases.join(", "));
    }
    match (&preview.plan, &preview.plan_error) {
        (Some(plan), _) => {
            add_plan(&mut lines, plan);
            for warning in &plan.warnings {
                wrap(&mut lines, "warning", warning);
            }
        }
        (None, Some(error)) => row("files", &format!("not known: {error}")),
        (None, None) => row("files", "not known yet: counting takes longer"),
    }
    let mut row = |name: &str, text: &str| wrap(&mut lines, name, text);
    if preview.is_live {
        row("Arc", &arc(preview));
        let afterwards = match preview.restart_required {
            true => RESTART,
            false => "Arc needs no restart",
        };
        row("afterwards", afterwards);
    }
    lines
}

/// The same rows for a restore that has ended, as far as it came.
fn outcome_lines(operation: &Operation) -> Vec<String> {
    let mut lines = Vec::new();
    if operation.error.is_none() {
        let target = operation.target.as_deref().unwrap_or("?");
        lines.push(match &operation.undoes {
            Some(undone) => format!("Took operation {undone} back"),
            None => format!("Restored {} (target {target})", operation.backup_id),
        });
        if let Some(selection) = &operation.selection {
            wrap(&mut lines, "scope", &selection.to_string());
        }
        if let Some(plan) = &operation.plan {
            add_plan(&mut lines, plan);
        }
    }
    let mut row = |name: &str, text: &str| wrap(&mut lines, name, text);
    let set_aside = operation.set_aside_files.unwrap_or_default();
    match &operation.set_aside_location {
        _ if set_aside == 0 => {}
        Some(location) => row(
            "set aside",
            &format!("{}, in {location}", files(set_aside, "")),
        ),
        None => row("removed", &files(set_aside, "replaced or extra ")),
    }
    for location in &operation.kept {
        row("set aside", location);
    }
    if let Some(appeared) = operation.appeared_files.filter(|count| *count > 0) {
        row(
            "kept",
            &format!("{} that Arc wrote during the restore", files(appeared, "")),
        );
    }
    if operation.restart_required == Some(true) {
        row("afterwards", RESTART);
    }
    lines.iter().map(|line| escaped(line)).collect()
}

/// The figures of a plan: what is to change, or has changed.
fn add_plan(lines: &mut Vec<String>, plan: &RestorePlan) {
    let replaced = match (plan.replaced_files, plan.extra_files_policy) {
        (0, _) => String::new(),
        (count, ExtraFilesPolicy::Remove) => format!(
            " ({count} in place of live files; those of the data are removed, databases set aside)"
        ),
        (count, _) => format!(" ({count} in place of live files, set aside)"),
    };
    let extra = match (plan.extra_files, plan.extra_files_policy) {
        (0, _) => String::new(),
        (count, policy) => {
            let what = match policy {
                ExtraFilesPolicy::SetAside => "set aside",
                ExtraFilesPolicy::Keep => "kept",
                ExtraFilesPolicy::Remove => "removed",
            };
            format!("; live and not in the backup: {count}, {what}")
        }
    };
    let written = format!(
        "{} written{replaced}{extra}; {} unchanged",
        plan.written_files, plan.unchanged_files
    );
    wrap(lines, "files", &written);
    let bytes = format!("{} written", figures::size(plan.bytes_to_write));
    wrap(lines, "bytes", &bytes);
    if plan.cold_files_skipped_already_cold > 0 {
        let cold = files(plan.cold_files_skipped_already_cold, "");
        let text = format!("{cold} moved there since the backup, and stay there");
        wrap(lines, "cold tier", &text);
    }
}

fn arc(preview: &RestorePreview) -> String {
    let how = preview.arc_seen.as_deref().unwrap_or_default();
    match preview.arc_running {
        Some(true) => format!("runs ({how}): it is safest to stop it first"),
        Some(false) => format!("does not run ({how})"),
        None => "not seen, but it may be running".to_owned(),
    }
}

/// Adds a row, wrapped between words.
fn wrap(lines: &mut Vec<String>, name: &str, text: &str) {
    let mut line = format!("  {name:<0$}", INDENT - 2);
    let mut is_empty = true;
    for word in text.split(' ') {
        let width = line.chars().count() + 1 + word.chars().count();
        if !is_empty && width > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(INDENT)));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
}

/// `1 file`, `3 extra files`.
fn files(count: u64, kind: &str) -> String {
    match count {
        1 => format!("1 {kind}file"),
        _ => format!("{count} {kind}files"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: rows that no terminal shows well, and a result in other words than the
    /// preview.
    #[test]
    fn preview_and_outcome_have_the_same_figures() {
        let preview = RestorePreview {
            databases: (0..60).map(|n| format!("database_{n}")).collect(),
            plan: Some(RestorePlan {
                written_files: 3,
                replaced_files: 2,
                extra_files: 1,
                ..RestorePlan::default()
            }),
            ..RestorePreview::default()
        };
        let lines = preview_lines(&preview);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        let text = lines.join(" ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("databases database_0, database_1,"), "{text}");
        assert!(text.contains("3 written (2 in place"), "{text}");
        assert!(text.contains("not in the backup: 1, set aside"), "{text}");
        let operation = Operation {
            plan: preview.plan,
            set_aside_files: Some(3),
            set_aside_location: Some("/aside".to_owned()),
            ..Operation::default()
        };
        let outcome = outcome_lines(&operation);
        let figures = |lines: &[String]| {
            (lines.iter().filter(|line| line.contains("written")))
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(figures(&lines), figures(&outcome));
        assert!(outcome.contains(&"  set aside     3 files, in /aside".to_owned()));
        assert_eq!(files(1, "extra "), "1 extra file");
    }
}
