//! The footer of a Parquet file: rows, and of which time.

use std::cell::RefCell;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::thread;

use ::parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{
    ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader, ParquetStatisticsPolicy,
};
use ::parquet::file::statistics::Statistics;
use ::parquet::schema::types::SchemaDescriptor;
use arc_backup_core::{RowTimes, Rows, SourceDamage};

use structure::Refused;

mod shapes;
mod structure;

/// What a Parquet file begins and ends with.
const MAGIC: &[u8] = b"PAR1";
/// The same, where the footer is encrypted.
const ENCRYPTED: &[u8] = b"PARE";
/// The length of the footer and the magic, at the end of a file.
const TAIL: usize = 8;
/// Arc's column of time.
const TIME: &str = "time";
/// Up to how many levels a schema is read on the stack of the caller: its reader calls itself for
/// each.
const FEW_LEVELS: usize = 200;
/// Up to how many elements a schema is read at all.
const MOST_ELEMENTS: u64 = 10_000;
/// The same for the names in the paths of its columns, each of which takes some 60 bytes.
const MOST_NAMES: u64 = 100_000;
/// How long a footer is, at most, that is read in some milliseconds.
const SHORT: u32 = 16 << 10;
/// The stack for schemas of many levels.
const STACK_BYTES: usize = 256 << 20;

/// What is known of a file of `size` bytes that begins with `head`, 4 bytes or all, and ends with
/// `tail`. `None` where its footer is longer than that, has too large a schema, or has what can't
/// be read.
pub(crate) fn rows_of(head: &[u8], tail: &[u8], size: u64) -> Result<Option<Rows>, SourceDamage> {
    if size == 0 {
        return Err(SourceDamage::Empty);
    }
    let begins = |magic: &[u8]| head.starts_with(magic);
    if !begins(MAGIC) && !begins(ENCRYPTED) {
        return Err(SourceDamage::NotParquet);
    }
    let (Some((rest, last)), true) = (tail.split_last_chunk::<TAIL>(), size >= 12) else {
        return Err(SourceDamage::Torn);
    };
    let [length @ .., _, _, _, _] = *last;
    match &last[4..] {
        magic if magic == ENCRYPTED && begins(ENCRYPTED) => {
            return Err(SourceDamage::EncryptedFooter);
        }
        magic if magic == MAGIC && begins(MAGIC) => {}
        _ => return Err(SourceDamage::Torn),
    }
    let length = u32::from_le_bytes(length);
    if length == 0 || u64::from(length) > size - 12 {
        return Err(SourceDamage::BadFooter);
    }
    let start = usize::try_from(length).ok();
    let Some(start) = start.and_then(|length| rest.len().checked_sub(length)) else {
        return Ok(None);
    };
    parse(&rest[start..])
}

/// Whether the footer of a file that ends with `tail` is read in some milliseconds at most.
pub(crate) fn is_short(tail: &[u8]) -> bool {
    let last = tail.last_chunk::<TAIL>();
    let length = last.map(|[length @ .., _, _, _, _]| u32::from_le_bytes(*length));
    length.is_none_or(|length| length <= SHORT)
}

/// Reads a footer; `None` where its schema is too large, or it has what can't be read.
fn parse(footer: &[u8]) -> Result<Option<Rows>, SourceDamage> {
    let last = LAST_SCHEMA.with_borrow(Clone::clone);
    let known = last.filter(|last| footer.starts_with(&last.bytes));
    let to_schema = match structure::check(footer, known.as_ref().map(|known| &known.bytes[..])) {
        Ok(to_schema) => to_schema,
        Err(Refused::Malformed) => return Err(SourceDamage::BadFooter),
        Err(Refused::Booleans) => return Ok(None),
    };
    let is_deep = match &known {
        Some(_) => false,
        None => match structure::tree(to_schema) {
            Ok(tree) if tree.elements > MOST_ELEMENTS || tree.names > MOST_NAMES => {
                return Ok(None);
            }
            Ok(tree) => tree.levels > FEW_LEVELS,
            Err(_) => return Err(SourceDamage::BadFooter),
        },
    };
    // The crate checks much and asserts the rest: what is in the file must not end the backup.
    let read = || {
        let read = catch_unwind(|| read(footer, to_schema, known));
        read.ok().flatten()
    };
    let rows = match is_deep {
        false => read(),
        true => thread::scope(|scope| {
            let builder = thread::Builder::new().stack_size(STACK_BYTES);
            let reading = builder.spawn_scoped(scope, read).ok()?;
            reading.join().ok()?
        }),
    };
    rows.map(Some).ok_or(SourceDamage::BadFooter)
}

