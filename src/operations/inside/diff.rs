//! What is different between two backups, or a backup and the live data: what the answer is.

use std::collections::BTreeMap;

use arc_backup_core::{EntityTag, Section};

use crate::manifest::{BackupId, Record};
use crate::operations::DataSelection;
use crate::operations::backup::same_file::{self, Moments, Why};
use crate::operations::named::named;
use crate::source::measurement_of;

named! {
    /// What became of a file from the first side to the second.
    pub enum Change {
        /// Only the second side has it.
        Added = "added",
        /// Only the first side has it.
        Removed = "removed",
        /// Its bytes are others, or it was written again.
        Changed = "changed",
        /// It has the same size, and nothing shows whether its bytes are the same.
        Unknown = "unknown",
        /// It is the same.
        Unchanged = "unchanged",
    }
}

/// Files, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiffAmount {
    /// How many files.
    pub files: u64,
    /// Their bytes: on the second side, of removed files on the first.
    pub bytes: u64,
    /// The rows of those whose rows are known; `None` where none are.
    pub rows: Option<u64>,
}

impl DiffAmount {
    fn add(&mut self, record: &Record) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(record.entry.size);
        if let Some(rows) = rows_of(record) {
            let sum = self.rows.unwrap_or_default();
            self.rows = Some(sum.saturating_add(rows));
        }
    }
}

/// The rows of a file, where the inventory has them.
fn rows_of(record: &Record) -> Option<u64> {
    record.entry.rows.map(|rows| rows.count)
}

/// How many files there are of each change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiffCounts {
    /// Only on the second side.
    pub added: DiffAmount,
    /// Only on the first side.
    pub removed: DiffAmount,
    /// With other bytes, or written again.
    pub changed: DiffAmount,
    /// Of the changed files, their bytes on the first side.
    pub changed_bytes_before: u64,
    /// Of the same size, without a proof that they are the same.
    pub unknown: DiffAmount,
    /// The same.
    pub unchanged: DiffAmount,
}

impl DiffCounts {
    /// Counts a file, by its record on the second side, or else on the first.
    fn add(&mut self, change: Change, before: Option<&Record>, record: &Record) {
        if let (Change::Changed, Some(before)) = (change, before) {
            let sum = self.changed_bytes_before;
            self.changed_bytes_before = sum.saturating_add(before.entry.size);
        }
        let amount = match change {
            Change::Added => &mut self.added,
            Change::Removed => &mut self.removed,
            Change::Changed => &mut self.changed,
            Change::Unknown => &mut self.unknown,
            Change::Unchanged => &mut self.unchanged,
        };
        amount.add(record);
    }

    /// Whether every file is known to be the same.
    #[must_use]
    pub fn is_same(&self) -> bool {
        let others = [&self.added, &self.removed, &self.changed, &self.unknown];
        others.iter().all(|amount| amount.files == 0)
    }
}

/// One side of the comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffSide {
    /// A backup.
    Backup {
        /// Its id.
        id: BackupId,
        /// The target that it is in.
        target: String,
    },
    /// The live data at this location.
    Live(String),
}

/// The files of a measurement; of a section where they belong to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffGroup {
    /// The section.
    pub section: String,
    /// Database and measurement.
    pub measurement: Option<(String, String)>,
    /// What is different.
    pub counts: DiffCounts,
}

/// What is different between two sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// The first side.
    pub a: DiffSide,
    /// The second side.
    pub b: DiffSide,
    /// The part of the data that is compared; `None` for everything.
    pub selection: Option<DataSelection>,
    /// All files.
    pub totals: DiffCounts,
    /// The measurements and sections in which something is not known to be the same, in order.
    pub groups: Vec<DiffGroup>,
    /// The first files of each change but [`Change::Unchanged`].
    pub files: BTreeMap<&'static str, Vec<String>>,
    /// What has to be known to read it.
    pub warnings: Vec<String>,
}

/// Section, and database and measurement.
type Group = (String, Option<(String, String)>);

/// A comparison that is being made.
#[derive(Debug, Default)]
pub(super) struct Counting {
    totals: DiffCounts,
    groups: BTreeMap<Group, DiffCounts>,
    files: BTreeMap<&'static str, Vec<String>>,
}

impl Counting {
    /// Counts a file, and keeps its path if it is one of the first `sample` of its change.
    pub(super) fn add(
        &mut self,
        change: Change,
        before: Option<&Record>,
        after: Option<&Record>,
        sample: usize,
    ) {
        let Some(record) = after.or(before) else {
            return;
        };
        self.totals.add(change, before, record);
        let section = record.section();
        let measurement = match section {
            Section::Data => measurement_of(&record.entry.key),
            _ => None,
        };
        let measurement = measurement.map(|(database, name)| (database, name.to_owned()));
        let group = (section.to_string(), measurement);
        (self.groups.entry(group).or_default()).add(change, before, record);
        if change != Change::Unchanged {
            let named = self.files.entry(change.as_str()).or_default();
            if named.len() < sample {
                named.push(record.path.to_string());
            }
        }
    }

    pub(super) fn finish(
        self,
        a: DiffSide,
        b: DiffSide,
        selection: Option<DataSelection>,
        warnings: Vec<String>,
    ) -> Diff {
        let different = self.groups.into_iter().filter(|(_, one)| !one.is_same());
        Diff {
            a,
            b,
            selection,
            totals: self.totals,
            groups: different
                .map(|((section, measurement), counts)| DiffGroup {
                    section,
                    measurement,
                    counts,
                })
                .collect(),
            files: self.files,
            warnings,
        }
    }
}

/// What became of a file that two backups have: their SHA-256 say it.
pub(super) fn between_backups(before: &Record, after: &Record) -> Change {
    let (before, after) = (&before.entry, &after.entry);
    if before.size != after.size {
        return Change::Changed;
    }
    match (before.sha256, after.sha256) {
        (Some(before), Some(after)) if before == after => Change::Unchanged,
        (Some(_), Some(_)) => Change::Changed,
        _ => Change::Unknown,
    }
}

/// What became of a file that a backup has and that is live: the proofs of an incremental backup
/// say it.
pub(super) fn since_backup(
    before: &Record,
    live: &Record,
    tags: EntityTag,
    moments: &Moments,
) -> Change {
    match same_file::check(&before.entry, &live.entry, tags, moments) {
        Ok(()) => Change::Unchanged,
        Err(Why::Size | Why::Modified | Why::Tag) => Change::Changed,
        Err(Why::Tier | Why::OtherFile | Why::Recent | Why::Future | Why::NoProof) => {
            match before.entry.size == live.entry.size {
                true => Change::Unknown,
                false => Change::Changed,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arc_backup_core::{Entry, Key, Rows};

    use super::*;

    /// Guards against: files whose footers say so many rows that their sum ends the program.
    #[test]
    fn absurd_counts_of_rows_are_added_up() {
        let mut counting = Counting::default();
        for name in ["a", "b", "c"] {
            let key = Key::parse(&format!("data/iot/cpu/{name}.parquet")).expect("a path");
            let mut entry = Entry::new(key.clone(), u64::MAX / 2);
            entry.rows = Some(Rows {
                count: i64::MAX.cast_unsigned(),
                times: None,
            });
            let record = Record::at(key, entry).expect("a record");
            counting.add(Change::Changed, Some(&record), Some(&record), 1);
        }
        let changed = counting.totals.changed;
        assert_eq!((changed.files, changed.rows), (3, Some(u64::MAX)));
        assert_eq!(changed.bytes, u64::MAX);
        assert_eq!(counting.totals.changed_bytes_before, u64::MAX);
    }
}
