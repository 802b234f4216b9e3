//! What a backup that is being made has stored so far, told in its journal, so that the next one can go on from there.
//!
//! `.arc-backup/journal/{backup_id}/{run}-{number}.jsonl`: each a few hundred records, in the order in which files were stored,
//! which within a run is that of their keys: what was taken over from an earlier backup is one, what was copied another.

use std::collections::BTreeMap;
use std::time::Duration;

use arc_backup_core::{Child, Key, Purpose, WriteOptions};
use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::{Repository, own};
use crate::Result;
use crate::manifest::{BackupId, Record};

/// How many records go into one object.
const RECORDS: usize = 500;
/// How long records are held back.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest object that is read.
const LIMIT: u64 = 16 << 20;
/// The field of a record that holds the entity tag of what was stored.
const STORED: &str = "stored";

/// Tells what was stored.
pub(crate) struct StoredLog {
    repository: Repository,
    id: BackupId,
    run: u32,
    number: u64,
    lines: Vec<u8>,
    records: usize,
    told: Instant,
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
            told: Instant::now(),
        }
    }

    /// Whether anything was told.
    pub(crate) fn is_empty(&self) -> bool {
        self.number == 0
    }

    /// Writes down what was noted; what is noted from here on need not come behind it in order.
    pub(crate) async fn next_run(&mut self) -> Result<()> {
        self.flush().await?;
        self.run += 1;
        Ok(())
    }

    /// Notes that the file of `record` is stored, with this entity tag.
    pub(crate) async fn note(&mut self, record: &Record, stored: Option<&str>) -> Result<()> {
        let mut line = record.to_json();
        if let (Value::Object(fields), Some(stored)) = (&mut line, stored) {
            fields.insert(STORED.to_owned(), stored.into());
        }
        self.lines.extend_from_slice(line.to_string().as_bytes());
        self.lines.push(b'\n');
        self.records += 1;
        if self.records >= RECORDS || self.told.elapsed() >= PATIENCE {
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes down what was noted.
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
        self.told = Instant::now();
        Ok(())
    }
}

/// Reads a run of what an unfinished backup has told, of one section, in byte order. Whatever can't be read is left out: it is stored anew.
pub(crate) struct StoredReader {
    repository: Repository,
    id: BackupId,
    section: String,
    names: std::vec::IntoIter<Key>,
    records: std::vec::IntoIter<(Record, Option<String>)>,
    next: Option<(Record, Option<String>)>,
}

impl StoredReader {
    /// A reader of each run.
    pub(crate) async fn open(
        repository: &Repository,
        id: &BackupId,
        section: &str,
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
            section: section.to_owned(),
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

    /// What was stored at `key`, if anything; keys are asked for in byte order.
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
                    tracing::warn!(%error, "files of an unfinished backup are stored anew");
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
