//! Looking at data files while they are copied: the first bytes, and the last.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use arc_backup_core::{Entry, Rows, SourceDamage};

use super::footer::rows_of;
use crate::pipeline::Inspector;

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
        }
    }

    /// What its bytes have shown, all of them.
    pub(crate) fn rows(&self) -> Result<Option<Rows>, SourceDamage> {
        rows_of(&self.head, &self.tail, self.size)
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
        if let Some(kept) = bytes.get(before..).filter(|kept| !kept.is_empty()) {
            if self.tail.is_empty() {
                let window = usize::try_from(self.size - self.start).unwrap_or_default();
                self.tail.reserve_exact(window);
            }
            self.tail.extend_from_slice(kept);
        }
    }

    fn finish(self: Box<Self>, entry: &mut Entry) {
        (entry.rows, entry.damage) = match self.rows() {
            Ok(rows) => (rows, None),
            Err(damage) => (None, Some(damage)),
        };
    }
}
