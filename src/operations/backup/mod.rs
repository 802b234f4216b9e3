//! Making a backup.
//!
//! Order of writes: journal → databases → file listing → files → config → inventory →
//! everything durable → lock checked → `manifest.json`, with which the backup exists.

pub(crate) mod collected;
pub(crate) mod file_list;
pub(crate) mod flush;
pub(crate) mod incomplete;
pub(crate) mod leg_snapshot;
pub(crate) mod legs;
pub(crate) mod omitted;
pub(crate) mod options;
pub(crate) mod publish;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod secrets;
pub(crate) mod section;
pub(crate) mod write_faults;

pub(crate) use run::run;
