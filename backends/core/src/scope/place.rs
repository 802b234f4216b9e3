//! Where a data file belongs, by its path: database, measurement, hour or day.

use super::databases::{COMPACTION_STATES, SCHEMAS};
use super::time_range::Period;

/// What a path of the data says of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) kind: Kind,
    /// The whole name of the database: `rocket-01/telemetry`.
    pub(super) database: Option<&'a str>,
    /// `None` where it has none, or, of the state of a job, where its name does not say which.
    pub(super) measurement: Option<&'a str>,
    /// The hour or day that it has rows of.
    pub(super) period: Option<Period>,
    /// The date in the path, and where the state of a job is concerned, in its name.
    date: Option<[&'a str; 3]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file in the folder of a database.
    Data,
    /// The anchor of a schema.
    Anchor,
    /// The state of a compaction job.
    JobState,
}

impl<'a> Place<'a> {
    /// The place of the file at `path`.
    pub(super) fn of(path: &'a str) -> Self {
        let segments: Vec<&str> = path.split('/').collect();
        match segments[..] {
            [SCHEMAS, .., name] => Self {
                database: between(path, &segments, 1, segments.len() - 1),
                measurement: (segments.len() > 2)
                    .then(|| name.strip_suffix(".parquet").unwrap_or(name)),
                ..Self::nowhere(Kind::Anchor)
            },
            [COMPACTION_STATES, tier, .., name] if segments.len() > 3 => {
                let database = between(path, &segments, 2, segments.len() - 1);
                Self::of_job(database.unwrap_or_default(), tier, name)
            }
            [COMPACTION_STATES, ..] => Self::nowhere(Kind::JobState),
            _ => Self::of_data(path, &segments),
        }
    }

    fn nowhere(kind: Kind) -> Self {
        Self {
            kind,
            database: None,
            measurement: None,
            period: None,
            date: None,
        }
    }

    fn of_data(path: &'a str, segments: &[&'a str]) -> Self {
        let (folders, nowhere) = (&segments[..segments.len() - 1], Self::nowhere(Kind::Data));
        if let Some(at) = date_in(folders) {
            let date = [folders[at], folders[at + 1], folders[at + 2]];
            let hour = (folders.get(at + 3)).filter(|text| is_number(text, 2));
            return Self {
                database: between(path, segments, 0, at.saturating_sub(1).max(at.min(1))),
                measurement: (at >= 2).then(|| folders[at - 1]),
                period: period(date, hour.copied()),
                date: Some(date),
                ..nowhere
            };
        }
        let measurement_at = match folders {
            // The metadata of an Iceberg table lies beside the rows of its measurement.
            [.., _, _, "metadata"] => folders.len() - 2,
            _ => 1,
        };
        Self {
            database: between(path, segments, 0, measurement_at.min(folders.len())),
            measurement: folders.get(measurement_at).copied(),
            ..nowhere
        }
    }

    /// The state of a job. Its name holds the path of the partition with `_` for `/`, and, of some
    /// versions of Arc, the database before it, or all of it twice.
    fn of_job(database: &'a str, tier: &str, name: &'a str) -> Self {
        let nowhere = Self {
            database: Some(database),
            ..Self::nowhere(Kind::JobState)
        };
        let folded = format!("{}_", database.replace('/', "_"));
        let mut dates = dates_in(name);
        let Some(at) = dates.next() else {
            return nowhere;
        };
        let Some(mut measurement) = name[..at].strip_prefix(&folded) else {
            return nowhere;
        };
        if dates.next().is_none() {
            measurement = measurement.strip_prefix(&folded).unwrap_or(measurement);
        }
        let digits = |from: usize, to: usize| name.get(at + from..at + to);
        let (Some(year), Some(month), Some(day)) = (digits(1, 5), digits(6, 8), digits(9, 11))
        else {
            return nowhere;
        };
        let date = [year, month, day];
        let rest = name[at + 11..].strip_prefix('_').unwrap_or_default();
        let hour = rest.split('_').next().filter(|text| is_number(text, 2));
        Self {
            measurement: Some(measurement).filter(|name| !name.is_empty()),
            period: match tier {
                "hourly" => period(date, hour),
                "daily" => period(date, None),
                _ => None,
            },
            date: Some(date),
            ..nowhere
        }
    }

    /// The folder of the rows that a companion belongs to: of the measurement, or of the day.
    /// `None` of a file that is no companion, and where the place is not known.
    pub(super) fn companion_of(&self) -> Option<String> {
        let folder = format!("{}/{}", self.database?, self.measurement?);
        match (self.kind, self.date) {
            (Kind::Anchor, _) => Some(folder),
            (Kind::JobState, Some(date)) => Some(format!("{folder}/{}", date.join("/"))),
            (Kind::JobState, None) | (Kind::Data, _) => None,
        }
    }
}

