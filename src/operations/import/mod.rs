//! Importing an archive of a backup into a target.
//!
//! The order of writes is that of a copy: the journal, the files, the inventory. Then all is made
//! durable, the lock is checked, and `manifest.json` is written, with which the backup exists.
//!
//! An import that fails removes what it stored. So does one that is cancelled, and its journal
//! stays, as that of one that is killed: the next operation that cleans up removes it.

mod head;
mod options;
mod run;
mod store;

pub use options::ImportOptions;
pub(crate) use run::run;
