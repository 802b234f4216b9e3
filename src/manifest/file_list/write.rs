//! Writing a file list, one file at a time.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arc_backup_core::{Digest, Hasher, Tier};
use jiff::Timestamp;
use serde::Serialize;

use super::VERSION;
use crate::files::create_file;
use crate::manifest::InventoryRef;
use crate::{Error, Result};

/// The moment that Go writes where there is none.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// A file of the list, as it is written.
#[derive(Debug, Clone)]
pub struct ListedFile<'a> {
    /// Its key under the storage root.
    pub path: &'a str,
    /// Its digest.
    pub sha256: Digest,
    /// Its size.
    pub size_bytes: u64,
    /// Its database; empty where it belongs to none.
    pub database: &'a str,
    /// Its measurement; empty where it belongs to none.
    pub measurement: &'a str,
    /// The hour or day of its rows, by its path.
    pub partition_time: Option<Timestamp>,
    /// When it was last modified.
    pub created_at: Option<Timestamp>,
    /// Where it was live.
    pub tier: Tier,
}

/// The JSON of a file, with Arc's fields in Arc's order.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    sha256: String,
    size_bytes: u64,
    database: &'a str,
    measurement: &'a str,
    partition_time: String,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<&'a str>,
}

/// A file list in a local file, being written.
#[derive(Debug)]
pub struct FileListWriter {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: Hasher,
    entries: u64,
    bytes: u64,
}

impl FileListWriter {
    /// A new one at `path`.
    ///
    /// # Errors
    /// When the file can't be made.
    pub fn create(path: &Path) -> Result<Self> {
        let file = create_file(path).map_err(|e| Error::io("write", path, e))?;
        let mut list = Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            hasher: Hasher::new(),
            entries: 0,
            bytes: 0,
        };
        list.write(format!("{{\"version\":{VERSION},\"files\":[").as_bytes())?;
        Ok(list)
    }

    /// Appends a file.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn push(&mut self, file: &ListedFile<'_>) -> Result<()> {
        // RFC 3339, and Go, know the years 0 to 9999; Go takes the year 1 for none.
        let time = |time: Option<Timestamp>| {
            let text = time.map(|time| time.to_string());
            text.filter(|text| !text.starts_with(['-', '+']) && !text.starts_with("0000"))
                .unwrap_or_else(|| NO_TIME.to_owned())
        };
        let line = Line {
            path: file.path,
            sha256: file.sha256.to_string(),
            size_bytes: file.size_bytes,
            database: file.database,
            measurement: file.measurement,
            partition_time: time(file.partition_time),
            created_at: time(file.created_at),
            tier: (file.tier != Tier::Hot).then(|| file.tier.as_str()),
        };
        let mut text = match self.entries {
            0 => b"\n".to_vec(),
            _ => b",\n".to_vec(),
        };
        serde_json::to_writer(&mut text, &line)
            .map_err(|e| Error::Failed(format!("cannot list `{}`: {e}", file.path)))?;
        self.write(&text)?;
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(file.size_bytes);
        Ok(())
    }

    /// Ends the list, and returns what a manifest says of it.
    ///
    /// # Errors
    /// When the last of it can't be written.
    pub fn finish(mut self) -> Result<InventoryRef> {
        self.write(b"\n]}\n")?;
        (self.file.flush()).map_err(|e| Error::io("write", &self.path, e))?;
        Ok(InventoryRef {
            entries: self.entries,
            bytes: self.bytes,
            sha256: self.hasher.finish().to_string(),
            compression: None,
        })
    }

    fn write(&mut self, text: &[u8]) -> Result<()> {
        self.hasher.update(text);
        (self.file.write_all(text)).map_err(|e| Error::io("write", &self.path, e))
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    /// Guards against: a moment by which Go refuses the whole list.
    #[test]
    fn a_moment_before_the_year_one_is_written_as_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list");
        for second in [-99_999_999_999, -62_150_000_000, 0] {
            let mut list = FileListWriter::create(&path).expect("a file");
            let file = ListedFile {
                path: "a.parquet",
                sha256: Digest::of(b"bytes"),
                size_bytes: 5,
                database: "",
                measurement: "",
                partition_time: None,
                created_at: Some(Timestamp::from_second(second).expect("a moment")),
                tier: Tier::Hot,
            };
            list.push(&file).expect("written");
            list.finish().expect("written");
            let text = std::fs::read_to_string(&path).expect("a file");
            let expected = match second {
                0 => "\"created_at\":\"1970-01-01T00:00:00Z\"",
                _ => "\"created_at\":\"0001-01-01T00:00:00Z\"",
            };
            assert!(text.contains(expected), "{text}");
        }
    }

    /// Guards against: a list that this program writes and can't read, or a tier that is lost.
    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list");
        for count in 0..3_u64 {
            let mut list = FileListWriter::create(&path).expect("a file");
            for number in 0..count {
                let file = ListedFile {
                    path: &format!("größe/\"{number}\".parquet"),
                    sha256: Digest::of(b"bytes"),
                    size_bytes: number,
                    database: "größe",
                    measurement: "",
                    partition_time: None,
                    created_at: Timestamp::from_second(1_700_000_000).ok(),
                    tier: [Tier::Hot, Tier::Cold][usize::from(number > 0)],
                };
                list.push(&file).expect("written");
            }
            let summary = list.finish().expect("written");
            let text = std::fs::read(&path).expect("a file");
            let bytes = (0..count).sum::<u64>();
            assert_eq!((summary.entries, summary.bytes), (count, bytes));
            assert_eq!(summary.sha256, Digest::of(&text).to_string());
            let mut tiers = Vec::new();
            let read = parse(&*text, &mut |record| {
                tiers.push(record.entry.tier);
                Ok(())
            });
            assert!(read.is_ok(), "{}", String::from_utf8_lossy(&text));
            assert_eq!(tiers.len() as u64, count);
            assert_eq!(tiers.contains(&Tier::Cold), count > 1);
        }
    }
}
