//! Importing an archive of a backup into a target.
//!
//! The order of writes is that of a copy: journal → files → inventory → all is durable → the lock is
//! checked → `manifest.json`, with which the backup exists. An import that fails removes what it
//! stored. One that is cancelled does so too, and leaves its journal, as one does that is killed:
//! the next operation that cleans up removes it.

mod head;
mod options;
mod run;
mod store;

pub use options::ImportOptions;
pub(crate) use run::run;
