//! What a backup is made of: Arc's Parquet files, its SQLite databases, its configuration.

mod aside;
mod compaction;
mod companions;
mod config;
mod contents;
mod decide;
mod live;
mod parquet;
mod parquet_restore;
mod parquet_same;
mod put_back;
mod replace;
mod settle;
mod snapshot;
mod sqlite;
mod sqlite_restore;
mod steps;
mod sync;
mod units;

pub(crate) use compaction::{STATES, is_state, tells_of_a_job};
pub(crate) use companions::beside;
pub use config::ConfigSource;
pub(crate) use config::check_config_place;
pub use contents::{Contents, Exclusions};
pub use parquet::ParquetSource;
pub(crate) use replace::sync_folder;
pub(crate) use snapshot::{check_file, look_at_database};
pub use sqlite::{Database, SqliteSource};
pub(crate) use sync::sync;

/// The section of Parquet files and their companions.
pub const DATA: &str = "data";
/// The section of SQLite databases.
pub const METADATA: &str = "metadata";
/// The section of the configuration.
pub const CONFIG: &str = "config";

/// Sorted, with numbers of names that can't be told in full.
pub(crate) const SAMPLE: usize = 20;
