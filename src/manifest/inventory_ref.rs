//! What a manifest says of the inventory, and of reused files that were read again.

use serde::{Deserialize, Serialize};

/// The name of the inventory, beside the manifest, where it is not compressed.
pub const INVENTORY: &str = "inventory.jsonl";
/// The name of the inventory where it is compressed.
pub const COMPRESSED_INVENTORY: &str = "inventory.jsonl.zst";

/// What the inventory must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryRef {
    /// Its lines.
    pub entries: u64,
    /// The sum of the sizes in it.
    pub bytes: u64,
    /// The SHA-256 of the lines, without compression.
    pub sha256: String,
    /// `zstd`, where the file is compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
}

impl InventoryRef {
    /// The name of an inventory, beside the manifest.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.compression {
            None => INVENTORY,
            Some(_) => COMPRESSED_INVENTORY,
        }
    }
}

/// Which of the reused files were read again, and which are next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehashed {
    /// How many files were read again.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The position of 2^32 at which the next backup goes on.
    pub next: u32,
    /// How many positions before that one have been read in this round.
    pub covered: u64,
}
