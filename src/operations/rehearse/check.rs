//! Opening a restored file, as Arc would.

use std::path::Path;

use arc_backup_core::{Entry, Error as CoreError, ErrorKind, Rows, Section, SourceDamage};

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
///
/// # Errors
/// Those of the disk that it was restored to: they say nothing of the backup.
pub(super) fn check(record: &Record, place: &Path) -> Result<Found, CoreError> {
    let entry = &record.entry;
    match record.section() {
        Section::Data if entry.key.ends_with(".parquet") => data_file(entry, place),
        Section::Metadata if entry.key.ends_with(".db") => match check_file(place) {
            Ok(()) => Ok(Found::Sound(None)),
            Err(error) if is_of_the_disk(error.kind()) => Err(error),
            Err(error) => {
                let text = error.detail().to_owned();
                Ok(Found::Fault(ProblemKind::Unreadable, text))
            }
        },
        _ => Ok(Found::Sound(None)),
    }
}

/// Whether a fault of opening a database is none of its bytes.
fn is_of_the_disk(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NoSpace
            | ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::Unavailable
    )
}

fn data_file(entry: &Entry, place: &Path) -> Result<Found, CoreError> {
    let found = rows_of_file(place)
        .map_err(|e| CoreError::from_io("read", place.display().to_string(), e))?;
    let expected = entry.rows.map(|rows| rows.count);
    Ok(match (found, expected) {
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
    })
}

#[cfg(test)]
mod tests {
    use arc_backup_core::Key;

    use super::*;

    /// Guards against: a fault of the scratch disk that is called one of the backup.
    #[test]
    fn a_restored_file_that_is_gone_is_no_fault_of_the_backup() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in ["data/iot/cpu/a.parquet", "metadata/arc.db"] {
            let path = Key::parse(path).expect("a path");
            let record = Record::at(path.clone(), Entry::new(path, 7)).expect("a record");
            let found = check(&record, &folder.path().join("gone"));
            assert!(found.is_err(), "{found:?}");
        }
    }
}
