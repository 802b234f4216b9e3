//! The log of the files that a backup has stored so far, kept with its journal, so that the next
//! backup can resume it.
//!
//! `.arc-backup/journal/{backup_id}/{run}-{number}.jsonl`: each has a few hundred records, in the
//! order in which files were stored. Within a run that is the order of their keys: the files taken
//! over from an earlier backup are one run, the copied files another.

use std::collections::BTreeMap;
use std::time::Duration;

use arc_backup_core::{Child, Key, Purpose, Section, WriteOptions};
use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::Repository;
use super::layout::own;
use crate::Result;
use crate::manifest::{BackupId, Record};

/// How many records go into one object.
const RECORDS_PER_OBJECT: usize = 500;
/// How long records are buffered.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// The largest object that is read, in bytes.
const LIMIT: u64 = 16 << 20;
/// The field of a record that has the entity tag of the stored object.
const STORED: &str = "stored";

/// Records which files were stored.
pub(crate) struct StoredLog {
    repository: Repository,
    id: BackupId,
    run: u32,
    number: u64,
    lines: Vec<u8>,
    records: usize,
    flushed_at: Instant,
    /// Whether an earlier operation of this backup has left a log.
    resumes: bool,
}

impl StoredLog {
    pub(crate) fn new(repository: &Repository, id: &BackupId) -> Self {
        Self {
            repository: repository.clone(),
            id: id.clone(),
            run: 0,
            number: 0,
            lines: Vec::new(),
            records: 0,
            flushed_at: Instant::now(),
            resumes: false,
        }
    }

    /// The log of a backup that may have been begun before under the same id: its runs come behind
    /// those that are there.
    pub(crate) async fn again(repository: &Repository, id: &BackupId) -> Result<Self> {
        let folder = own(&format!("journal/{id}"));
        let children = repository.sink().list_children(Some(&folder)).await?;
        let runs = (children.iter())
            .filter_map(|child| child.name().split_once('-')?.0.parse::<u32>().ok());
        let last = runs.max();
        Ok(Self {
            run: last.map_or(0, |last| last + 1),
            resumes: last.is_some(),
            ..Self::new(repository, id)
        })
    }

    /// Whether an earlier operation of this backup has left a log.
    pub(crate) fn resumes(&self) -> bool {
        self.resumes
    }

    /// Whether nothing was written to the target.
    pub(crate) fn is_empty(&self) -> bool {
        self.number == 0
    }

    /// Flushes the log; the records from here on need not come behind the others in order.
    pub(crate) async fn next_run(&mut self) -> Result<()> {
        self.flush().await?;
        self.run += 1;
        Ok(())
    }

    /// Records that the file of `record` is stored, with this entity tag.
    pub(crate) async fn record(&mut self, record: &Record, stored: Option<&str>) -> Result<()> {
        let mut line = record.to_json();
        if let (Value::Object(fields), Some(stored)) = (&mut line, stored) {
            fields.insert(STORED.to_owned(), stored.into());
        }
        self.lines.extend_from_slice(line.to_string().as_bytes());
        self.lines.push(b'\n');
        self.records += 1;
        if self.records >= RECORDS_PER_OBJECT || self.flushed_at.elapsed() >= FLUSH_INTERVAL {
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes the buffered records to the target.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        if self.records == 0 {
            return Ok(());
        }
        let key = own(&format!(
            "journal/{}/{:04}-{:08}.jsonl",
            self.id, self.run, self.number
        ));
        let lines = Bytes::copy_from_slice(&self.lines);
        let options = WriteOptions {
            size_hint: Some(lines.len() as u64),
            purpose: Purpose::Control,
            ..WriteOptions::default()
        };
        let mut upload = self.repository.sink().begin(&key, options).await?;
        upload.write(lines).await?;
        upload.commit().await?;
        self.lines.clear();
        self.number += 1;
        self.records = 0;
        self.flushed_at = Instant::now();
        Ok(())
    }
}

/// Reads a run of the log of an unfinished backup, of one section, in byte order. Records that
/// can't be read are skipped: their files are stored again.
pub(crate) struct StoredReader {
    repository: Repository,
    id: BackupId,
    section: Section,
    names: std::vec::IntoIter<Key>,
    records: std::vec::IntoIter<(Record, Option<String>)>,
    next: Option<(Record, Option<String>)>,
}

impl StoredReader {
    /// A reader of each run.
    pub(crate) async fn open(
        repository: &Repository,
        id: &BackupId,
        section: &Section,
    ) -> Result<Vec<Self>> {
        let folder = own(&format!("journal/{id}"));
        let mut runs: BTreeMap<String, Vec<Key>> = BTreeMap::new();
        for child in repository.sink().list_children(Some(&folder)).await? {
            if let Child::Object(name) = &child
                && let Some((run, _)) = name.split_once('-')
                && let Ok(key) = folder.join(name)
            {
                runs.entry(run.to_owned()).or_default().push(key);
            }
        }
        let readers = runs.into_values().map(|names| Self {
            repository: repository.clone(),
            id: id.clone(),
            section: section.clone(),
            names: names.into_iter(),
            records: Vec::new().into_iter(),
            next: None,
        });
        Ok(readers.collect())
    }

    /// The backup.
    pub(crate) fn id(&self) -> &BackupId {
        &self.id
    }

    /// The record of the file at `key`, if it was stored; keys are asked for in byte order.
    pub(crate) async fn at(&mut self, key: &Key) -> Result<Option<(Record, Option<String>)>> {
        loop {
            match &self.next {
                Some((record, _)) if record.entry.key > *key => return Ok(None),
                Some((record, _)) if record.entry.key == *key => return Ok(self.next.take()),
                _ => {}
            }
            self.next = self.records.next();
            if self.next.is_some() {
                continue;
            }
            let Some(name) = self.names.next() else {
                return Ok(None);
            };
            let text = match self.repository.read_small(&name, LIMIT).await {
                Ok(text) => text.unwrap_or_default(),
                Err(error) if error.kind() == arc_backup_core::ErrorKind::Unavailable => {
                    return Err(error.into());
                }
                Err(error) => {
                    tracing::warn!(%error, "files of an unfinished backup are stored again");
                    continue;
                }
            };
            let records: Vec<_> = (text.split(|byte| *byte == b'\n'))
                .filter(|line| !line.is_empty())
                .filter_map(|line| {
                    let stored: Option<String> = serde_json::from_slice::<Value>(line)
                        .ok()?
                        .get(STORED)
                        .and_then(Value::as_str)
                        .map(str::to_owned);
                    Some((Record::from_json(line).ok()?, stored))
                })
                .filter(|(record, _)| record.section() == self.section)
                .collect();
            self.records = records.into_iter();
        }
    }
}
