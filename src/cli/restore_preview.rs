//! What a restore would do, for people.

use std::time::Duration;

use indicatif::HumanBytes;

use super::output::complain;
use crate::operations::{ExtraFilesPolicy, RestorePlan, RestorePreview};
use crate::times;

/// The width that lines are wrapped to.
const WIDTH: usize = 100;
/// The width of the names in front.
const INDENT: usize = 16;

/// Shows it on standard error.
pub(super) fn show(preview: &RestorePreview) {
    for line in lines(preview) {
        complain!("{line}");
    }
}

/// The lines, each at most 100 columns wide unless a path is longer.
fn lines(preview: &RestorePreview) -> Vec<String> {
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
        None => row(
            "from",
            "Arc itself made it: where the data came from is not known",
        ),
        Some(source) if preview.other_instance => {
            row("from", &format!("ANOTHER INSTANCE: {source}"));
        }
        Some(source) => row("from", &source.to_string()),
    }
    let destination = &preview.destination;
    row("to", &destination.storage.to_string());
    for path in &destination.databases {
        row("", path);
    }
    if let Some(path) = &destination.config {
        row("", path);
    }
    if !preview.databases.is_empty() {
        row("databases", &preview.databases.join(", "));
    }
    if !preview.sqlite_databases.is_empty() {
        row("SQLite", &preview.sqlite_databases.join(", "));
    }
    match (&preview.plan, &preview.plan_error) {
        (Some(plan), _) => {
            row("files", &files(plan));
            let bytes = HumanBytes(plan.bytes_to_write).to_string();
            row("to write", &bytes);
        }
        (None, Some(error)) => row("files", &format!("not known: {error}")),
        (None, None) => row("files", "not known yet: counting takes longer"),
    }
    row("Arc", &arc(preview));
    let afterwards = match preview.restart_required {
        true => "restart Arc: it keeps tokens and configuration in memory",
        false => "Arc needs no restart",
    };
    row("afterwards", afterwards);
    lines
}

fn files(plan: &RestorePlan) -> String {
    let replaced = match plan.replaced_files {
        0 => String::new(),
        count => format!(" ({count} in place of live files, which are set aside)"),
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
    format!(
        "{} written{replaced}{extra}; {} unchanged",
        plan.written_files, plan.unchanged_files
    )
}

fn arc(preview: &RestorePreview) -> String {
    let how = preview.arc_seen.as_deref().unwrap_or_default();
    match preview.arc_running {
        Some(true) => format!("runs ({how}): it is safest to stop it first"),
        Some(false) => format!("does not run ({how})"),
        None => "not seen running, but it may run".to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An operator reads it at 3 a.m., on a terminal of whatever width.
    #[test]
    fn rows_are_wrapped_between_words() {
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
        let lines = lines(&preview);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        let text = lines.join(" ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("databases database_0, database_1,"), "{text}");
        assert!(text.contains("3 written (2 in place"), "{text}");
        assert!(text.contains("not in the backup: 1, set aside"), "{text}");
    }
}
