//! Opening a restored file, as Arc would.

use std::path::Path;

use arc_backup_core::{Entry, Rows, Section, SourceDamage};

use crate::manifest::Record;
use crate::operations::ProblemKind;
use crate::source::{check_file, rows_of_file};

/// What a restored file is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is as the inventory says; the rows are those of a data file.
    Sound(Option<Rows>),
    /// A data file that was damaged before it was backed up.
    Damaged(SourceDamage),
    /// It can't be used.
    Fault(ProblemKind, String),
}

/// Opens the restored file at `place`.
pub(super) fn check(record: &Record, place: &Path) -> Found {
    let entry = &record.entry;
    match record.section() {
        Section::Data if entry.key.ends_with(".parquet") => data_file(entry, place),
        Section::Metadata if entry.key.ends_with(".db") => match check_file(place) {
            Ok(()) => Found::Sound(None),
            Err(error) => Found::Fault(ProblemKind::Unreadable, error.detail().to_owned()),
        },
        _ => Found::Sound(None),
    }
}

fn data_file(entry: &Entry, place: &Path) -> Found {
    let found = match rows_of_file(place) {
        Ok(found) => found,
        Err(error) => {
            let text = format!("can't be read where it was restored to: {error}");
            return Found::Fault(ProblemKind::Unreadable, text);
        }
    };
    let expected = entry.rows.map(|rows| rows.count);
    match (found, expected) {
        (Ok(Some(rows)), Some(expected)) if rows.count != expected => Found::Fault(
            ProblemKind::Inventory,
            format!("has {} rows; the inventory says {expected}", rows.count),
        ),
        (Err(damage), Some(expected)) => Found::Fault(
            ProblemKind::Inventory,
            format!("{damage}; the inventory says {expected} rows"),
        ),
        (Err(damage), None) => Found::Damaged(damage),
        (Ok(rows), _) => Found::Sound(rows),
    }
}