/// Where the rows' time is in files of one schema.
struct Schema {
    /// How the footer of such a file begins, up to the end of its schema.
    bytes: Vec<u8>,
    /// How to read the statistics of the column of time, and nothing else.
    options: ParquetMetaDataOptions,
    /// The number of this column, and how many of its units are a second.
    time: Option<(usize, i64)>,
}

thread_local! {
    /// The schema of the file that was read last: mostly that of the next one too, of the same
    /// measurement.
    static LAST_SCHEMA: RefCell<Option<Arc<Schema>>> = const { RefCell::new(None) };
}

impl Schema {
    /// The one at the end of `to_schema`, the beginning of a footer.
    fn read(to_schema: &[u8]) -> Result<Arc<Self>, ParquetError> {
        let schema = ParquetMetaDataReader::decode_schema(to_schema)?;
        let time = schema
            .columns()
            .iter()
            .position(|column| matches!(column.path().parts(), [name] if name == TIME));
        let of_time = ParquetStatisticsPolicy::skip_except(time.as_slice());
        let time = time.and_then(|time| Some((time, per_second(&schema, time)?)));
        let options = ParquetMetaDataOptions::new()
            .with_schema(schema)
            .with_column_stats_policy(of_time)
            .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll);
        let read = Arc::new(Self {
            bytes: to_schema.to_vec(),
            options,
            time,
        });
        LAST_SCHEMA.set(Some(read.clone()));
        Ok(read)
    }
}

/// Reads a footer, whose schema is at the end of `to_schema`, unless it is `known`.
fn read(footer: &[u8], to_schema: &[u8], known: Option<Arc<Schema>>) -> Option<Rows> {
    let fault = |error: ParquetError| tracing::debug!(%error, "the footer can't be read");
    let schema = known.map_or_else(|| Schema::read(to_schema), Ok);
    let schema = schema.map_err(fault).ok()?;
    let options = Some(&schema.options);
    let read = ParquetMetaDataReader::decode_metadata_with_options(footer, options);
    let metadata = read.map_err(fault).ok()?;
    Some(Rows {
        count: u64::try_from(metadata.file_metadata().num_rows()).ok()?,
        times: (schema.time).and_then(|(time, per_second)| times(&metadata, time, per_second)),
    })
}

/// How many units of a column of time are a second.
fn per_second(schema: &SchemaDescriptor, column: usize) -> Option<i64> {
    let column = schema.column(column);
    let unit = match column.logical_type_ref() {
        Some(LogicalType::Timestamp(of)) => of.unit,
        Some(_) => return None,
        None => match column.converted_type() {
            ConvertedType::TIMESTAMP_MILLIS => TimeUnit::MILLIS,
            ConvertedType::TIMESTAMP_MICROS => TimeUnit::MICROS,
            _ => return None,
        },
    };
    Some(match unit {
        TimeUnit::MILLIS => 1_000,
        TimeUnit::MICROS => 1_000_000,
        TimeUnit::NANOS => 1_000_000_000,
    })
}

