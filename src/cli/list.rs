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
use crate::backup_type::BackupType;
use crate::manifest::BackupId;
use crate::names::shortened;
use crate::operations::{ArcBackup, ListAnswer, ListFilter};
use crate::repository::{BackupState, Freshness, Incomplete, LastVerified, Summary};
use crate::times;

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    arguments: ListArguments,
    json: bool,
) -> Result<u8> {
    let now = Timestamp::now();
    let filter = ListFilter {
        state: arguments.state,
        labels: arguments.labels,
        backup_type: arguments.backup_type,
        schedule: arguments.schedule,
        locked: arguments.locked.then_some(true),
        before: (arguments.older_than).and_then(|age| times::before(now, age)),
        instance: arguments.instance,
        include_foreign: arguments.include_foreign,
        since: arguments.since,
        until: arguments.until,
        start_after: arguments.start_after,
        limit: arguments.limit,
    };
    let all = arguments.all || arguments.state == Some(BackupState::Incomplete);
    let answer = engine.list_with(arguments.target.as_deref(), all, Freshness::Recent);
    let answer = answer.await?;
    let answer = answer.filtered(&filter);
    if json {
        print_line(&types::BackupList::from(answer).to_json_string());
        return Ok(DONE);
    }
    if arguments.ids {
        (answer.backups.iter()).for_each(|backup| print_line(&backup.backup_id));
    } else {
        print(&answer, now);
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
        right("ROWS").or_drop(4),
        right("NEW"),
        left("TYPE"),
        left("STATE"),
        left("INSTANCE"),
        left("SCOPE").or_shrink(),
        left("LABELS").or_shrink(),
        left("TARGET").or_shrink(),
    ]);
    // Where all are full, each has stored all of its bytes.
    let has_incremental =
        (answer.backups.iter()).any(|one| one.backup_type == BackupType::Incremental.as_str());
    let instances: BTreeSet<_> = (answer.backups.iter())
        .filter_map(|one| one.instance.as_ref())
        .collect();
    let instance = |of: Option<&String>| match instances.len() {
        // The column says nothing where there is only one.
        0 | 1 => String::new(),
        _ => of.map_or_else(|| "?".to_owned(), |name| name.chars().take(8).collect()),
    };
    for backup in &answer.backups {
        let [files, size] = figures(
            backup.files,
            backup.bytes,
            backup.total_files,
            backup.total_size_bytes,
        );
        let new = match has_incremental {
            true => figures::size(backup.new_bytes),
            false => String::new(),
        };
        table.row(Cells {
            rows: figures::rows(backup.total_rows, backup.files_without_rows),
            new,
            of_type: match has_incremental {
                true => short_type(backup),
                false => Default::default(),
            },
            instance: instance(backup.instance.as_ref()),
            scope: shortened(&backup.scope),
            labels: marks(backup, now),
            ..Cells::of(
                (&backup.backup_id, &backup.created_at),
                [files, size],
                state(backup, now),
                backup.targets.join(", "),
                now,
            )
        });
        if backup.partial_view {
            table.note("not all of its legs could be read: the figures are those of the others");
        }
        if let (true, Some(owner)) = (backup.is_foreign, &backup.owner_instance_id) {
            table.note(&format!("of another instance: {owner}"));
        }
        if backup.damaged_files > 0 {
            table.note(&format!(
                "{} data files were damaged in the source already: `show` names them",
                backup.damaged_files
            ));
        }
        if let Some(failed) = fault(backup) {
            let when = figures::utc_and_age(&failed.at, now);
            table.note(&match mode(failed) {
                LastVerified::REUSE => {
                    format!(
                        "a later backup found damaged files when it reused them: {when}; verify it"
                    )
                }
                LastVerified::REHEARSAL => {
                    format!("a rehearsal found faults: {when}; no clean full one since")
                }
                mode => {
                    format!("a {mode} verification found faults: {when}; no clean full one since")
                }
            });
        }
    }
    for copy in answer.incomplete.iter().flatten() {
        let figures = figures(
            copy.files,
            copy.bytes,
            copy.total_files,
            copy.total_size_bytes,
        );
        let state = copy.state.as_str().to_owned();
        let place = (&*copy.backup_id, &*copy.created_at);
        table.row(Cells {
            scope: shortened(&copy.scope),
            ..Cells::of(place, figures, state, copy.target.clone(), now)
        });
        name_missing(&mut table, copy);
    }
    let mut unknown = |id: &str, target: String, state: &str, detail: &str| {
        let created = BackupId::parse(id).ok().and_then(|id| id.moment());
        let created = created.map_or_else(String::new, |moment| moment.to_string());
        let figures = [String::new(), String::new()];
        table.row(Cells::of(
            (id, &created),
            figures,
            state.to_owned(),
            target,
            now,
        ));
        table.note(detail);
    };
    for run in &answer.incomplete_runs {
        unknown(
            &run.backup_id,
            run.targets.join(", "),
            "INCOMPLETE",
            &run.detail,
        );
    }
    for one in &answer.damaged {
        unknown(&one.backup_id, one.target.clone(), "DAMAGED", &one.detail);
    }
    for one in &answer.unreadable {
        unknown(
            &one.backup_id,
            one.target.clone(),
            one.state.as_str(),
            &one.detail,
        );
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

/// The cells of a row, in the order of the columns.
#[derive(Default)]
struct Cells {
    id: String,
    created: String,
    age: String,
    files: String,
    size: String,
    rows: String,
    new: String,
    of_type: String,
    state: String,
    instance: String,
    scope: String,
    labels: String,
    target: String,
}

impl Cells {
    /// Those that every row has.
    fn of(
        (id, created): (&str, &str),
        [files, size]: [String; 2],
        state: String,
        target: String,
        now: Timestamp,
    ) -> Self {
        Self {
            id: id.to_owned(),
            created: figures::utc(created),
            age: figures::age(created, now),
            files,
            size,
            state,
            target,
            ..Self::default()
        }
    }
}

impl IntoIterator for Cells {
    type Item = String;
    type IntoIter = std::array::IntoIter<String, 13>;

    fn into_iter(self) -> Self::IntoIter {
        [
            self.id,
            self.created,
            self.age,
            self.files,
            self.size,
            self.rows,
            self.new,
            self.of_type,
            self.state,
            self.instance,
            self.scope,
            self.labels,
            self.target,
        ]
        .into_iter()
    }
}

fn short_type(backup: &Summary) -> String {
    let word = &*backup.backup_type;
    match BackupType::parse(word) {
        Some(BackupType::Incremental) => "incr".to_owned(),
        _ => word.to_owned(),
    }
}

/// The labels, behind `(pinned)` where a pin keeps the backup: no label has such characters.
fn marks(backup: &Summary, now: Timestamp) -> String {
    let pinned = backup.is_locked(now).then(|| "(pinned)".to_owned());
    let labels = backup.labels.iter().cloned();
    pinned
        .into_iter()
        .chain(labels)
        .collect::<Vec<_>>()
        .join(" ")
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
    let known = [
        "full",
        "quick",
        "sample",
        LastVerified::REUSE,
        LastVerified::REHEARSAL,
    ];
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
