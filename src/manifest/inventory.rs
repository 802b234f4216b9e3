//! `inventory.jsonl.zst`: one line a file, sorted by path in byte order. Format 1 has it without
//! compression, as `inventory.jsonl`.
//!
//! It is streamed, never held whole. A reader first brings it into a private local file, checking
//! every line and the digest on the way, and then reads that copy as often as it needs: nothing can
//! change in between. The offsets of each section are kept too, so that a section is read
//! without the others.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_backup_core::{Activity, Body, Hasher, Key, Section};
use futures::StreamExt;

use super::compression::{Decompressor, ZSTD};
use super::section_index::{NotNext, SectionIndex, SectionLines};
use super::{InventoryRef, LegIndex, Record};
use crate::files::create_file;
use crate::{Error, Result};

/// The longest line that is read: a key of 1,024 bytes, each escaped in six, and the other fields.
const LINE_LIMIT: usize = 16 << 10;
/// How much is read at once.
const PIECE_BYTES: usize = 256 << 10;

/// A list of records in a private local file.
#[derive(Debug, Clone)]
pub struct Inventory {
    path: PathBuf,
    summary: InventoryRef,
    /// In the order of the file, which is that of [`Section`]s.
    sections: Vec<SectionLines>,
    stored_elsewhere: u64,
    has_checksums: bool,
    /// Which leg holds each file, where it is the list of a run.
    legs: Arc<LegIndex>,
}

/// What is wrong with an inventory.
#[derive(Debug, thiserror::Error)]
pub enum InventoryFault {
    /// It is not the one that the manifest names, or not readable as an inventory.
    #[error("{list} {detail}")]
    Damaged {
        /// The list: `inventory.jsonl`, or `manifest-files.json`.
        list: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// It could not be read, or not be kept.
    #[error(transparent)]
    Other(#[from] Error),
}

impl From<arc_backup_core::Error> for InventoryFault {
    fn from(error: arc_backup_core::Error) -> Self {
        Self::Other(error.into())
    }
}

impl Inventory {
    pub(super) fn new(path: PathBuf, summary: InventoryRef, index: SectionIndex) -> Self {
        Self {
            path,
            summary,
            sections: index.sections,
            stored_elsewhere: index.stored_elsewhere,
            has_checksums: true,
            legs: Arc::default(),
        }
    }

    /// The same list, of the files of a run.
    pub(super) fn of_legs(mut self, legs: LegIndex, has_checksums: bool) -> Self {
        self.legs = Arc::new(legs);
        self.has_checksums = has_checksums;
        self
    }

    /// Which leg of the run holds each file.
    #[must_use]
    pub fn legs(&self) -> &Arc<LegIndex> {
        &self.legs
    }

    /// Whether each line has a digest.
    pub(super) fn has_checksums(&self) -> bool {
        self.has_checksums
    }

    /// Brings an inventory into the local file `path`, without compression, checking each line, the
    /// order, the totals and the digest.
    ///
    /// # Errors
    /// [`InventoryFault::Damaged`] names the line.
    pub async fn receive(
        body: Body,
        expected: &InventoryRef,
        path: &Path,
        activity: &Activity,
    ) -> Result<Self, InventoryFault> {
        let damaged = |detail: String| InventoryFault::Damaged {
            list: expected.name(),
            detail,
        };
        let mut decompressor = match expected.compression.as_deref() {
            None => None,
            Some(ZSTD) => {
                Some(Decompressor::new().map_err(|e| damaged(format!("can't be read: {e}")))?)
            }
            Some(other) => {
                return Err(damaged(format!(
                    "has the unknown compression {other:?}: use a newer arc-backup"
                )));
            }
        };
        let mut copy = BufWriter::new(create_file(path).map_err(|e| Error::io("write", path, e))?);
        let mut check = LineCheck::default();
        let mut hasher = Hasher::new();
        let mut take = |lines: &[u8]| -> Result<(), InventoryFault> {
            hasher.update(lines);
            check.take(lines, expected).map_err(damaged)?;
            (copy.write_all(lines)).map_err(|e| Error::io("write", path, e))?;
            Ok(())
        };
        let mut pieces = crate::pipeline::pieces(body, expected.name());
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(Error::from)?;
            activity.note();
            match &mut decompressor {
                Some(decompressor) => decompressor.push(&piece, damaged, &mut take)?,
                None => take(&piece)?,
            }
        }
        if decompressor.is_some_and(|decompressor| !decompressor.has_ended()) {
            return Err(damaged("ends too early".to_owned()));
        }
        copy.flush().map_err(|e| Error::io("write", path, e))?;
        if !check.rest.is_empty() {
            return Err(damaged("ends in the middle of a line".to_owned()));
        }
        let index = check.index;
        if (index.entries, index.bytes) != (expected.entries, expected.bytes) {
            return Err(damaged(format!(
                "has {} entries of {} bytes; the manifest says {} of {}",
                index.entries, index.bytes, expected.entries, expected.bytes
            )));
        }
        if hasher.finish().to_string() != expected.sha256 {
            return Err(damaged(
                "does not have the SHA-256 that the manifest says".to_owned(),
            ));
        }
        Ok(Self::new(path.to_owned(), expected.clone(), index))
    }

    /// Joins the lists of sections in the new file `path`, as they are.
    ///
    /// # Errors
    /// When a file can't be read or written, or the lists are not in the order of their sections.
    pub fn join<'a>(path: &Path, lists: impl IntoIterator<Item = &'a Self>) -> Result<Self> {
        let mut joined =
            BufWriter::new(create_file(path).map_err(|e| Error::io("write", path, e))?);
        let mut hasher = Hasher::new();
        let mut index = SectionIndex::default();
        let mut buffer = vec![0; PIECE_BYTES];
        for list in lists {
            let behind = index.sections.last().map_or(0, |lines| lines.end);
            for lines in &list.sections {
                if let Some(last) = index.sections.last()
                    && last.section >= lines.section
                {
                    return Err(Error::Failed(format!(
                        "the list of section `{}` comes behind that of `{}`",
                        lines.section, last.section
                    )));
                }
                index.entries += lines.files;
                index.bytes = (index.bytes.checked_add(lines.bytes)).ok_or_else(|| {
                    Error::Failed("the sizes of all files of the backup overflow".to_owned())
                })?;
                index.sections.push(SectionLines {
                    start: behind + lines.start,
                    end: behind + lines.end,
                    ..lines.clone()
                });
            }
            index.stored_elsewhere += list.stored_elsewhere;
            let mut file = list.open(None)?;
            loop {
                let count = match file.read(&mut buffer) {
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                    read => read.map_err(|e| Error::io("read", &list.path, e))?,
                };
                if count == 0 {
                    break;
                }
                hasher.update(&buffer[..count]);
                (joined.write_all(&buffer[..count])).map_err(|e| Error::io("write", path, e))?;
            }
        }
        joined.flush().map_err(|e| Error::io("write", path, e))?;
        let summary = InventoryRef {
            entries: index.entries,
            bytes: index.bytes,
            sha256: hasher.finish().to_string(),
            compression: None,
        };
        Ok(Self::new(path.to_owned(), summary, index))
    }