/// The times of all row groups; `None` where one of them does not say.
fn times(metadata: &ParquetMetaData, column: usize, per_second: i64) -> Option<RowTimes> {
    let mut all: Option<RowTimes> = None;
    for group in metadata.row_groups() {
        if group.num_rows() == 0 {
            continue;
        }
        let Some(Statistics::Int64(statistics)) = group.columns().get(column)?.statistics() else {
            return None;
        };
        let (min, max) = (statistics.min_opt()?, statistics.max_opt()?);
        let min = min.div_euclid(per_second);
        let max = max.div_euclid(per_second) + i64::from(max.rem_euclid(per_second) > 0);
        all = Some(all.map_or(RowTimes { min, max }, |all| RowTimes {
            min: all.min.min(min),
            max: all.max.max(max),
        }));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{Column, Values, write_parquet};

    /// A file of these times, in microseconds.
    fn file(times: &[i64]) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.parquet");
        let columns = [
            Column::new("host", Values::Text(vec!["a".to_owned(); times.len()])),
            Column::new("time", Values::Time(times.to_vec())),
        ];
        write_parquet(&path, &columns, &["host"]).expect("written");
        std::fs::read(&path).expect("there")
    }

    fn found(bytes: &[u8]) -> Result<Option<Rows>, SourceDamage> {
        rows_of(&bytes[..bytes.len().min(4)], bytes, bytes.len() as u64)
    }

    /// Guards against: a row that lies outside of the time that its file is said to have.
    #[test]
    fn times_are_rounded_so_that_all_rows_are_within() {
        for (times, min, max) in [
            (vec![5_000_000, 7_000_000], 5, 7),
            (vec![5_999_999, 7_000_001, 6_000_000], 5, 8),
            (vec![-1, -1_500_000], -2, 0),
        ] {
            let rows = found(&file(&times)).expect("whole").expect("read");
            assert_eq!(rows.count, times.len() as u64);
            assert_eq!(rows.times, Some(RowTimes { min, max }), "{times:?}");
        }
    }

    /// Guards against: a damaged file that passes for a whole one, and a whole one that does not.
    #[test]
    fn each_kind_of_damage_is_found() {
        let whole = file(&[1, 2, 3]);
        let end = whole.len();
        let length = u32::from_le_bytes(whole[end - 8..end - 4].try_into().expect("4 bytes"));
        let footer = end - 8 - length as usize;
        let cut = [&whole[..footer + 5], &whole[footer + 20..]].concat();
        let mut too_long = whole.clone();
        too_long[end - 8..end - 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let encrypted = [b"PARE", &whole[4..end - 4], b"PARE"].concat();
        for (bytes, damage) in [
            (&b""[..], SourceDamage::Empty),
            (b"P", SourceDamage::NotParquet),
            (b"host,time\n", SourceDamage::NotParquet),
            (b"PAR1", SourceDamage::Torn),
            (b"PAR1PAR1", SourceDamage::Torn),
            (b"PAR1\0\0\0\0PAR1", SourceDamage::BadFooter),
            (&whole[..end / 2], SourceDamage::Torn),
            (&whole[..end - 1], SourceDamage::Torn),
            (&cut, SourceDamage::BadFooter),
            (&too_long, SourceDamage::BadFooter),
            (&encrypted, SourceDamage::EncryptedFooter),
        ] {
            assert_eq!(found(bytes), Err(damage), "{} bytes", bytes.len());
        }
        assert_eq!(
            found(&whole).map(|rows| rows.map(|rows| rows.count)),
            Ok(Some(3))
        );
    }

    /// Guards against: a footer that ends the program, whatever its bytes are; and one that is read
    /// otherwise as the file before it had this schema.
    #[test]
    fn no_footer_ends_the_program() {
        let whole = file(&[1, 2, 3]);
        let end = whole.len();
        for at in 4..end {
            for bits in [0xff, 0x80, 1] {
                let mut bytes = whole.clone();
                bytes[at] ^= bits;
                let alone = thread::scope(|scope| scope.spawn(|| found(&bytes)).join());
                found(&whole).expect("whole");
                assert_eq!(found(&bytes), alone.expect("no panic"), "{at}, {bits:x}");
            }
        }
    }

    /// Guards against: the times of another column, where the file before has another schema.
    #[test]
    fn each_file_is_read_by_its_own_schema() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, columns: &[Column]| {
            let path = folder.path().join(name);
            write_parquet(&path, columns, &[]).expect("written");
            std::fs::read(&path).expect("there")
        };
        let time =
            |name: &str, second: i64| Column::new(name, Values::Time(vec![second * 1_000_000]));
        let with = |second| {
            Some(RowTimes {
                min: second,
                max: second,
            })
        };
        let files = [
            (file("a", &[time("time", 1), time("seen", 2)]), with(1)),
            (file("b", &[time("seen", 3), time("time", 4)]), with(4)),
            (file("c", &[time("time", 5), time("seen", 6)]), with(5)),
            (file("d", &[time("seen", 7), time("made", 8)]), None),
            (file("e", &[time("time", 9)]), with(9)),
        ];
        for first in &files {
            for second in &files {
                for (bytes, times) in [first, second, second] {
                    let rows = found(bytes).expect("whole").expect("read");
                    assert_eq!((rows.count, rows.times), (1, *times));
                }
            }
        }
    }

    /// A file with a schema of groups in groups, with columns in the last, and no row group.
    fn nested(levels: u32, columns: u32) -> Vec<u8> {
        let mut footer = vec![0x15, 2, 0x19, 0xfc];
        let integer = |footer: &mut Vec<u8>, mut number: u32| {
            while number > 0x7f {
                footer.push((number & 0x7f) as u8 | 0x80);
                number >>= 7;
            }
            footer.push(number as u8);
        };
        integer(&mut footer, 1 + levels + columns);
        footer.extend([0x48, 1, b's', 0x15, 2, 0]);
        for level in 1..=levels {
            footer.extend([0x35, 0, 0x18, 1, b'g', 0x15]);
            let children = if level == levels { columns } else { 1 };
            integer(&mut footer, 2 * children);
            footer.push(0);
        }
        for _ in 0..columns {
            footer.extend([0x15, 4, 0x25, 0, 0x18, 1, b'v', 0]);
        }
        // Three rows, and an empty list of row groups.
        footer.extend([0x16, 6, 0x19, 0x0c, 0]);
        let length = (footer.len() as u32).to_le_bytes();
        [b"PAR1", &footer[..], &length, b"PAR1"].concat()
    }

    /// Guards against: a schema so deep that reading it takes all of the stack.
    #[test]
    fn a_deep_schema_is_read_and_a_deeper_one_is_not() {
        let rows = Rows {
            count: 3,
            times: None,
        };
        for levels in [1, 100, 198, 199, 200, 201, 9_000] {
            for _ in 0..2 {
                assert_eq!(found(&nested(levels, 1)), Ok(Some(rows)), "{levels}");
            }
        }
        assert_eq!(found(&nested(100_000, 1)), Ok(None));
    }

    /// Guards against: a small file whose schema takes all memory, as each column keeps the names
    /// of all groups above it; and a table of many columns that is not read.
    #[test]
    fn a_schema_costs_no_more_than_so_many_names() {
        for (levels, columns, is_read) in [
            (1, 9_900, true),
            (300, 300, true),
            (320, 320, false),
            (3_900, 3_900, false),
        ] {
            let rows = found(&nested(levels, columns)).expect("whole");
            assert_eq!(
                rows.is_some(),
                is_read,
                "{levels} levels, {columns} columns"
            );
        }
    }

    /// Guards against: a small file whose footer takes seconds to read for each of its bytes.
    #[test]
    fn a_footer_costs_no_more_than_its_bytes() {
        let mut footer = vec![0x15, 2, 0x19, 0x2c, 0x48, 1, b's', 0x15, 2, 0];
        footer.extend([0x15, 4, 0x25, 0, 0x18, 1, b'v', 0, 0x16, 6]);
        // Fields of unknown numbers: lists of 2^31 - 1 booleans that take no byte.
        for field in [0xc9].into_iter().chain([0x19; 200]) {
            footer.extend([field, 0xf1, 0xff, 0xff, 0xff, 0xff, 7]);
        }
        footer.push(0);
        let length = (footer.len() as u32).to_le_bytes();
        let file = [b"PAR1", &footer[..], &length, b"PAR1"].concat();
        let began = std::time::Instant::now();
        assert_eq!(found(&file), Err(SourceDamage::BadFooter));
        assert!(began.elapsed() < std::time::Duration::from_secs(5));
    }

    /// Guards against: a file that is called damaged as its footer is longer than what is kept.
    #[test]
    fn a_footer_that_is_not_all_there_says_nothing() {
        let whole = file(&[1, 2, 3]);
        let (size, tail) = (whole.len() as u64, &whole[whole.len() - 100..]);
        assert_eq!(rows_of(b"PAR1", tail, size), Ok(None));
    }
}
