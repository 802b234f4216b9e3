//! Extracting files of a backup into a folder, as plain files at their paths in the backup.

mod folder_writer;
mod options;
mod place;
mod run;

pub use options::ExtractOptions;
pub(crate) use place::locate;
pub(crate) use run::run;
