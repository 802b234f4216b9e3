//! `diff`.

use std::sync::Arc;

use poem_openapi::types::ToJSON;

use super::exit_code::DONE;
use super::inside_arguments::DiffArguments;
use super::output::{escaped, print_line, print_note};
use super::table::{Table, left, right};
use super::{figures, ids};
use crate::api::types::DiffBody;
use crate::operations::{
    ArcBackup, Change, DataSelection, Diff, DiffAmount, DiffCounts, DiffGroup, DiffOptions,
    DiffSide,
};
use crate::{Error, Result};

/// How many files of each change are named.
const SAMPLE: usize = 10;

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    arguments: DiffArguments,
    json: bool,
) -> Result<u8> {
    if arguments.b.is_none() && !arguments.live {
        return Err(Error::Invalid(
            "name the backup to compare with, or give --live for the live data".to_owned(),
        ));
    }
    let target = arguments.target.as_deref();
    let a = ids::resolve(engine, &arguments.a, target).await?;
    let b = match &arguments.b {
        Some(b) => Some(ids::resolve(engine, b, target).await?.id),
        None => None,
    };
    let options = DiffOptions {
        a: a.id,
        b,
        scope: DataSelection::from(arguments.selection).to_data_scope()?,
        target: arguments.target,
        sample: match (arguments.files, json) {
            // A document names them; lines are printed as they come.
            (true, true) => usize::MAX,
            (true, false) => 0,
            (false, _) => SAMPLE,
        },
    };
    let prints = arguments.files && !json;
    let diff = engine.diff(&options, |change, path| {
        if prints {
            print_line(&format!("{:9}  {}", change.as_str(), escaped(path)));
        }
        Ok(())
    });
    let diff = diff.await?;
    if json {
        print_line(&DiffBody::from(diff).to_json_string());
        return Ok(DONE);
    }
    for warning in &diff.warnings {
        print_note!("note: {warning}");
    }
    print(&diff, arguments.files);
    Ok(DONE)
}

fn print(diff: &Diff, names_all: bool) {
    let name = |side: &DiffSide| match side {
        DiffSide::Backup { id, .. } => id.to_string(),
        DiffSide::Live(location) => format!("the live data at {location}"),
    };
    if names_all && !diff.groups.is_empty() {
        print_line("");
    }
    print_line(&escaped(&format!("{} → {}", name(&diff.a), name(&diff.b))));
    if let Some(selection) = &diff.selection {
        print_line(&escaped(&format!("only {selection}")));
    }
    let mut table = Table::new([
        left("WHAT").or_shrink(),
        right("ADDED"),
        right("REMOVED"),
        right("CHANGED"),
        right("UNKNOWN"),
    ]);
    for group in &diff.groups {
        table.row(row(of_group(group), &group.counts));
    }
    table.row(row("total".to_owned(), &diff.totals));
    table.print();
    let unchanged = diff.totals.unchanged;
    print_line(&format!(
        "{} files, {} are unchanged",
        unchanged.files,
        figures::size(unchanged.bytes)
    ));
    if names_all {
        return;
    }
    for change in [
        Change::Added,
        Change::Removed,
        Change::Changed,
        Change::Unknown,
    ] {
        let named = (diff.files.get(change.as_str())).map_or(&[][..], Vec::as_slice);
        for path in named {
            print_line(&format!("{:9}  {}", change.as_str(), escaped(path)));
        }
        let more = amount(&diff.totals, change).files - named.len() as u64;
        if more > 0 {
            print_line(&format!(
                "{:9}  and {more} more (all with --files)",
                change.as_str()
            ));
        }
    }
}

fn amount(counts: &DiffCounts, change: Change) -> DiffAmount {
    match change {
        Change::Added => counts.added,
        Change::Removed => counts.removed,
        Change::Changed => counts.changed,
        Change::Unknown => counts.unknown,
        Change::Unchanged => counts.unchanged,
    }
}

fn of_group(group: &DiffGroup) -> String {
    match (&group.measurement, group.section.as_str()) {
        (Some((database, measurement)), "data") => format!("{database}.{measurement}"),
        (_, "data") => "other files of the data".to_owned(),
        (_, section) => section.to_owned(),
    }
}

fn row(name: String, counts: &DiffCounts) -> [String; 5] {
    let cell = |amount: DiffAmount| match amount.files {
        0 => String::new(),
        files => match amount.rows {
            Some(rows) => format!("{files}, {}, {rows} rows", figures::size(amount.bytes)),
            None => format!("{files}, {}", figures::size(amount.bytes)),
        },
    };
    let [added, removed, changed, unknown] =
        [counts.added, counts.removed, counts.changed, counts.unknown].map(cell);
    [name, added, removed, changed, unknown]
}
