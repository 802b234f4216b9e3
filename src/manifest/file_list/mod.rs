//! `manifest-files.json`: Arc 27.01's list of a backup's data files, with their checksums.
//!
//! It lies beside `manifest.json`. Arc's own backups have it in place of an inventory; ours have it
//! beside theirs, so that Arc can restore them. It is streamed, never held whole.

mod parse;
mod receive;
mod runs;
mod write;

pub use receive::receive_file_list;
pub use write::{FileListWriter, ListedFile};

/// The name of the list, beside the manifest.
pub const FILE_LIST: &str = "manifest-files.json";
/// The version of the list that is read and written.
const VERSION: u64 = 1;

/// Whether the file at `key` of the section `data` is a Parquet file of a database.
///
/// Arc lists these. What else lies under `data/` (job states, schema anchors, Iceberg metadata) may
/// be absent.
#[must_use]
pub fn is_data_file(key: &str) -> bool {
    key.ends_with(".parquet") && !key.starts_with('_')
}
