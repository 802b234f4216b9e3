//! The history of operations, in a SQLite database beside the backups.
//!
//! SQLite blocks: another process may hold the file, or the disk may be slow to sync. The service
//! must not block with it. So every call runs on a blocking thread: one writer and a few readers at
//! once.

mod file;
mod keys;
mod row;
mod schema;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use file::HistoryFile;
pub use keys::{KeyedRequest, KnownKey};
pub use store::History;