    /// The same list, of a backup that Arc made: its lines have no digests.
    #[must_use]
    pub fn without_checksums(mut self) -> Self {
        self.has_checksums = false;
        self
    }

    /// Entries, bytes and digest.
    #[must_use]
    pub fn summary(&self) -> &InventoryRef {
        &self.summary
    }

    /// The local file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The sections that have files, in order.
    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().map(|lines| &lines.section)
    }

    /// The files of a section, and their bytes.
    #[must_use]
    pub fn totals_of(&self, section: &Section) -> (u64, u64) {
        let lines = self.sections.iter().find(|one| one.section == *section);
        lines.map_or((0, 0), |lines| (lines.files, lines.bytes))
    }

    /// Whether any file has its bytes in another backup.
    #[must_use]
    pub fn refers_to_other_backups(&self) -> bool {
        self.stored_elsewhere > 0
    }

    /// Reads the records from the start.
    ///
    /// # Errors
    /// When the local file can't be read.
    pub fn records(&self) -> Result<impl Iterator<Item = Result<Record>> + Send + use<>> {
        self.read(None)
    }

    /// Reads the records of one section.
    ///
    /// # Errors
    /// When the local file can't be read.
    pub fn records_of(
        &self,
        section: &Section,
    ) -> Result<impl Iterator<Item = Result<Record>> + Send + use<>> {
        let lines = self.sections.iter().find(|one| one.section == *section);
        self.read(Some(lines.map_or(0..0, |lines| lines.start..lines.end)))
    }

    /// The record of the file at `path`: a search in the sorted list, of a few lines however long
    /// it is.
    ///
    /// # Errors
    /// When the local file can't be read.
    pub fn find(&self, path: &Key) -> Result<Option<Record>> {
        let of_path = |lines: &&SectionLines| path.is_within(lines.section.as_str());
        let Some(lines) = self.sections.iter().find(of_path) else {
            return Ok(None);
        };
        let fault = |e| Error::io("read", &self.path, e);
        let mut file = BufReader::new(File::open(&self.path).map_err(fault)?);
        // The line wanted begins in this range, whose start is the start of a line.
        let (mut low, mut high) = (lines.start, lines.end);
        let mut line = Vec::new();
        while low < high {
            let middle = low + (high - low) / 2;
            let mut start = low;
            if middle > low {
                // The first line that begins at `middle` or behind it.
                line.clear();
                file.seek(SeekFrom::Start(middle - 1)).map_err(fault)?;
                start = middle - 1 + file.read_until(b'\n', &mut line).map_err(fault)? as u64;
            } else {
                file.seek(SeekFrom::Start(low)).map_err(fault)?;
            }
            if start >= high {
                high = middle;
                continue;
            }
            line.clear();
            let length = file.read_until(b'\n', &mut line).map_err(fault)? as u64;
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let record = self.parse(text)?;
            match record.path.cmp(path) {
                Ordering::Equal => return Ok(Some(record)),
                Ordering::Less => low = start + length,
                Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    fn parse(&self, line: &[u8]) -> Result<Record> {
        Record::parse(line, self.has_checksums)
            .map_err(|e| Error::Failed(format!("a line of {} {e}", self.path.display())))
    }

    fn read(
        &self,
        range: Option<Range<u64>>,
    ) -> Result<impl Iterator<Item = Result<Record>> + Send + use<>> {
        let file = self.open(range)?;
        let list = self.clone();
        Ok(BufReader::with_capacity(PIECE_BYTES, file)
            .split(b'\n')
            .map(move |line| {
                let line = line.map_err(|e| Error::io("read", &list.path, e))?;
                list.parse(&line)
            }))
    }

    /// The local file, or a range of it.
    fn open(&self, range: Option<Range<u64>>) -> Result<impl Read + Send + use<>> {
        let fault = |e| Error::io("read", &self.path, e);
        let mut file = File::open(&self.path).map_err(fault)?;
        let range = range.unwrap_or(0..u64::MAX);
        if range.start > 0 {
            file.seek(SeekFrom::Start(range.start)).map_err(fault)?;
        }
        Ok(file.take(range.end - range.start))
    }
}

/// Checks lines as they come.
#[derive(Default)]
struct LineCheck {
    rest: Vec<u8>,
    index: SectionIndex,
}

impl LineCheck {
    fn take(&mut self, piece: &[u8], expected: &InventoryRef) -> Result<(), String> {
        let mut piece = piece;
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(&piece[..end]);
            piece = &piece[end + 1..];
            let line = std::mem::take(&mut self.rest);
            self.line(&line, expected)?;
        }
        self.rest.extend_from_slice(piece);
        if self.rest.len() > LINE_LIMIT {
            return Err(format!(
                "line {} is longer than {LINE_LIMIT} bytes",
                self.index.entries + 1
            ));
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], expected: &InventoryRef) -> Result<(), String> {
        let number = self.index.entries + 1;
        let record = Record::parse(line, true).map_err(|e| format!("line {number} {e}"))?;
        let added = self.index.add(&record, line.len() as u64 + 1);
        added.map_err(|why| match why {
            NotNext::OutOfOrder(_) => format!("line {number}: `{}` is not in order", record.path),
            NotNext::Overflow => format!("line {number}: the sizes overflow"),
        })?;
        if self.index.entries > expected.entries {
            return Err(format!(
                "has more than the {} entries that the manifest says",
                expected.entries
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arc_backup_core::{Digest, Entry, Key};

    use super::super::Spool;
    use super::*;

    fn list(folder: &Path, section: &str, names: &[&str]) -> Inventory {
        let mut spool = Spool::create(&folder.join(section)).expect("a file");
        for name in names {
            let entry = Entry {
                sha256: Some(Digest::of(name.as_bytes())),
                ..Entry::new(Key::parse(name).expect("a key"), name.len() as u64)
            };
            let section = Section::parse(section).expect("a section");
            let record = Record::new(&section, entry).expect("short");
            spool.push(&record).expect("in order");
        }
        spool.finish().expect("written")
    }

    fn paths(records: impl Iterator<Item = Result<Record>>) -> Vec<String> {
        records
            .map(|record| record.expect("a record").path.to_string())
            .collect()
    }

    /// Guards against: files of a section that are read as another's, or not at all.
    #[tokio::test]
    async fn a_joined_list_is_read_by_section_and_so_is_one_that_was_received() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = list(folder.path(), "config", &["arc.toml"]);
        // In byte order of paths: a `-` comes before the `/` behind `data`.
        let other = list(folder.path(), "data-old", &["x"]);
        let data = list(folder.path(), "data", &["a/1", "a/2", "b"]);
        let empty = list(folder.path(), "empty", &[]);
        let metadata = list(folder.path(), "metadata", &["arc.db"]);
        let path = folder.path().join("joined");
        let joined = Inventory::join(&path, [&config, &other, &data, &empty, &metadata]);
        let joined = joined.expect("in order");
        let text = std::fs::read(&path).expect("written");
        assert_eq!(joined.summary().sha256, Digest::of(&text).to_string());

        let (path, activity) = (folder.path().join("received"), Activity::default());
        let body = Body::from_bytes(text);
        let received = Inventory::receive(body, joined.summary(), &path, &activity).await;
        for inventory in [&joined, &received.expect("it is whole")] {
            let names: Vec<&str> = inventory.sections().map(Section::as_str).collect();
            assert_eq!(names, ["config", "data-old", "data", "metadata"]);
            let all = paths(inventory.records().expect("a file"));
            let mut by_section = Vec::new();
            for section in inventory.sections() {
                let some = paths(inventory.records_of(section).expect("a file"));
                assert_eq!(inventory.totals_of(section).0, some.len() as u64);
                by_section.extend(some);
            }
            assert_eq!(all, by_section);
            assert_eq!(inventory.totals_of(&Section::Data), (3, 7));
            let absent = Section::Other("absent".to_owned());
            assert_eq!(
                paths(inventory.records_of(&absent).expect("a file")).len(),
                0
            );
        }
        assert!(Inventory::join(&path, [&data, &config]).is_err());
    }
}
