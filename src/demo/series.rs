//! What the sample instance's measurements hold, and in which files: a pure function of the
//! options.

use std::time::SystemTime;

use jiff::Timestamp;

use super::options::DemoOptions;
use super::parquet::{Column, Values};
use super::random::Random;

/// 2026-02-09 00:00:00 UTC, the first of the three days of data.
const FIRST_SECOND: i64 = 1_770_595_200;
const HOURS: u32 = 72;
const HOURS_PER_DAY: u32 = 24;
/// Rows fall into the first 59 minutes of an hour, so that its file can be of its last minute.
const FILLED_MICROS: u64 = 59 * 60 * 1_000_000;
/// File names are the same in every sample: a half-made one is recognised by them.
const NAME_SEED: u64 = 0x6172_635f_6465_6d6f;

/// One measurement of the sample.
struct Measurement {
    database: &'static str,
    name: &'static str,
    tags: &'static [&'static str],
    /// Whether Arc's daily compaction has been over it: one file a day instead of one an hour.
    compacted: bool,
    /// The tags and fields for rows at these times.
    columns: fn(&mut Random, &[i64]) -> Vec<Column>,
}

const MEASUREMENTS: [Measurement; 5] = [
    Measurement {
        database: "iot",
        name: "temperature",
        tags: &["sensor", "zone"],
        compacted: false,
        columns: |random, times| {
            vec![
                Column::new("sensor", tag(times, 12, |number| format!("s{number:02}"))),
                Column::new("zone", tag(times, 3, |number| format!("zone-{number}"))),
                Column::new("celsius", gauge(random, times, 17_000, 24_000)),
                Column::new("battery", gauge(random, times, 3_100, 3_300)),
            ]
        },
    },
    Measurement {
        database: "iot",
        name: "vibration",
        tags: &["machine"],
        compacted: false,
        columns: |random, times| {
            vec![
                Column::new("machine", tag(times, 3, |number| format!("m{number}"))),
                Column::new("x", gauge(random, times, 100, 900)),
                Column::new("y", gauge(random, times, 80, 700)),
            ]
        },
    },
    Measurement {
        database: "metrics",
        name: "cpu",
        tags: &["host", "region"],
        compacted: false,
        columns: |random, times| {
            let mut columns = host_tags(times);
            columns.push(Column::new("usage", gauge(random, times, 5_000, 80_000)));
            columns.push(Column::new("processes", count(random, times, 400)));
            columns.push(Column::new("ok", mostly_true(random, times)));
            columns
        },
    },
    Measurement {
        database: "metrics",
        name: "mem",
        tags: &["host", "region"],
        compacted: false,
        columns: |random, times| {
            let mut columns = host_tags(times);
            columns.push(Column::new(
                "used_percent",
                gauge(random, times, 40_000, 75_000),
            ));
            columns.push(Column::new("page_faults", count(random, times, 100_000)));
            columns
        },
    },
    Measurement {
        database: "metrics",
        name: "disk",
        tags: &["host", "region"],
        compacted: true,
        columns: |random, times| {
            let mut columns = host_tags(times);
            columns.push(Column::new(
                "used_percent",
                gauge(random, times, 60_000, 62_000),
            ));
            columns.push(Column::new("writes", count(random, times, 5_000)));
            columns.push(Column::new("ok", mostly_true(random, times)));
            columns
        },
    },
];

/// One Parquet file of the sample.
pub(super) struct PlannedFile {
    /// Where it lies under the storage root.
    pub(super) key: String,
    /// When Arc would have written it.
    pub(super) written: SystemTime,
    measurement: &'static Measurement,
    stream: u64,
    first_hour: u32,
    hours: u32,
}

impl PlannedFile {
    /// Returns the names of the tag columns.
    pub(super) fn tags(&self) -> &'static [&'static str] {
        self.measurement.tags
    }

    /// Returns the number of rows.
    pub(super) fn rows(&self, options: &DemoOptions) -> u64 {
        u64::from(self.hours) * u64::from(options.rows_per_hour.get())
    }

    /// Returns the columns, rows in the order of time.
    pub(super) fn columns(&self, options: &DemoOptions) -> Vec<Column> {
        let mut random = Random::new(options.seed, self.stream);
        let rows = options.rows_per_hour.get();
        let times: Vec<i64> = (self.first_hour..self.first_hour + self.hours)
            .flat_map(|hour| (0..rows).map(move |row| (hour, row)))
            .map(|(hour, row)| row_time(&mut random, hour, row, rows))
            .collect();
        let mut columns = (self.measurement.columns)(&mut random, &times);
        columns.insert(0, Column::new("time", Values::Time(times)));
        columns
    }
}

