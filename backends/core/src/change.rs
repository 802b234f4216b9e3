//! What a restore changes, as it is recorded before it does so: by that it can be taken back.

use std::time::SystemTime;

use futures::stream::BoxStream;

use crate::{Digest, Entry, Key, Meta, Result, Tier};

/// Changes, in byte order of their keys.
pub type ChangeStream<'a> = BoxStream<'a, Result<Change>>;

/// One entry that a restore replaces, adds or sets aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its key within its source's section.
    pub key: Key,
    /// Where it is live.
    pub tier: Tier,
    /// What is live there before; `None` where nothing is.
    pub before: Option<Version>,
    /// What is live there afterwards; `None` where nothing is.
    pub after: Option<Version>,
}

/// One state of an entry, as far as it is known without reading it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Option<Digest>,
    /// When it was last modified.
    pub modified: Option<SystemTime>,
    /// Its entity tag.
    pub etag: Option<String>,
}

impl From<&Meta> for Version {
    fn from(meta: &Meta) -> Self {
        Self {
            size: meta.size,
            sha256: None,
            modified: meta.modified,
            etag: meta.etag.clone(),
        }
    }
}

impl From<&Entry> for Version {
    /// Without its entity tag, which is that of another object.
    fn from(entry: &Entry) -> Self {
        Self {
            size: entry.size,
            sha256: entry.sha256,
            modified: entry.modified,
            etag: None,
        }
    }
}
