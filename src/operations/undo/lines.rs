//! Changes as lines of a compressed file.

use std::time::SystemTime;

use arc_backup_core::{Change, Key, Tier, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::times::system_time;

/// One change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ChangeLine {
    pub(crate) key: String,
    /// Whether it is about the cold tier, of which no more is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cold: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<VersionLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<VersionLine>,
}

/// One state of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionLine {
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) modified: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
}

impl ChangeLine {
    pub(crate) fn parsed_key(&self) -> Option<Key> {
        Key::parse(&self.key).ok()
    }
}

impl VersionLine {
    /// Its time of modification.
    pub(crate) fn time(&self) -> Option<SystemTime> {
        self.modified.map(system_time)
    }
}

impl From<Change> for ChangeLine {
    fn from(change: Change) -> Self {
        Self {
            key: change.key.to_string(),
            cold: change.tier == Tier::Cold,
            before: change.before.as_ref().map(Into::into),
            after: change.after.as_ref().map(Into::into),
        }
    }
}

impl From<&Version> for VersionLine {
    fn from(version: &Version) -> Self {
        Self {
            size: version.size,
            sha256: version.sha256.map(|digest| digest.to_string()),
            modified: (version.modified).and_then(|time| Timestamp::try_from(time).ok()),
            etag: version.etag.clone(),
        }
    }
}
