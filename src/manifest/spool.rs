//! A list of records that is being written.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arc_backup_core::Hasher;

use super::section_index::{NotNext, SectionIndex};
use super::{Inventory, InventoryRef, Record};
use crate::files::create_file;
use crate::{Error, Result};

/// A list of records in a local file, being written.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: Hasher,
    index: SectionIndex,
}

impl Spool {
    /// A new one at `path`.
    ///
    /// # Errors
    /// When the file can't be made.
    pub fn create(path: &Path) -> Result<Self> {
        let file = create_file(path).map_err(|e| Error::io("write", path, e))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            hasher: Hasher::new(),
            index: SectionIndex::default(),
        })
    }

    /// Appends a record.
    ///
    /// # Errors
    /// When it can't be written, or is not behind the last one: a list that is not in order can't
    /// be read.
    pub fn push(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_vec(&record.to_line()).map_err(|e| {
            Error::Failed(format!("cannot write the record of `{}`: {e}", record.path))
        })?;
        line.push(b'\n');
        let added = self.index.add(record, line.len() as u64);
        added.map_err(|why| {
            let path = &record.path;
            Error::Failed(match why {
                NotNext::OutOfOrder(last) => format!(
                    "`{path}` comes behind `{last}`: a source must list its entries once, in byte order of keys"
                ),
                NotNext::Overflow => format!("the sizes of all files up to `{path}` overflow"),
            })
        })?;
        self.hasher.update(&line);
        self.file
            .write_all(&line)
            .map_err(|e| Error::io("write", &self.path, e))
    }

    /// The list, whole and ready to be read.
    ///
    /// # Errors
    /// When the last of it can't be written.
    pub fn finish(mut self) -> Result<Inventory> {
        self.file
            .flush()
            .map_err(|e| Error::io("write", &self.path, e))?;
        let summary = InventoryRef {
            entries: self.index.entries,
            bytes: self.index.bytes,
            sha256: self.hasher.finish().to_string(),
            compression: None,
        };
        Ok(Inventory::new(self.path, summary, self.index))
    }
}

#[cfg(test)]
mod tests {
    use arc_backup_core::{Digest, Entry, Key, Section};

    use super::*;

    /// Guards against: a search that misses a line, at an end of a section or beside a long one.
    #[test]
    fn each_record_is_found_and_nothing_between_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut numbers = fastrand::Rng::with_seed(20_261_129);
        for round in 0..40 {
            let mut keys: Vec<String> = (0..numbers.usize(0..60))
                .map(|_| {
                    let name = "x".repeat(numbers.usize(1..400));
                    format!("{}/{name}", numbers.u32(0..50))
                })
                .collect();
            keys.sort();
            keys.dedup();
            let path = folder.path().join(round.to_string());
            let mut spool = Spool::create(&path).expect("room");
            let mut all = Vec::new();
            for section in [Section::Config, Section::Data, Section::Metadata] {
                for key in &keys {
                    let key = Key::parse(key).expect("a key");
                    let mut entry = Entry::new(key, numbers.u64(0..1000));
                    entry.sha256 = Some(Digest::of(b"x"));
                    let record = Record::new(&section, entry).expect("a record");
                    spool.push(&record).expect("room");
                    all.push(record);
                }
            }
            let list = spool.finish().expect("room");
            let find = |path: &str| list.find(&Key::parse(path).expect("a key")).expect("read");
            for record in &all {
                assert_eq!(find(&record.path).as_ref(), Some(record), "round {round}");
                assert_eq!(find(&format!("{}y", record.path)), None);
                assert_eq!(find(&format!("{}/y", record.path)), None);
            }
            for absent in ["data/!", "data/zzz", "data", "other/x", "config/0"] {
                assert_eq!(find(absent), None, "round {round}: {absent}");
            }
        }
    }
}
