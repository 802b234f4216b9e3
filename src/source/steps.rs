//! What a restore of the data does with each file, recorded in a file: a million files must need no
//! memory.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use arc_backup_core::{Entry, Error, ErrorKind, Key, Meta, Result, Tier, Version};
use serde::{Deserialize, Serialize};

use super::tier_changes::RowTier;
use crate::files::{create_file, file_error};
use crate::sorted::Sorted;
use crate::times::system_time;

/// One decision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) key: String,
    pub(super) action: Action,
    pub(super) size: u64,
    pub(super) sha256: Option<String>,
    pub(super) modified: Option<jiff::Timestamp>,
    pub(super) mode: Option<u32>,
    /// The entity tag that the live file had when it was found to be the same.
    pub(super) etag: Option<String>,
    /// Whether it is, or is to be, in the cold tier.
    pub(super) cold: bool,
    /// What Arc's row of it is to say afterwards; `None` where that stays as it is.
    pub(super) row: Option<RowTier>,
    /// The live file that it replaces or sets aside.
    pub(super) live: Option<LiveFile>,
}

/// A live file, as a listing shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LiveFile {
    size: u64,
    modified: Option<jiff::Timestamp>,
    etag: Option<String>,
}

impl From<&Meta> for LiveFile {
    fn from(meta: &Meta) -> Self {
        Self {
            size: meta.size,
            modified: (meta.modified).and_then(|time| jiff::Timestamp::try_from(time).ok()),
            etag: meta.etag.clone(),
        }
    }
}

impl From<&LiveFile> for Version {
    fn from(live: &LiveFile) -> Self {
        Self {
            size: live.size,
            sha256: None,
            modified: live.modified.map(system_time),
            etag: live.etag.clone(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    /// Live and the same.
    Same,
    /// Its bytes are needed.
    Need,
    /// Its bytes are staged.
    Staged,
    /// Its bytes turned out to be those of the live file: there is nothing to do.
    Found,
    /// Live, and not in the backup.
    Extra,
    /// Live, and not in the backup, and stays whatever the policy is: it is archived.
    Archived,
    /// Live in one tier, while the file belongs to the other one.
    Second,
    /// A row that says that the file is in the cold tier, where it is not.
    Row,
}

/// The decisions of a plan, then one more for each file that was staged.
pub(super) struct Steps {
    path: PathBuf,
    file: Mutex<Option<BufWriter<File>>>,
}

impl Steps {
    /// An empty list in the file `path`, which is made with the first decision.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: Mutex::new(None),
        }
    }

    fn io(&self, operation: &'static str, error: std::io::Error) -> Error {
        file_error(operation, &self.path, error)
    }

    /// Appends a decision.
    pub(super) fn append(&self, step: &Step) -> Result<()> {
        let mut steps = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if steps.is_none() {
            let file = create_file(&self.path).map_err(|e| self.io("write", e))?;
            *steps = Some(BufWriter::new(file));
        }
        let mut line = serde_json::to_vec(step).expect("plain data is valid JSON");
        line.push(b'\n');
        match steps.as_mut() {
            Some(file) => file.write_all(&line).map_err(|e| self.io("write", e)),
            None => Ok(()),
        }
    }

    /// The decisions so far, from the first.
    pub(super) fn read(&self) -> Result<Box<dyn Iterator<Item = Result<Step>> + Send>> {
        let mut steps = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = steps.as_mut() else {
            return Ok(Box::new(std::iter::empty()));
        };
        file.flush().map_err(|e| self.io("write", e))?;
        let path = self.path.clone();
        let file = File::open(&path).map_err(|e| self.io("read", e))?;
        Ok(Box::new(BufReader::new(file).lines().map(move |line| {
            let name = || path.display().to_string();
            let line = line.map_err(|e| Error::from_io("read", name(), e))?;
            serde_json::from_str(&line)
                .map_err(|e| Error::new(ErrorKind::Corrupt, "read", name(), e.to_string()))
        })))
    }
}

impl Sorted for Step {
    fn sort_key(&self) -> &str {
        &self.key
    }
}

impl Step {
    pub(super) fn new(entry: &Entry, action: Action) -> Self {
        Self {
            key: entry.key.to_string(),
            action,
            size: entry.size,
            sha256: entry.sha256.map(|digest| digest.to_string()),
            modified: entry
                .modified
                .and_then(|time| jiff::Timestamp::try_from(time).ok()),
            mode: entry.mode,
            etag: None,
            cold: entry.tier == Tier::Cold,
            row: None,
            live: None,
        }
    }

    /// A decision on a file of the cold tier of which the backup has nothing.
    pub(super) fn of_cold(key: &Key, size: u64, action: Action, row: Option<RowTier>) -> Self {
        let entry = Entry {
            tier: Tier::Cold,
            ..Entry::new(key.clone(), size)
        };
        Self {
            row,
            ..Self::new(&entry, action)
        }
    }

    /// A copy of a file in the tier that it does not belong to.
    pub(super) fn of_second(live: &Meta, tier: Tier) -> Self {
        let entry = Entry {
            tier,
            ..Entry::new(live.key.clone(), live.size)
        };
        Self::new(&entry, Action::Second)
    }

    pub(super) fn key(&self) -> Result<Key> {
        Key::parse(&self.key).map_err(|e| {
            Error::new(
                ErrorKind::Invalid,
                "restore",
                self.key.as_str(),
                e.to_string(),
            )
        })
    }

    pub(super) fn entry(&self) -> Result<Entry> {
        Ok(Entry {
            sha256: self.sha256.as_ref().and_then(|digest| digest.parse().ok()),
            modified: self.modified.map(system_time),
            mode: self.mode,
            tier: match self.cold {
                true => Tier::Cold,
                false => Tier::Hot,
            },
            ..Entry::new(self.key()?, self.size)
        })
    }
}
