//! Names and content of a writer's files.

use arc_backup::testing::{Column, Values, write_parquet};
use bytes::Bytes;
use parquet::column::reader::ColumnReader;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::{Ordering, Shared};

/// One of them was synced from an edge node.
const DATABASES: [&str; 3] = ["iot", "metrics", "rocket-01/telemetry"];
const MEASUREMENTS: [&str; 8] = [
    "cpu",
    "disk",
    "fan",
    "mem",
    "net",
    "power",
    "temp",
    "vibration",
];
const DAYS: [u32; 3] = [20, 21, 22];
/// How many hours of a day have files.
pub const HOURS: u64 = 3;

/// A day of a measurement, which compaction does not cross.
#[derive(Debug, Clone)]
pub struct Unit {
    pub database: &'static str,
    pub measurement: &'static str,
    /// `{database}/{measurement}/YYYY/MM/DD`
    pub day: String,
}

pub fn units() -> Vec<Unit> {
    let mut units = Vec::new();
    for database in DATABASES {
        for measurement in MEASUREMENTS {
            units.extend(DAYS.map(|day| Unit {
                database,
                measurement,
                day: format!("{database}/{measurement}/2026/11/{day}"),
            }));
        }
    }
    units
}

impl Unit {
    pub fn hour(&self, hour: u32) -> String {
        format!("{}/{:02}", self.day, 5 * hour)
    }

    fn name(&self, suffix: &str, number: u64) -> String {
        let measurement = self.measurement;
        let second = number % 86_400;
        let time = format!(
            "{:02}{:02}{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60
        );
        format!("{measurement}_20261123_{time}_{number:09}{suffix}.parquet")
    }

    /// A unique name for a file of an hour.
    pub fn new_file(&self, hour: u32, suffix: &str, number: u64) -> String {
        format!("{}/{}", self.hour(hour), self.name(suffix, number))
    }

    /// A unique name for a file in a folder of this unit.
    pub fn new_output(&self, folder: &str, suffix: &str, number: u64) -> String {
        format!("{folder}/{}", self.name(suffix, number))
    }
}

/// The day folder of a file.
pub fn day_of(key: &str) -> &str {
    let year = key.find("/2026/").unwrap_or(key.len());
    &key[..key.len().min(year + "/2026/11/20".len())]
}

/// A row's time follows from its id.
pub fn time_of(id: i64) -> i64 {
    1_795_000_000_000_000 + id * 1_000
}

impl Shared {
    /// A Parquet file with these rows.
    pub fn parquet(&self, ids: &[i64]) -> Vec<u8> {
        let number = self.next_name.fetch_add(1, Ordering::SeqCst);
        let path = self.scratch.path().join(number.to_string());
        let columns = [
            Column::new(
                "time",
                Values::Time(ids.iter().copied().map(time_of).collect()),
            ),
            Column::new("id", Values::Integer(ids.to_vec())),
            Column::new(
                "value",
                Values::Float(ids.iter().map(|id| *id as f64 / 7.0).collect()),
            ),
        ];
        write_parquet(&path, &columns, &[]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        bytes
    }
}

/// The ids in a Parquet file. A row whose time is not that of its id is an error.
pub fn ids_in(bytes: Vec<u8>) -> Result<Vec<i64>, String> {
    let reader = SerializedFileReader::new(Bytes::from(bytes)).map_err(|e| e.to_string())?;
    let mut ids = Vec::new();
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(|e| e.to_string())?;
        let rows = usize::try_from(group.metadata().num_rows()).map_err(|e| e.to_string())?;
        let column = |number: usize| -> Result<Vec<i64>, String> {
            let ColumnReader::Int64ColumnReader(mut column) =
                group.get_column_reader(number).map_err(|e| e.to_string())?
            else {
                return Err("a column of another type".to_owned());
            };
            let (mut values, mut levels) = (Vec::new(), Vec::new());
            (column.read_records(rows, Some(&mut levels), None, &mut values))
                .map_err(|e| e.to_string())?;
            if values.len() == rows {
                Ok(values)
            } else {
                Err(format!("{} values of {rows}", values.len()))
            }
        };
        let (times, found) = (column(0)?, column(1)?);
        if let Some((_, id)) = (times.iter().zip(&found)).find(|(time, id)| **time != time_of(**id))
        {
            return Err(format!("row {id} has the time of another"));
        }
        ids.extend(found);
    }
    Ok(ids)
}
