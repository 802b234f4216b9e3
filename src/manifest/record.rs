//! A line of the inventory: one file of a backup.

use arc_backup_core::{Entry, FileId, Key, RowTimes, Rows, Section, SourceDamage, Tier};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::BackupId;
use crate::sorted::Sorted;
use crate::times::system_time;
use crate::{Error, Result};

/// A line of the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The file's path in the backup; its first segment is the section.
    pub path: Key,
    /// Size, digest and attributes.
    pub entry: Entry,
    /// The backup that holds the bytes, where it is another one: see [`Record::holder`].
    pub stored_in: Option<BackupId>,
    /// The entity tag of the stored bytes, where a copy has noted it: while the target still has
    /// them under this one, they need not be read to be proven.
    pub stored: Option<String>,
}

/// The JSON of a record.
#[derive(Serialize, Deserialize)]
pub(super) struct Line {
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stored: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inode: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<u64>,
    /// Absent where the file is in Arc's storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    /// The rows of a data file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    /// The time of its earliest row, in whole seconds since 1970, rounded down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_time: Option<i64>,
    /// The time of its latest row, in whole seconds since `min_time`, rounded up. The difference
    /// takes two bytes less of a compressed line than a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_time: Option<i64>,
    /// What was wrong with it in the source. Names of later releases are ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
}

impl Record {
    /// The record of `entry` in `section`.
    ///
    /// # Errors
    /// When the two together are too long for a key.
    pub fn new(section: &Section, entry: Entry) -> Result<Self> {
        let path = Key::parse(&format!("{section}/{}", entry.key))
            .map_err(|e| Error::Failed(e.to_string()))?;
        Ok(Self {
            path,
            entry,
            stored_in: None,
            stored: None,
        })
    }

    /// The record of `entry`, whose key is its whole path in the backup.
    ///
    /// # Errors
    /// When that is in no section.
    pub(crate) fn at(path: Key, entry: Entry) -> Result<Self> {
        let key = path
            .split_once('/')
            .and_then(|(_, rest)| Key::parse(rest).ok());
        let Some(key) = key else {
            return Err(Error::Failed(format!("`{path}` is in no section")));
        };
        Ok(Self {
            entry: Entry { key, ..entry },
            path,
            stored_in: None,
            stored: None,
        })
    }

    /// Drops the entity tag of a file on local disk: number, size and time of modification, which
    /// the record has as well, are all that it is made of. It would be a fifth of an inventory.
    pub fn drop_weak_tag(&mut self) {
        if self.entry.file_id.is_some() {
            self.entry.etag = None;
        }
    }

    /// The section: the first segment of the path.
    #[must_use]
    pub fn section(&self) -> Section {
        let name = self.path.split('/').next().unwrap_or_default();
        Section::parse(name).unwrap_or_else(|_| Section::Other(name.to_owned()))
    }

    /// The backup that holds the bytes, for a record of the backup `own`.
    #[must_use]
    pub fn holder<'a>(&'a self, own: &'a BackupId) -> &'a BackupId {
        self.stored_in.as_ref().unwrap_or(own)
    }

    pub(super) fn to_line(&self) -> Line {
        let times = self.entry.rows.and_then(|rows| rows.times);
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
            inode: self.entry.file_id.map(|id| id.inode),
            device: self.entry.file_id.map(|id| id.device),
            stored_in: self.stored_in.as_ref().map(ToString::to_string),
            stored: self.stored.clone(),
            tier: (self.entry.tier != Tier::Hot).then(|| self.entry.tier.as_str().to_owned()),
            rows: self.entry.rows.map(|rows| rows.count),
            min_time: times.map(|times| times.min),
            max_time: times.map(|times| times.max.saturating_sub(times.min)),
            damage: self.entry.damage.map(|damage| damage.as_str().to_owned()),
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

    pub(super) fn parse(text: &[u8], has_checksums: bool) -> Result<Self, String> {
        let line: Line = serde_json::from_slice(text).map_err(|e| format!("is not valid: {e}"))?;
        let path = Key::parse(&line.path).map_err(|e| e.to_string())?;
        let Some((_, rest)) = path.split_once('/') else {
            return Err(format!("names `{path}`, which is in no section"));
        };
        let key = Key::parse(rest).map_err(|e| e.to_string())?;
        let sha256 = match line.sha256 {
            Some(digest) => Some(digest.parse().map_err(|e| format!("of `{path}`: {e}"))?),
            None if has_checksums => return Err(format!("of `{path}` has no sha256")),
            None => None,
        };
        let tier = match line.tier.as_deref() {
            None => Tier::Hot,
            Some(name) => [Tier::Hot, Tier::Cold]
                .into_iter()
                .find(|tier| tier.as_str() == name)
                .ok_or_else(|| format!("of `{path}` has an unknown tier {name:?}"))?,
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
                modified: line.modified.map(system_time),
                mode: line.mode,
                etag: line.etag,
                tier,
                file_id: match (line.device, line.inode) {
                    (Some(device), Some(inode)) => Some(FileId { device, inode }),
                    _ => None,
                },
                rows: line.rows.map(|count| Rows {
                    count,
                    times: (line.min_time.zip(line.max_time)).map(|(min, span)| RowTimes {
                        min,
                        max: min.saturating_add(span),
                    }),
                }),
                damage: line.damage.as_deref().and_then(SourceDamage::from_name),
            },
            path,
            stored_in,
            stored: line.stored,
        })
    }
}

impl Sorted for Record {
    fn sort_key(&self) -> &str {
        &self.path
    }
}
