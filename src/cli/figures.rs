//! Figures for people: sizes, rates, ages.

use std::time::Duration;

use jiff::Timestamp;

use crate::operations::{Operation, OperationKind};
use crate::times;

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A size in three digits: `512 B`, `1.20 MiB`, `38.4 GiB`.
pub(super) fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    // 1023.5 would be shown as 1024.
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = match value {
        _ if unit == 0 => 0,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Rows; with a `+` where there are files whose rows are not known.
pub(super) fn rows(rows: Option<u64>, files_without_rows: u64) -> String {
    let more = match files_without_rows {
        0 => "",
        _ => "+",
    };
    rows.map_or_else(String::new, |rows| format!("{rows}{more}"))
}

/// How long ago a moment in RFC 3339 is, in one unit: `3h`; `?` where it is none, `future` where it
/// is to come.
pub(super) fn age(moment: &str, now: Timestamp) -> String {
    match moment.parse::<Timestamp>() {
        Ok(moment) => match times::age(moment, now) {
            Some(age) => times::short(age),
            None if moment.duration_since(now).as_secs() < 60 => times::short(Duration::ZERO),
            None => "future".to_owned(),
        },
        Err(_) => "?".to_owned(),
    }
}

/// A moment in RFC 3339 as `2026-02-11 14:30:22`, UTC.
pub(super) fn utc(moment: &str) -> String {
    moment.parse().map_or_else(|_| "?".to_owned(), times::utc)
}

/// The same with its age: `2026-02-11 14:30:22 UTC (3h ago)`.
pub(super) fn utc_and_age(moment: &str, now: Timestamp) -> String {
    match age(moment, now).as_str() {
        "?" => "?".to_owned(),
        "future" => format!("{} UTC (in the future)", utc(moment)),
        age => format!("{} UTC ({age} ago)", utc(moment)),
    }
}

/// How long an operation took, or has taken so far.
pub(super) fn took(operation: &Operation, now: Timestamp) -> Option<Duration> {
    let started: Timestamp = operation.started_at.parse().ok()?;
    let ended = match &operation.completed_at {
        Some(ended) => ended.parse().ok()?,
        None => now,
    };
    times::age(started, ended)
}

/// How much a deletion frees, and how much stays: `8 files, 1.2 MiB; 3 files, 2.0 KiB stay, as
/// other backups need them`.
pub(super) fn freed(freed: [u64; 2], retained: [u64; 2]) -> String {
    let [files, bytes] = freed;
    let stays = match retained {
        [0, _] => String::new(),
        [files, bytes] => format!(
            "; {files} files, {} stay, as other backups need them",
            size(bytes)
        ),
    };
    format!("{files} files, {}{stays}", size(bytes))
}

/// `107 files, 1.20 MiB in 3s (410 KiB/s)`; with reused files
/// `107 files, 1.20 MiB (105 reused, 12 KiB new) in 3s`.
pub(super) fn figures(operation: &Operation, now: Timestamp) -> String {
    let mut text = format!(
        "{} files, {}",
        operation.processed_files,
        size(operation.processed_bytes)
    );
    // Of a copy the line says beside it what the target had.
    let reused = (operation.reused_files)
        .filter(|files| *files > 0 && operation.operation == OperationKind::Backup);
    if let Some(files) = reused {
        let of_base = (operation.base_backup_id.as_ref())
            .map_or_else(String::new, |base| format!(" from {base}"));
        let bytes = operation.reused_bytes.unwrap_or_default();
        text.push_str(&format!(
            " ({files} reused{of_base}, {} new)",
            size(operation.processed_bytes.saturating_sub(bytes))
        ));
    }
    if let Some(took) = took(operation, now) {
        text.push_str(&match took.as_secs() {
            0 => " in less than 1s".to_owned(),
            _ => format!(" in {}", times::long(took)),
        });
        let rate = operation.processed_bytes as f64 / took.as_secs_f64();
        // What was over in a moment has no rate.
        // Nor have links and references.
        if reused.is_none() && took >= Duration::from_secs(1) && operation.processed_bytes > 0 {
            text.push_str(&format!(" ({}/s)", size(rate as u64)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A column of sizes must not grow with them.
    #[test]
    fn sizes_have_three_digits() {
        for (bytes, words) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10_235, "10.0 KiB"),
            (1_258_291, "1.20 MiB"),
            (1_048_200, "1.00 MiB"),
            (41_231_686_041, "38.4 GiB"),
            (536_870_912, "512 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), words, "{bytes}");
        }
    }

    #[test]
    fn ages_have_one_unit() {
        let now: Timestamp = "2026-02-11T14:30:22Z".parse().expect("a time");
        for (moment, words) in [
            ("2026-02-11T14:30:22.5Z", "0s"),
            ("2026-02-11T11:00:00Z", "3h"),
            ("2026-02-09T11:00:00Z", "2d"),
            ("2026-02-12T11:00:00Z", "future"),
            ("soon", "?"),
        ] {
            assert_eq!(age(moment, now), words, "{moment}");
        }
        assert_eq!(
            utc_and_age("2026-02-11T11:00:00Z", now),
            "2026-02-11 11:00:00 UTC (3h ago)"
        );
    }
}