/// Returns every Parquet file of the sample. Keys and times of writing depend on nothing.
pub(super) fn plan() -> Vec<PlannedFile> {
    let mut files = Vec::new();
    for measurement in &MEASUREMENTS {
        let hours = if measurement.compacted {
            HOURS_PER_DAY
        } else {
            1
        };
        for first_hour in (0..HOURS).step_by(hours as usize) {
            let stream = files.len() as u64;
            files.push(planned_file(measurement, stream, first_hour, hours));
        }
    }
    files
}

fn planned_file(
    measurement: &'static Measurement,
    stream: u64,
    first_hour: u32,
    hours: u32,
) -> PlannedFile {
    let Measurement {
        database,
        name,
        compacted,
        ..
    } = measurement;
    let start = hour_start(first_hour);
    let nanos = Random::new(NAME_SEED, stream)
        .below(1_000_000_000)
        .cast_signed();
    // Ingested in the last minute of its hour; compacted at 03:00, when the day is more than 24
    // hours old.
    let second = if *compacted {
        start + (24 + 24 + 3) * 3600
    } else {
        start + 3599
    };
    let written = timestamp(second, nanos);
    let stamp = written.strftime("%Y%m%d_%H%M%S");
    let key = if *compacted {
        let day = timestamp(start, 0).strftime("%Y/%m/%d");
        let unix = written.as_nanosecond();
        format!("{database}/{name}/{day}/{name}_{stamp}_{unix}_b1_daily.parquet")
    } else {
        let hour = timestamp(start, 0).strftime("%Y/%m/%d/%H");
        format!("{database}/{name}/{hour}/{name}_{stamp}_{nanos:09}.parquet")
    };
    let written = written
        .try_into()
        .expect("the days of the sample lie in the system clock's range");
    PlannedFile {
        key,
        written,
        measurement,
        stream,
        first_hour,
        hours,
    }
}

fn hour_start(hour: u32) -> i64 {
    FIRST_SECOND + i64::from(hour) * 3600
}

fn timestamp(second: i64, nanos: i32) -> Timestamp {
    Timestamp::new(second, nanos).expect("the days of the sample lie in jiff's range")
}

/// Rows are evenly spaced with some jitter, and in order.
fn row_time(random: &mut Random, hour: u32, row: u16, rows: u16) -> i64 {
    let interval = FILLED_MICROS / u64::from(rows);
    let jitter = random.below(u32::try_from(interval / 2).unwrap_or(u32::MAX));
    let offset = u64::from(row) * interval + u64::from(jitter);
    hour_start(hour) * 1_000_000 + offset.cast_signed()
}

fn host_tags(times: &[i64]) -> Vec<Column> {
    vec![
        Column::new("host", tag(times, 4, |number| format!("h{number:02}"))),
        Column::new("region", tag(times, 1, |_| "eu".to_owned())),
    ]
}

/// Values of a tag, one after the other.
fn tag(times: &[i64], distinct: usize, text: fn(usize) -> String) -> Values {
    Values::Text((0..times.len()).map(|row| text(row % distinct)).collect())
}

/// A reading that is at `low` at midnight and at `high` at noon, with noise; in thousandths, so
/// that integers decide the value and it is the same on every platform.
fn gauge(random: &mut Random, times: &[i64], low: u32, high: u32) -> Values {
    const HALF_DAY: i64 = 12 * 3600;
    let (low, high) = (i64::from(low), i64::from(high));
    let noise = u32::try_from((high - low) / 4 + 1).unwrap_or(u32::MAX);
    let value = |&time: &i64| {
        let from_noon = ((time / 1_000_000).rem_euclid(2 * HALF_DAY) - HALF_DAY).abs();
        let level = low + (high - low) * (HALF_DAY - from_noon) / HALF_DAY;
        let thousandths = level + i64::from(random.below(noise));
        thousandths as f64 / 1000.0
    };
    Values::Float(times.iter().map(value).collect())
}

fn count(random: &mut Random, times: &[i64], bound: u32) -> Values {
    Values::Integer(
        times
            .iter()
            .map(|_| i64::from(random.below(bound)))
            .collect(),
    )
}

fn mostly_true(random: &mut Random, times: &[i64]) -> Values {
    Values::Boolean(times.iter().map(|_| random.below(50) != 0).collect())
}
