//! Which files under the storage root are data, and of which database and measurement.

use std::collections::BTreeMap;

use arc_backup_core::{Entry, Key};
use jiff::Timestamp;

use crate::manifest::{BackupId, DatabaseTotals, MeasurementTotals, is_data_file};

/// The longest key that still is one in a backup, behind `{backup_id}/data/`, and in the target's
/// `.arc-backup/before-restore/{operation_id}/`.
pub(super) const LONGEST_KEY: usize = Key::MAX_BYTES - 64;

/// What under the storage root does not belong to the data.
#[derive(Debug, Clone, Default)]
pub struct Exclusions {
    /// Whether folders with the name of a backup are excluded too: in a store, one place may have
    /// two spellings, and the backups of a target that is no longer configured stay.
    pub backups: bool,
    /// Keys of files and folders that are something else: the backups folder, databases,
    /// `arc.toml`.
    pub keys: Vec<String>,
    /// The folder of Arc's compaction for temporary files, where it lies under the storage root. It
    /// may be a database of the same name too.
    pub compaction: Option<String>,
}

impl Exclusions {
    /// Whether `key` does not belong to the data.
    ///
    /// Arc's temporary files (`.arc-*.tmp`, `*.part`, `.tmp/…`, `.sync-staging/…`) are
    /// excluded, and ours: whatever is named `.arc-backup*` or `*.before-restore*`.
    #[must_use]
    pub fn exclude(&self, key: &str) -> bool {
        if is_within(key, ".tmp")
            || is_within(key, ".sync-staging")
            || self.is_taken(key)
            || self.is_of_compaction(key)
        {
            return true;
        }
        let name = key.rsplit('/').next().unwrap_or(key);
        (name.starts_with(".arc-") && name.ends_with(".tmp"))
            || name.ends_with(".part")
            || key.split('/').any(|segment| {
                segment.starts_with(".arc-backup") || segment.contains(".before-restore")
            })
    }

    /// Whether the place of `key` holds something else in this configuration: backups, a database,
    /// `arc.toml`.
    pub(super) fn is_taken(&self, key: &str) -> bool {
        let is_backup = |segment| BackupId::parse(segment).is_ok();
        self.keys.iter().any(|taken| is_within(key, taken))
            || self.backups && key.split('/').any(is_backup)
    }

    /// Whether `key` is a temporary file of Arc's compaction: in its folder, and without the date
    /// that a file of a database has in its path.
    #[must_use]
    pub fn is_of_compaction(&self, key: &str) -> bool {
        let segments: Vec<&str> = key.split('/').collect();
        (self.compaction.as_ref()).is_some_and(|folder| is_within(key, folder))
            && date_in(&segments).is_none()
    }
}

fn is_within(key: &str, folder: &str) -> bool {
    key.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Counts files by what they are.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    databases: BTreeMap<String, BTreeMap<String, MeasurementTotals>>,
    /// Parquet files of databases.
    pub parquet_files: u64,
    /// Their bytes.
    pub parquet_bytes: u64,
    /// Those of them whose rows are not known.
    pub files_without_rows: u64,
    /// Other files.
    pub auxiliary_files: u64,
    /// Recovery states of compaction jobs.
    pub compaction_state_files: u64,
}

impl Contents {
    /// Counts a file of the data.
    pub fn add(&mut self, entry: &Entry) {
        let key = &entry.key;
        if key.is_within("_compaction_state") {
            self.compaction_state_files += 1;
        } else if let Some((database, measurement)) = measurement_of(key) {
            let totals = (self.databases.entry(database).or_default())
                .entry(measurement.to_owned())
                .or_default();
            totals.file_count += 1;
            totals.size_bytes += entry.size;
            self.parquet_files += 1;
            self.parquet_bytes += entry.size;
            match entry.rows {
                Some(rows) => totals.rows = sum([totals.rows, Some(rows.count)]),
                None => self.files_without_rows += 1,
            }
        } else {
            self.auxiliary_files += 1;
        }
    }

    /// All rows of databases that are known; `None` where those of no file are.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        let all = self.databases.values().flat_map(BTreeMap::values);
        sum(all.map(|totals| totals.rows))
    }

    /// The totals, as Arc's manifest has them.
    #[must_use]
    pub fn databases(&self) -> Vec<DatabaseTotals> {
        self.databases
            .iter()
            .map(|(name, measurements)| DatabaseTotals {
                name: name.clone(),
                file_count: measurements.values().map(|totals| totals.file_count).sum(),
                size_bytes: measurements.values().map(|totals| totals.size_bytes).sum(),
                rows: sum(measurements.values().map(|totals| totals.rows)),
                measurements: measurements
                    .iter()
                    .map(|(name, totals)| MeasurementTotals {
                        name: name.clone(),
                        ..totals.clone()
                    })
                    .collect(),
            })
            .collect()
    }
}

/// The sum of those that are known; `None` where none is.
fn sum(rows: impl IntoIterator<Item = Option<u64>>) -> Option<u64> {
    rows.into_iter().flatten().reduce(u64::saturating_add)
}

