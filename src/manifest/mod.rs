//! What a backup says of itself: `manifest.json` and `inventory.jsonl.zst`.
//!
//! The manifest is Arc's own, so that Arc's tools read it, with our fields added; it ends with a
//! digest over its own bytes. The inventory has a line a file; it is the only list that a restore
//! or a verification goes by.

mod compression;
mod file_list;
mod id;
mod inventory;
mod inventory_ref;
mod leg_index;
mod merge;
mod merged;
mod omitted;
mod record;
mod run;
mod seal;
mod section_index;
mod skipped;
mod spool;
mod types;

pub(crate) use compression::Decompressor;
pub use compression::{Compressor, ZSTD};
pub use file_list::{FILE_LIST, FileListWriter, ListedFile, is_data_file, receive_file_list};
pub use id::BackupId;
pub use inventory::{Inventory, InventoryFault};
pub use inventory_ref::{COMPRESSED_INVENTORY, INVENTORY, InventoryRef, Rehashed};
pub use leg_index::LegIndex;
pub(crate) use merged::merged;
pub(crate) use omitted::{NO_CONFIG, NO_METADATA};
pub use record::Record;
pub use run::Run;
pub use seal::{is_sealed, seal};
pub use skipped::Skipped;
pub use spool::Spool;
pub use types::{
    ClusterInfo, Consistency, CopiedFrom, DamagedFile, DatabaseIncluded, DatabaseTotals, FORMAT,
    MANIFEST_LIMIT, Manifest, MeasurementTotals, MissingFile, SectionTotals, SourceInfo,
    StoredTotals,
};
