//! What a backup says of itself: `manifest.json` and `inventory.jsonl`.
//!
//! The manifest is Arc's own, so that Arc's tools read it, with our fields added; it ends with a digest over
//! its own bytes. The inventory has a line a file; it is the only list that a restore or a verification goes by.

mod id;
mod inventory;
mod seal;
mod types;

pub use id::BackupId;
pub use inventory::{Inventory, InventoryFault, Record, Spool};
pub use seal::{is_sealed, seal};
pub use types::{
    Consistency, DatabaseIncluded, DatabaseTotals, InventoryRef, Manifest, MeasurementTotals,
    MissingFile, SectionTotals, SourceInfo,
};

/// The version of the layout that this release writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// The largest manifest that is read, in bytes. One of 10,000 measurements has about 1 MiB.
pub const MANIFEST_LIMIT: u64 = 16 << 20;
