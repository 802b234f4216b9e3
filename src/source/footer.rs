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
/// Up to how many columns a footer is read on the stack of the caller: the reader of schemas calls
/// itself for each level of a nested one.
const FEW_COLUMNS: u64 = 200;
/// Up to how many columns a footer is read at all.
const MOST_COLUMNS: u64 = 10_000;
/// The stack for footers of many columns.
const STACK_BYTES: usize = 256 << 20;

/// What is known of a file of `size` bytes that begins with `head`, 4 bytes or all, and ends with
/// `tail`. `None` where its footer is longer than that, has too many columns, or has what can't be
/// read.
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

/// Reads a footer; `None` where it has too many columns, or has what can't be read.
fn parse(footer: &[u8]) -> Result<Option<Rows>, SourceDamage> {
    let last = LAST_SCHEMA.with_borrow(Clone::clone);
    let known = last.filter(|last| footer.starts_with(&last.bytes));
    let to_schema = match structure::check(footer, known.as_ref().map(|known| &known.bytes[..])) {
        Ok(to_schema) => to_schema,
        Err(Refused::Malformed) => return Err(SourceDamage::BadFooter),
        Err(Refused::Booleans) => return Ok(None),
    };
    // The crate checks much and asserts the rest: what is in the file must not end the backup.
    let read = || {
        catch_unwind(|| read(footer, to_schema, known))
            .ok()
            .flatten()
    };
    let rows = match columns(footer) {
        None => None,
        Some(..=FEW_COLUMNS) => read(),
        Some(..=MOST_COLUMNS) => thread::scope(|scope| {
            let builder = thread::Builder::new().stack_size(STACK_BYTES);
            let reading = builder.spawn_scoped(scope, read).ok()?;
            reading.join().ok()?
        }),
        Some(_) => return Ok(None),
    };
    rows.map(Some).ok_or(SourceDamage::BadFooter)
}

/// How many elements the schema of a footer has, where it begins as every writer begins it: with
/// the version, and the list of these elements.
fn columns(footer: &[u8]) -> Option<u64> {
    let rest = footer.strip_prefix(&[0x15])?;
    let version = rest.iter().position(|byte| byte & 0x80 == 0)?;
    let list = rest[version + 1..].strip_prefix(&[0x19])?;
    match (list.first()? >> 4, list) {
        (15, [_, count @ ..]) => {
            let mut number = 0;
            for (at, byte) in count.iter().take(4).enumerate() {
                number |= u64::from(byte & 0x7f) << (7 * at);
                if byte & 0x80 == 0 {
                    return Some(number);
                }
            }
            None
        }
        (count, _) => Some(u64::from(count)),
    }
}

/// Where the rows' time is in files of one schema.
struct Schema {
    /// The footer of such a file, to where its schema ends.
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
    /// That of a footer which reaches `to_schema`.
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

/// Reads a footer, which reaches `to_schema`, of the schema that is `known`, if it is.
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

    /// A file with a schema of groups in groups, and no row group.
    fn nested(levels: u32) -> Vec<u8> {
        let mut footer = vec![0x15, 2, 0x19, 0xfc];
        let mut count = levels + 2;
        while count > 0x7f {
            footer.push((count & 0x7f) as u8 | 0x80);
            count >>= 7;
        }
        footer.extend([count as u8, 0x48, 1, b's', 0x15, 2, 0]);
        for _ in 0..levels {
            footer.extend([0x35, 0, 0x18, 1, b'g', 0x15, 2, 0]);
        }
        footer.extend([0x15, 4, 0x25, 0, 0x18, 1, b'v', 0]);
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
        for levels in [1, 100, 198, 199, 9_000] {
            assert_eq!(found(&nested(levels)), Ok(Some(rows)), "{levels}");
        }
        assert_eq!(found(&nested(100_000)), Ok(None));
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
