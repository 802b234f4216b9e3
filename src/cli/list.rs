//! `list`.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use poem_openapi::types::ToJSON;

use super::arguments::ListArguments;
use super::exit_code::{DONE, FAILED};
use super::figures;
use super::output::{print_line, print_note, print_stderr};
use super::table::{Table, left, right};
use crate::Result;
use crate::api::types;
use crate::manifest::BackupId;
use crate::names::shortened;
use crate::operations::{ArcBackup, ListAnswer, ListFilter};
use crate::repository::{BackupState, Incomplete, LastVerified, Summary};

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    arguments: ListArguments,
    json: bool,
) -> Result<u8> {
    let filter = ListFilter {
        state: arguments.state,
        instance: arguments.instance,
        include_foreign: arguments.include_foreign,
        since: arguments.since,
        until: arguments.until,
        start_after: arguments.start_after,
        limit: arguments.limit,
    };
    let all = arguments.all || arguments.state == Some(BackupState::Incomplete);
    let answer = engine.list(arguments.target.as_deref(), all).await?;
    let answer = answer.filtered(&filter);
    if json {
        print_line(&types::BackupList::from(answer).to_json_string());
        return Ok(DONE);
    }
    if arguments.ids {
        (answer.backups.iter()).for_each(|backup| print_line(&backup.backup_id));
    } else {
        print(&answer, Timestamp::now());
    }
    if !arguments.ids && is_empty(&answer) && answer.errors.is_empty() {
        let is_unfiltered = ListFilter {
            include_foreign: false,
            ..filter.clone()
        };
        print_line(match is_unfiltered == ListFilter::default() {
            true => "no backups",
            false => "no backup matches these filters",
        });
    }
    if answer.foreign_backups > 0 {
        let text = format!(
            "hidden: {} backups of other instances; --include-foreign shows them",
            answer.foreign_backups
        );
        match arguments.ids {
            true => print_note!("{text}"),
            false => print_line(&text),
        }
    }
    for error in &answer.errors {
        print_stderr!("error: target {}: {}", error.target, error.detail);
    }
    Ok(match answer.errors.is_empty() {
        true => DONE,
        false => FAILED,
    })
}

fn is_empty(answer: &ListAnswer) -> bool {
    answer.backups.is_empty()
        && answer.damaged.is_empty()
        && answer.unreadable.is_empty()
        && answer.incomplete_runs.is_empty()
        && answer.incomplete.as_ref().is_none_or(Vec::is_empty)
}

