//! Looking at data files while they are copied: the first bytes, and the last.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use arc_backup_core::{Entry, Rows, SourceDamage};

use super::footer::{is_short, rows_of};
use crate::pipeline::{Findings, Inspector};

/// How many of a file's last bytes are kept, at least: the footer of one of Arc's has some KiB.
const SMALLEST_WINDOW: u64 = 64 << 10;
/// The same, at most. Every copy under way may hold as much.
const LARGEST_WINDOW: u64 = 1 << 20;
/// Of a larger file, this part is kept: so it is not much that is moved once more.
const PART: u64 = 8;
/// The longest footer of a file on disk that is read.
const LONGEST_FOOTER: u64 = 16 << 20;
/// How many of a file's first bytes are kept.
const HEAD: usize = 4;

/// The inspector of a Parquet file of the data; `None` for any other.
#[must_use]
pub fn inspect_data_file(entry: &Entry) -> Option<Box<dyn Inspector>> {
    (entry.key.ends_with(".parquet"))
        .then(|| Box::new(DataFile::new(entry.size)) as Box<dyn Inspector>)
}

/// A Parquet file that passes by.
pub(crate) struct DataFile {
    size: u64,
    /// How many bytes have passed.
    position: u64,
    /// Where the last bytes begin that are kept.
    start: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
    /// What they show, where it was seen already.
    seen: Option<Result<Option<Rows>, SourceDamage>>,
}

impl DataFile {
    /// One of `size` bytes.
    pub(crate) fn new(size: u64) -> Self {
        let window = (size / PART).clamp(SMALLEST_WINDOW, LARGEST_WINDOW);
        Self {
            size,
            position: 0,
            start: size.saturating_sub(window),
            head: Vec::with_capacity(HEAD),
            tail: Vec::new(),
            seen: None,
        }
    }

    /// What its bytes have shown, all of them.
    pub(crate) fn rows(&self) -> Result<Option<Rows>, SourceDamage> {
        (self.seen).unwrap_or_else(|| rows_of(&self.head, &self.tail, self.size))
    }
}

/// What the Parquet file at `path` is.
///
/// # Errors
/// When it can't be read.
pub(crate) fn rows_of_file(path: &Path) -> io::Result<Result<Option<Rows>, SourceDamage>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let (mut head, mut found) = (Vec::new(), Ok(None));
    file.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    for window in [SMALLEST_WINDOW, LONGEST_FOOTER] {
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(size.saturating_sub(window)))?;
        file.read_to_end(&mut tail)?;
        found = rows_of(&head, &tail, size);
        if found != Ok(None) || size <= window {
            break;
        }
    }
    Ok(found)
}

impl Inspector for DataFile {
    fn take(&mut self, bytes: &[u8]) {
        let missing = (HEAD - self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..missing]);
        let before = self.start.saturating_sub(self.position);
        self.position += bytes.len() as u64;
        let before = usize::try_from(before).unwrap_or(usize::MAX);
        let Some(kept) = bytes.get(before..).filter(|kept| !kept.is_empty()) else {
            return;
        };
        let window = usize::try_from(self.size - self.start).unwrap_or_default();
        if kept.len() == window && is_short(kept) {
            // Most files come in one piece: nothing of it need be kept.
            self.seen = Some(rows_of(&self.head, kept, self.size));
            return;
        }
        if self.tail.is_empty() {
            self.tail.reserve_exact(window);
        }
        self.tail.extend_from_slice(kept);
    }

    fn is_quick(&self) -> bool {
        self.seen.is_some() || is_short(&self.tail)
    }

    fn finish(self: Box<Self>) -> Findings {
        match self.rows() {
            Ok(rows) => Findings { rows, damage: None },
            Err(damage) => Findings {
                rows: None,
                damage: Some(damage),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use arc_backup_core::Key;

    use super::*;
    use crate::demo::{Column, Values, write_parquet};

    /// Guards against: findings that depend on how the bytes were cut into pieces, and a long
    /// footer that is called a short one.
    #[test]
    fn the_same_is_found_in_whatever_pieces_a_file_comes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.parquet");
        for rows in [1, 1_000, 20_000, 100_000] {
            let values = (0..rows).map(|row| (row * 7_919 % 1_000) as f64);
            let columns = [
                Column::new("time", Values::Time((0..rows).collect())),
                Column::new("value", Values::Float(values.collect())),
            ];
            write_parquet(&path, &columns, &[]).expect("written");
            let whole = std::fs::read(&path).expect("there");
            for (bytes, damage) in [
                (&whole[..], None),
                (&whole[..whole.len() - 1], Some(SourceDamage::Torn)),
                (&whole[..0], Some(SourceDamage::Empty)),
            ] {
                let key = Key::parse("iot/cpu/a.parquet").expect("a fixed form");
                let entry = Entry::new(key, bytes.len() as u64);
                for piece in [usize::MAX, 256 << 10, 60_001, 9, 1] {
                    let mut inspector = inspect_data_file(&entry).expect("a Parquet file");
                    bytes.chunks(piece).for_each(|piece| inspector.take(piece));
                    assert!(inspector.is_quick() || bytes.len() < whole.len(), "{rows}");
                    let found = inspector.finish();
                    let count = found.rows.map(|rows| rows.count);
                    let expected = damage.is_none().then_some(rows as u64);
                    assert_eq!((count, found.damage), (expected, damage), "{rows}, {piece}");
                }
            }
        }
        let names = (0..1_000).map(|number| format!("a_long_name_of_a_column_{number}"));
        let columns: Vec<_> = names
            .map(|name| Column::new(name, Values::Float(vec![1.0])))
            .collect();
        write_parquet(&path, &columns, &[]).expect("written");
        let whole = std::fs::read(&path).expect("there");
        let mut inspector = DataFile::new(whole.len() as u64);
        inspector.take(&whole);
        assert!(!inspector.is_quick(), "{} bytes", whole.len());
        let found = Box::new(inspector).finish();
        assert!(found.damage.is_none(), "{found:?}");
    }
}
