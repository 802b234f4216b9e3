//! The history of operations, in a SQLite database beside the backups.
//!
//! SQLite waits: for a reader that holds the file, for a disk that is slow to sync. None of that may
//! hold up the service, so every call works on a thread made for that, one that writes and few that
//! read at once.

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
