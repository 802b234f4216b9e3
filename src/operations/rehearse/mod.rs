//! Rehearsing a restore: every file is restored to a scratch folder, opened, and removed.

mod check;
mod options;
mod run;
mod scratch_files;

pub use options::RehearseOptions;
pub(crate) use run::run;