/// Database and measurement of a Parquet file; `None` for a file that does not belong to a
/// database.
///
/// They stand before the date (`YYYY/MM/DD`), not at fixed places: a database synced from an edge
/// node holds a slash.
pub(crate) fn measurement_of(key: &str) -> Option<(String, &str)> {
    if !is_data_file(key) {
        return None;
    }
    let segments: Vec<&str> = key.split('/').collect();
    match date_in(&segments) {
        Some(at) if at >= 2 => Some((segments[..at - 1].join("/"), segments[at - 1])),
        // Without a date: as Arc counts them.
        None if segments.len() >= 3 => Some((segments[0].to_owned(), segments[1])),
        _ => None,
    }
}

/// The hour or day that the Parquet file at `key` has rows of, by its folder.
pub(crate) fn partition_of(key: &str) -> Option<Timestamp> {
    let segments: Vec<&str> = key.split('/').collect();
    let at = date_in(&segments)?;
    let number = |at: usize| segments.get(at)?.parse::<i16>().ok();
    let is_hour = |text: &&&str| is_number(text, 2) && at + 4 < segments.len();
    let hour = (segments.get(at + 3).filter(is_hour)).map_or(Some(0), |hour| hour.parse().ok());
    let part = |at| number(at).and_then(|part| i8::try_from(part).ok());
    let date = jiff::civil::Date::new(number(at)?, part(at + 1)?, part(at + 2)?).ok()?;
    let moment =
        jiff::civil::Time::new(hour?, 0, 0, 0)
            .ok()?
            .on(date.year(), date.month(), date.day());
    jiff::tz::TimeZone::UTC.to_timestamp(moment).ok()
}

/// Where the date (`YYYY/MM/DD`) begins in a path.
fn date_in(segments: &[&str]) -> Option<usize> {
    let is_date = |w: &[&str]| is_number(w[0], 4) && is_number(w[1], 2) && is_number(w[2], 2);
    segments.windows(3).position(is_date)
}

fn is_number(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database that holds a slash would be counted as another one.
    #[test]
    fn measurements_are_found_from_the_date() {
        let of = |key| measurement_of(key).map(|(d, m)| format!("{d}|{m}"));
        assert_eq!(
            of("iot/cpu/2026/11/20/00/a.parquet").as_deref(),
            Some("iot|cpu")
        );
        assert_eq!(
            of("iot/cpu/2026/11/20/a_b1_daily.parquet").as_deref(),
            Some("iot|cpu")
        );
        assert_eq!(
            of("rocket-01/telemetry/cpu/2026/11/20/00/a.parquet").as_deref(),
            Some("rocket-01/telemetry|cpu")
        );
        assert_eq!(of("_schema/iot/cpu.parquet"), None);
        assert_eq!(of("iot/cpu/metadata/v1.metadata.json"), None);
    }

    /// Guards against: a partition that Arc takes for another one, or a moment that Go can't read.
    #[test]
    fn partitions_are_hours_or_days_of_the_path() {
        for (key, expected) in [
            (
                "iot/cpu/2026/11/20/05/a.parquet",
                Some("2026-11-20T05:00:00Z"),
            ),
            (
                "iot/cpu/2026/11/20/a_b1_daily.parquet",
                Some("2026-11-20T00:00:00Z"),
            ),
            (
                "rocket/x/cpu/2026/11/20/23/a.parquet",
                Some("2026-11-20T23:00:00Z"),
            ),
            ("iot/cpu/2026/11/20/99/a.parquet", None),
            ("iot/cpu/2026/13/20/05/a.parquet", None),
            ("iot/cpu/2026/11/20/05", Some("2026-11-20T00:00:00Z")),
            ("iot/cpu/a.parquet", None),
        ] {
            let found = partition_of(key).map(|moment| moment.to_string());
            assert_eq!(found.as_deref(), expected, "{key}");
        }
    }

    /// A temporary in a backup would come back as data; an omitted measurement would be lost.
    #[test]
    fn temporaries_and_our_own_are_not_data_and_the_rest_is() {
        let exclusions = Exclusions {
            backups: true,
            keys: vec!["backups".to_owned(), "arc.db".to_owned()],
            compaction: Some("compaction".to_owned()),
        };
        for out in [
            ".tmp/a",
            ".sync-staging/x/a.parquet",
            "iot/cpu/.arc-123.tmp",
            "iot/cpu/a.parquet.part",
            "backups/x/manifest.json",
            "arc.db",
            "a/.arc-backup-1.tmp",
            "arc.db.before-restore",
            "x.before-restore.op-1/a",
            "compaction/job-1/a.parquet",
            "compaction",
            "far/backup-20260211-143022-a1b2c3d4/data/iot/a.parquet",
        ] {
            assert!(exclusions.exclude(out), "{out}");
        }
        for data in [
            "compaction/cpu/2026/11/20/00/a.parquet",
            "compaction2/job-1/a.parquet",
            "iot/.tmpx/a.parquet",
            "backups2/a",
            "arc.db2",
            "iot/cpu/2026/a.parquet",
            "_compaction_state/hourly/a.json",
        ] {
            assert!(!exclusions.exclude(data), "{data}");
        }
    }
}
