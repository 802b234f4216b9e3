//! A sample Arc instance: small, with invented data, and real.
//!
//! It is for trying a backup, a restore and the REST service without an Arc, and for tests and
//! benches. It has the files that Arc itself would have on disk:
//!
//! - two databases with five measurements over three fixed days (2026-02-09 to 2026-02-11): some
//!   300 Parquet files under Arc's names, one measurement compacted daily
//! - an `arc.db` with Arc's schema, in WAL mode
//! - an `arc.toml`
//!
//! The data is the same in every sample; the admin token differs in each. The token is kept in
//! clear in `.arc-backup-demo.json` (mode 0600) beside `arc.toml`, so that a second run can show it
//! again. That is acceptable only because the data is invented.

mod database;
mod error;
mod folder;
mod instance;
mod names;
mod options;
mod parquet;
mod random;
mod series;
#[cfg(test)]
mod tests;
mod token;

pub use instance::make_instance;
pub use options::DemoOptions;
pub use parquet::{Column, Values, count_rows, write_parquet};
