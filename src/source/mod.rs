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
mod section;
mod settle;
mod snapshot;
mod sqlite;
mod sqlite_restore;
mod staged_file;
mod steps;
mod sync;
mod units;
mod without_checksums;

pub(crate) use compaction::{JOB_STATES, is_job_state, is_readable_state};
pub use config::ConfigSource;
pub(crate) use config::check_config_place;
pub use contents::{Contents, Exclusions};
pub(crate) use contents::{measurement_of, partition_of};
pub use parquet::ParquetSource;
pub(crate) use section::section_of;
pub(crate) use snapshot::{check_file, describe_database};
pub use sqlite::SqliteSource;
pub(crate) use sync::sync;
