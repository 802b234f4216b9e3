//! `inventory.jsonl`: one line a file, sorted by path in byte order.
//!
//! It is streamed, never held whole. A reader first brings it into a private local file, checking every line
//! and the digest on the way, and then reads that copy as often as it needs: nothing can change in between.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use arc_backup_core::{Activity, Body, Entry, Hasher, Key};
use futures::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BackupId, InventoryRef};
use crate::{Error, Result};

/// The longest line that is read: a key of 1,024 bytes, each escaped in six, and the other fields.
const LINE_LIMIT: usize = 16 << 10;

/// A line of the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The file's path in the backup; its first segment is the section.
    pub path: Key,
    /// Size, digest and attributes.
    pub entry: Entry,
    /// The backup that holds the bytes, where it is another one.
    pub stored_in: Option<BackupId>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    path: String,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modified: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stored_in: Option<String>,
}

impl Record {
    /// The record of `entry` in `section`.
    ///
    /// # Errors
    /// When the two together are too long for a key.
    pub fn new(section: &str, entry: Entry) -> Result<Self> {
        let path = Key::parse(&format!("{section}/{}", entry.key))
            .map_err(|e| Error::Failed(e.to_string()))?;
        Ok(Self {
            path,
            entry,
            stored_in: None,
        })
    }

    /// The section: the first segment of the path.
    #[must_use]
    pub fn section(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    fn to_line(&self) -> Line {
        Line {
            path: self.path.to_string(),
            size: self.entry.size,
            sha256: self.entry.sha256.map(|digest| digest.to_string()),
            modified: self
                .entry
                .modified
                .and_then(|time| Timestamp::try_from(time).ok()),
            mode: self.entry.mode,
            etag: self.entry.etag.clone(),
            stored_in: self.stored_in.as_ref().map(ToString::to_string),
        }
    }

    /// The record as JSON.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self.to_line()).unwrap_or_default()
    }

    /// The record in a line of JSON, with its digest.
    pub(crate) fn from_json(line: &[u8]) -> Result<Self, String> {
        Self::parse(line, true)
    }

    fn parse(text: &[u8], sealed: bool) -> Result<Self, String> {
        let line: Line = serde_json::from_slice(text).map_err(|e| format!("is not valid: {e}"))?;
        let path = Key::parse(&line.path).map_err(|e| e.to_string())?;
        let Some((_, rest)) = path.split_once('/') else {
            return Err(format!("names `{path}`, which is in no section"));
        };
        let key = Key::parse(rest).map_err(|e| e.to_string())?;
        let sha256 = match line.sha256 {
            Some(digest) => Some(digest.parse().map_err(|e| format!("of `{path}`: {e}"))?),
            None if sealed => return Err(format!("of `{path}` has no sha256")),
            None => None,
        };
        let stored_in = (line.stored_in.as_deref())
            .map(BackupId::parse)
            .transpose()
            .map_err(|e| format!("of `{path}`: {e}"))?;
        Ok(Self {
            entry: Entry {
                key,
                size: line.size,
                sha256,
                modified: line.modified.map(crate::system_time),
                mode: line.mode,
                etag: line.etag,
            },
            path,
            stored_in,
        })
    }
}

/// A list of records in a local file, being written.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: Hasher,
    last: Option<Key>,
    entries: u64,
    bytes: u64,
}

impl Spool {
    /// A new one at `path`.
    ///
    /// # Errors
    /// When the file can't be made.
    pub fn create(path: &Path) -> Result<Self> {
        let file = crate::private::create_file(path).map_err(|e| Error::io("write", path, e))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            hasher: Hasher::new(),
            last: None,
            entries: 0,
            bytes: 0,
        })
    }

    /// Appends a record.
    ///
    /// # Errors
    /// When it can't be written, or is not behind the last one: a list out of order is one that nobody can read.
    pub fn push(&mut self, record: &Record) -> Result<()> {
        if let Some(last) = &self.last
            && *last >= record.path
        {
            return Err(Error::Failed(format!(
                "`{}` comes behind `{last}`: a source must list its entries once, in byte order of keys",
                record.path
            )));
        }
        self.last = Some(record.path.clone());
        let mut line = serde_json::to_vec(&record.to_line()).map_err(|e| {
            Error::Failed(format!("cannot write the record of `{}`: {e}", record.path))
        })?;
        line.push(b'\n');
        self.hasher.update(&line);
        self.entries += 1;
        self.bytes = self.bytes.checked_add(record.entry.size).ok_or_else(|| {
            Error::Failed(format!(
                "the sizes of all files up to `{}` overflow",
                record.path
            ))
        })?;
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
        Ok(Inventory {
            path: self.path,
            summary: InventoryRef {
                entries: self.entries,
                bytes: self.bytes,
                sha256: self.hasher.finish().to_string(),
            },
            sealed: true,
        })
    }
}

