//! Verifying a backup.

pub(crate) mod check_for;
pub(crate) mod completeness;
mod file_list;
mod holders;
pub(crate) mod load;
mod measurements;
mod mode;
pub(crate) mod no_writer;
mod options;
mod run;
pub(crate) mod sampling;

pub use mode::VerifyMode;
pub use options::VerifyOptions;
pub(crate) use run::{run, update_note};