fn print(answer: &ListAnswer, now: Timestamp) {
    let mut table = Table::new([
        left("BACKUP"),
        left("CREATED (UTC)").or_drop(2),
        right("AGE").or_drop(3),
        right("FILES"),
        right("SIZE"),
        left("STATE"),
        left("INSTANCE"),
        left("SCOPE").or_shrink(),
        left("TARGET").or_shrink(),
    ]);
    let instances: BTreeSet<_> = (answer.backups.iter())
        .filter_map(|one| one.instance.as_ref())
        .collect();
    let instance = |of: Option<&String>| match instances.len() {
        // The column says nothing where there is only one.
        0 | 1 => String::new(),
        _ => of.map_or_else(|| "?".to_owned(), |name| name.chars().take(8).collect()),
    };
    for backup in &answer.backups {
        let figures = figures(
            backup.files,
            backup.bytes,
            backup.total_files,
            backup.total_size_bytes,
        );
        let state = state(backup, now);
        let targets = backup.targets.join(", ");
        let place = (&*backup.backup_id, &*targets);
        let instance = instance(backup.instance.as_ref());
        table.row(cells(
            place,
            &backup.created_at,
            figures,
            [state, instance, shortened(&backup.scope)],
            now,
        ));
        if backup.partial_view {
            table.note("not all of its legs could be read: the figures are those of the others");
        }
        if let (true, Some(owner)) = (backup.is_foreign, &backup.owner_instance_id) {
            table.note(&format!("of another instance: {owner}"));
        }
        if let Some(failed) = fault(backup) {
            let when = figures::utc_and_age(&failed.at, now);
            table.note(&format!(
                "a {} verification found faults: {when}; no clean full one since",
                mode(failed)
            ));
        }
    }
    for copy in answer.incomplete.iter().flatten() {
        let figures = figures(
            copy.files,
            copy.bytes,
            copy.total_files,
            copy.total_size_bytes,
        );
        let place = (&*copy.backup_id, &*copy.target);
        let state = copy.state.as_str().to_owned();
        table.row(cells(
            place,
            &copy.created_at,
            figures,
            [state, String::new(), shortened(&copy.scope)],
            now,
        ));
        name_missing(&mut table, copy);
    }
    for run in &answer.incomplete_runs {
        let created = BackupId::parse(&run.backup_id)
            .ok()
            .and_then(|id| id.moment());
        let created = created.map_or_else(String::new, |moment| moment.to_string());
        let targets = run.targets.join(", ");
        let figures = [String::new(), String::new()];
        let state = ["INCOMPLETE".to_owned(), String::new(), String::new()];
        table.row(cells(
            (&run.backup_id, &targets),
            &created,
            figures,
            state,
            now,
        ));
        table.note(&run.detail);
    }
    let damaged =
        (answer.damaged.iter()).map(|one| (&one.backup_id, &one.target, "DAMAGED", &one.detail));
    let unreadable = (answer.unreadable.iter())
        .map(|one| (&one.backup_id, &one.target, one.state.as_str(), &one.detail));
    for (id, target, state, detail) in damaged.chain(unreadable) {
        let created = BackupId::parse(id).ok().and_then(|id| id.moment());
        let created = created.map_or_else(String::new, |moment| moment.to_string());
        let figures = [String::new(), String::new()];
        let state = [state.to_owned(), String::new(), String::new()];
        table.row(cells((id, target), &created, figures, state, now));
        table.note(detail);
    }
    if !table.is_empty() {
        table.print();
    }
    if answer.backups.iter().any(|backup| backup.files.is_none()) {
        print_line("+ made by Arc: only its data files are counted");
    }
    if let Some(next) = &answer.next {
        print_line(&format!("there are more: --start-after {next}"));
    }
}

fn cells(
    (id, target): (&str, &str),
    created: &str,
    [files, size]: [String; 2],
    [state, instance, scope]: [String; 3],
    now: Timestamp,
) -> [String; 9] {
    [
        id.to_owned(),
        figures::utc(created),
        figures::age(created, now),
        files,
        size,
        state,
        instance,
        scope,
        target.to_owned(),
    ]
}

/// All files where they are counted, else only the data files, with a `+`.
fn figures(
    files: Option<u64>,
    bytes: Option<u64>,
    data_files: u64,
    data_bytes: u64,
) -> [String; 2] {
    match (files, bytes) {
        (Some(files), Some(bytes)) => [files.to_string(), figures::size(bytes)],
        _ => [
            format!("{data_files}+"),
            format!("{}+", figures::size(data_bytes)),
        ],
    }
}

/// `unverified`, `ok (2d ago)`, `DAMAGED`.
fn state(backup: &Summary, now: Timestamp) -> String {
    match (backup.state, &backup.last_verified) {
        (BackupState::Damaged, _) => "DAMAGED".to_owned(),
        (BackupState::Ok, Some(last)) => format!("ok ({} ago)", figures::age(&last.at, now)),
        (state, _) => state.as_str().to_owned(),
    }
}

/// The verification that found it damaged.
fn fault(backup: &Summary) -> Option<&LastVerified> {
    let last = backup.last_verified.as_ref().filter(|last| !last.ok);
    last.or(backup.last_failed.as_ref())
}

/// Anybody may have written the note: none of its text reaches the terminal.
pub(super) fn mode(done: &LastVerified) -> &'static str {
    let known = ["full", "quick", "sample"].into_iter();
    known
        .into_iter()
        .find(|mode| *mode == done.mode)
        .unwrap_or("?")
}

fn name_missing(table: &mut Table, copy: &Incomplete) {
    table.note(&format!("lacks {}:", copy.lacks));
    copy.missing
        .iter()
        .for_each(|missing| table.note(&format!("- {missing}")));
    let more = copy.missing_files.saturating_sub(copy.missing.len() as u64);
    if more > 0 {
        table.note(&format!("- and {more} more"));
    }
}