/// A list of records in a private local file.
#[derive(Debug, Clone)]
pub struct Inventory {
    path: PathBuf,
    summary: InventoryRef,
    sealed: bool,
}

/// What is wrong with an inventory.
#[derive(Debug, thiserror::Error)]
pub enum InventoryFault {
    /// It is not what the manifest says, or not readable as an inventory.
    #[error("inventory.jsonl {0}")]
    Damaged(String),
    /// It could not be read, or not be kept.
    #[error(transparent)]
    Other(#[from] Error),
}

impl Inventory {
    /// Brings an inventory into the local file `path`, checking each line, the order, the totals and the digest.
    ///
    /// # Errors
    /// [`InventoryFault::Damaged`] names the line.
    pub async fn receive(
        body: Body,
        expected: &InventoryRef,
        path: &Path,
        activity: &Activity,
    ) -> Result<Self, InventoryFault> {
        let damaged = |text: String| InventoryFault::Damaged(text);
        let mut copy = BufWriter::new(
            crate::private::create_file(path).map_err(|e| Error::io("write", path, e))?,
        );
        let mut check = LineCheck::default();
        let mut hasher = Hasher::new();
        let mut pieces = crate::pipeline::pieces(body, "inventory.jsonl");
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(Error::from)?;
            activity.note();
            hasher.update(&piece);
            check.take(&piece, expected).map_err(damaged)?;
            copy.write_all(&piece)
                .map_err(|e| Error::io("write", path, e))?;
        }
        copy.flush().map_err(|e| Error::io("write", path, e))?;
        if !check.rest.is_empty() {
            return Err(damaged("ends in the middle of a line".to_owned()));
        }
        if (check.entries, check.bytes) != (expected.entries, expected.bytes) {
            return Err(damaged(format!(
                "has {} entries of {} bytes; the manifest says {} of {}",
                check.entries, check.bytes, expected.entries, expected.bytes
            )));
        }
        if hasher.finish().to_string() != expected.sha256 {
            return Err(damaged(
                "does not have the SHA-256 that the manifest says".to_owned(),
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            summary: expected.clone(),
            sealed: true,
        })
    }

    /// The same list, of a backup that Arc made: its lines have no digests.
    #[must_use]
    pub fn unsealed(mut self) -> Self {
        self.sealed = false;
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

    /// Reads the records from the start.
    ///
    /// # Errors
    /// When the local file can't be read.
    pub fn records(&self) -> Result<impl Iterator<Item = Result<Record>> + Send + use<>> {
        let file = File::open(&self.path).map_err(|e| Error::io("read", &self.path, e))?;
        let (path, sealed) = (self.path.clone(), self.sealed);
        Ok(BufReader::with_capacity(256 << 10, file)
            .split(b'\n')
            .map(move |line| {
                let line = line.map_err(|e| Error::io("read", &path, e))?;
                Record::parse(&line, sealed)
                    .map_err(|e| Error::Failed(format!("a line of {} {e}", path.display())))
            }))
    }
}

/// Checks lines as they come.
#[derive(Default)]
struct LineCheck {
    rest: Vec<u8>,
    last: Option<Key>,
    entries: u64,
    bytes: u64,
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
                self.entries + 1
            ));
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], expected: &InventoryRef) -> Result<(), String> {
        let number = self.entries + 1;
        let record = Record::parse(line, true).map_err(|e| format!("line {number} {e}"))?;
        if self.last.as_ref().is_some_and(|last| *last >= record.path) {
            return Err(format!("line {number}: `{}` is not in order", record.path));
        }
        self.entries = number;
        self.bytes = (self.bytes.checked_add(record.entry.size))
            .ok_or_else(|| format!("line {number}: the sizes overflow"))?;
        if self.entries > expected.entries {
            return Err(format!(
                "has more than the {} entries that the manifest says",
                expected.entries
            ));
        }
        self.last = Some(record.path);
        Ok(())
    }
}