/// The segments from `first` up to `end`, as they stand in the path; `None` where there are none.
fn between<'a>(path: &'a str, segments: &[&str], first: usize, end: usize) -> Option<&'a str> {
    let length = |some: &[&str]| some.iter().map(|one| one.len() + 1).sum::<usize>();
    if first >= end {
        return None;
    }
    let start = length(&segments[..first]);
    path.get(start..start + length(&segments[first..end]) - 1)
}

/// Where the date (`YYYY/MM/DD`) begins.
fn date_in(folders: &[&str]) -> Option<usize> {
    let is_date = |w: &[&str]| is_number(w[0], 4) && is_number(w[1], 2) && is_number(w[2], 2);
    folders.windows(3).position(is_date)
}

/// Where dates (`_YYYY_MM_DD`) begin in the name of a state.
fn dates_in(name: &str) -> impl Iterator<Item = usize> {
    let is_date = |at: usize| {
        let date = name.get(at..at + 11).unwrap_or_default();
        let parts: Vec<&str> = date.split('_').collect();
        let is_end = matches!(name.as_bytes().get(at + 11), None | Some(b'_' | b'.'));
        let is_split = matches!(parts[..], ["", year, month, day]
            if is_number(year, 4) && is_number(month, 2) && is_number(day, 2));
        is_split && is_end
    };
    (0..name.len()).filter(move |at| is_date(*at))
}

fn period(date: [&str; 3], hour: Option<&str>) -> Option<Period> {
    let [year, month, day] = date;
    let hour = hour.map(str::parse).transpose().ok()?;
    Period::new(
        year.parse().ok()?,
        month.parse().ok()?,
        day.parse().ok()?,
        hour,
    )
}

fn is_number(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a file that goes with another measurement, or with none.
    #[test]
    fn the_measurement_stands_before_the_date() {
        for (path, expected) in [
            ("iot/cpu/2026/11/20/05/a.parquet", "iot|cpu|1"),
            ("iot/cpu/2026/11/20/a_b1_daily.parquet", "iot|cpu|24"),
            ("iot/cpu/2026/11/20/05", "iot|cpu|24"),
            ("iot/cpu/2026/11/20", "iot|cpu|0"),
            ("iot/cpu/2026/13/20/05/a.parquet", "iot|cpu|0"),
            ("iot/cpu/2026/11/20/99/a.parquet", "iot|cpu|0"),
            (
                "rocket-01/telemetry/cpu/2026/11/20/05/a",
                "rocket-01/telemetry|cpu|1",
            ),
            ("rocket/x/cpu/metadata/v1.metadata.json", "rocket/x|cpu|0"),
            ("iot/cpu/metadata/v1.metadata.json", "iot|cpu|0"),
            ("iot/metadata/2026/11/20/05/a", "iot|metadata|1"),
            ("iot/metadata/a", "iot|metadata|0"),
            ("iot/cpu/a/b/c", "iot|cpu|0"),
            ("iot/cpu/a", "iot|cpu|0"),
            ("iot/a", "iot||0"),
            ("a", "||0"),
            ("iot/2026/11/20/a", "iot||24"),
            ("2026/11/20/a", "||24"),
            ("_schema/iot/cpu.parquet", "iot|cpu|0"),
            ("_schema/rocket/x/cpu.parquet", "rocket/x|cpu|0"),
            ("_schema/cpu.parquet", "||0"),
            ("_compaction_state/daily/iot/job.json", "iot||0"),
            ("_compaction_state/daily/job.json", "||0"),
            (
                "_compaction_state/hourly/iot/iot_cpu_2026_11_20_05_17.json",
                "iot|cpu|1",
            ),
            (
                "_compaction_state/daily/iot/iot_cpu_2026_11_20_05_17.json",
                "iot|cpu|24",
            ),
            (
                "_compaction_state/daily/iot/iot_iot_cpu_load_2026_11_20_1763600000.json",
                "iot|cpu_load|24",
            ),
            (
                "_compaction_state/daily/iot/iot_iot_x_2026_11_20_iot_iot_iot_x_2026_11_20_17.json",
                "iot|iot_x|24",
            ),
            (
                "_compaction_state/daily/r/t/r_t_cpu_2026_11_20_1.json",
                "r/t|cpu|24",
            ),
            (
                "_compaction_state/weekly/iot/iot_cpu_2026_11_20_1.json",
                "iot|cpu|0",
            ),
            (
                "_compaction_state/daily/iot/web_cpu_2026_11_20_1.json",
                "iot||0",
            ),
        ] {
            let place = Place::of(path);
            let found = format!(
                "{}|{}|{}",
                place.database.unwrap_or_default(),
                place.measurement.unwrap_or_default(),
                match place.period {
                    None => 0,
                    Some(period) => {
                        let hour = Period::new(2026, 11, 20, Some(5));
                        let day = Period::new(2026, 11, 20, None);
                        assert!(Some(period) == hour || Some(period) == day, "{path}");
                        if Some(period) == day { 24 } else { 1 }
                    }
                }
            );
            assert_eq!(found, expected, "{path}");
        }
    }
}
