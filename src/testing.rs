//! What only the tests and benches of this repository use. No promise is made for it.

pub use crate::config::Database;
pub use crate::demo::{Column, Values, count_rows, write_parquet};
pub use crate::doctor::examine;
pub use crate::manifest::{Manifest, seal};
pub use crate::pipeline::{Inspect, Plan, Reader, Writer, inspect_nothing};
pub use crate::source::{Exclusions, ParquetSource, SqliteSource, Tiering, inspect_data_file};
