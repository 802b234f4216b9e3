//! One thing to copy.

use std::time::SystemTime;

use crate::{Digest, FileId, Key, Rows, SourceDamage};

/// One thing to copy: an object of a source, or a line of a backup's inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key within its source's section.
    pub key: Key,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest, where it is known: always in an inventory, seldom before the copy.
    pub sha256: Option<Digest>,
    /// When it was last modified.
    pub modified: Option<SystemTime>,
    /// Its Unix permission bits (`0o600`), where its storage has them.
    pub mode: Option<u32>,
    /// Its entity tag, where its storage has one; opaque.
    pub etag: Option<String>,
    /// Where it is live: in Arc's storage, or in its cold tier.
    pub tier: Tier,
    /// Which file of which file system it is, where its storage is one.
    pub file_id: Option<FileId>,
    /// The rows of a data file, where they are known: in an inventory, never before the copy.
    pub rows: Option<Rows>,
    /// What is wrong with a data file as Arc has it, where that is known.
    pub damage: Option<SourceDamage>,
}

/// One of the two storages that Arc's data may be in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Arc's storage.
    #[default]
    Hot,
    /// The cold tier: another storage, with the same keys.
    Cold,
}

impl Tier {
    /// Its name in Arc's table `tier_files`, and in an inventory.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Cold => "cold",
        }
    }
}

impl Entry {
    /// An entry of which only key and size are known.
    #[must_use]
    pub fn new(key: Key, size: u64) -> Self {
        Self {
            key,
            size,
            sha256: None,
            modified: None,
            mode: None,
            etag: None,
            tier: Tier::Hot,
            file_id: None,
            rows: None,
            damage: None,
        }
    }

    /// Takes up what is known of `other`, which has the same bytes: the digest, and what is in
    /// them.
    pub fn set_bytes_of(&mut self, other: &Self) {
        (self.sha256, self.rows, self.damage) = (other.sha256, other.rows, other.damage);
    }
}
