//! Making a backup.
//!
//! Order of writes: journal → databases → file listing → files → config → inventory →
//! everything durable → lock checked → `manifest.json`, with which the backup exists.

pub(crate) mod base;
pub(crate) mod base_faults;
mod candidates;
pub(crate) mod collected;
pub(crate) mod damaged_files;
pub(crate) mod file_list;
pub(crate) mod flush;
mod held_objects;
pub(crate) mod incomplete;
mod known;
pub(crate) mod leg_snapshot;
pub(crate) mod legs;
pub(crate) mod omitted;
pub(crate) mod options;
mod own_copies;
pub(crate) mod publish;
mod rehash;
pub(crate) mod resume;
mod reuse;
pub(crate) mod run;
pub(crate) mod same_file;
pub(crate) mod secrets;
pub(crate) mod section;
mod stored_time;
pub(crate) mod write_faults;

pub(crate) use run::run;
