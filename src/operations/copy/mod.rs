//! Copying a backup to another target.
//!
//! The copy has the same id and is whole by itself: nothing of it lies in the source. Files that
//! the destination has already, in another backup of the same instance or from an interrupted copy,
//! are not moved again. Order of writes as for a backup: journal → files → inventory → everything
//! durable → locks checked → `manifest.json`, with which the copy exists.

mod arcs_own;
mod base;
mod follow;
mod holdings;
mod leftovers;
mod manifest;
mod note;
mod options;
mod places;
mod run;
mod same;
mod section;
mod source;
mod stored;
mod writer;

pub use follow::{CopyOutcome, copy_to_all};
pub(crate) use manifest::{Changed, seal, sealed};
pub use options::CopyOptions;
pub(crate) use places::{locate, locks};
pub(crate) use run::run;
pub(crate) use same::is_there;
pub(crate) use source::Source;
pub(crate) use writer::CopyWriter;
