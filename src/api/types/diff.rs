//! What is different between two backups, or a backup and the live data.

use poem_openapi::Object;

use super::data_scope::SelectedData;
use crate::operations::{Diff, DiffAmount, DiffCounts, DiffGroup, DiffSide};

/// Files, and their bytes.
#[derive(Debug, Clone, Copy, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct DiffFiles {
    /// How many files.
    pub(crate) files: u64,
    /// Their bytes: in `b`, of removed files in `a`.
    pub(crate) bytes: u64,
    /// The rows of those whose rows are known; absent where none are.
    pub(crate) rows: Option<u64>,
}

impl From<DiffAmount> for DiffFiles {
    fn from(amount: DiffAmount) -> Self {
        let DiffAmount { files, bytes, rows } = amount;
        Self { files, bytes, rows }
    }
}

/// How many files there are of each change.
#[derive(Debug, Clone, Copy, Object)]
pub(crate) struct DiffTotals {
    /// Only in `b`.
    pub(crate) added: DiffFiles,
    /// Only in `a`.
    pub(crate) removed: DiffFiles,
    /// In both, with another SHA-256 or size. Live: with another size, time of modification or
    /// entity tag; a file that was written again with the same bytes counts too.
    pub(crate) changed: DiffFiles,
    /// The bytes of the changed files in `a`.
    pub(crate) changed_bytes_before: u64,
    /// In both with the same size, and nothing shows whether the bytes are the same.
    pub(crate) unknown: DiffFiles,
    /// The same in both.
    pub(crate) unchanged: DiffFiles,
}

impl From<DiffCounts> for DiffTotals {
    fn from(counts: DiffCounts) -> Self {
        let DiffCounts {
            added,
            removed,
            changed,
            changed_bytes_before,
            unknown,
            unchanged,
        } = counts;
        Self {
            added: added.into(),
            removed: removed.into(),
            changed: changed.into(),
            changed_bytes_before,
            unknown: unknown.into(),
            unchanged: unchanged.into(),
        }
    }
}

/// One side of a comparison.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct DiffOf {
    /// The backup; absent for the live data.
    pub(crate) backup_id: Option<String>,
    /// The target that it is in.
    pub(crate) target: Option<String>,
    /// Where the live data is.
    pub(crate) live: Option<String>,
}

impl From<DiffSide> for DiffOf {
    fn from(side: DiffSide) -> Self {
        match side {
            DiffSide::Backup { id, target } => Self {
                backup_id: Some(id.to_string()),
                target: Some(target),
                live: None,
            },
            DiffSide::Live(location) => Self {
                backup_id: None,
                target: None,
                live: Some(location),
            },
        }
    }
}

/// What is different in a measurement, or in files of a section that are of none.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct DiffPart {
    /// The section: `data`, `metadata`, `config`, …
    pub(crate) section: String,
    /// The database.
    pub(crate) database: Option<String>,
    /// The measurement.
    pub(crate) measurement: Option<String>,
    /// How many files there are of each change.
    pub(crate) totals: DiffTotals,
}

impl From<DiffGroup> for DiffPart {
    fn from(group: DiffGroup) -> Self {
        let (database, measurement) = group.measurement.unzip();
        Self {
            section: group.section,
            database,
            measurement,
            totals: group.counts.into(),
        }
    }
}

/// The first files of each change, by their paths in a backup.
#[derive(Debug, Default, Object)]
pub(crate) struct DiffPaths {
    /// Only in `b`.
    pub(crate) added: Vec<String>,
    /// Only in `a`.
    pub(crate) removed: Vec<String>,
    /// Changed.
    pub(crate) changed: Vec<String>,
    /// Not known to be the same.
    pub(crate) unknown: Vec<String>,
}

/// What is different between two backups, or a backup and the live data.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct DiffBody {
    /// What is compared.
    pub(crate) a: DiffOf,
    /// What it is compared with.
    pub(crate) b: DiffOf,
    /// The part of the data that is compared; absent where everything is.
    pub(in crate::api) selection: Option<SelectedData>,
    /// Whether every file is known to be the same.
    pub(crate) same: bool,
    /// All files.
    pub(crate) totals: DiffTotals,
    /// The measurements in which something is different or unknown, and the sections for files of
    /// no measurement.
    pub(crate) parts: Vec<DiffPart>,
    /// The first files of each change.
    pub(crate) files: DiffPaths,
    /// What has to be known to read the numbers.
    pub(crate) warnings: Vec<String>,
}

impl From<Diff> for DiffBody {
    fn from(diff: Diff) -> Self {
        let Diff {
            a,
            b,
            selection,
            totals,
            groups,
            mut files,
            warnings,
        } = diff;
        let mut named = |change| files.remove(change).unwrap_or_default();
        Self {
            a: a.into(),
            b: b.into(),
            selection: selection.map(Into::into),
            same: totals.is_same(),
            totals: totals.into(),
            parts: groups.into_iter().map(Into::into).collect(),
            files: DiffPaths {
                added: named("added"),
                removed: named("removed"),
                changed: named("changed"),
                unknown: named("unknown"),
            },
            warnings,
        }
    }
}
