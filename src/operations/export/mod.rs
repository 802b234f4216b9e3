//! Exporting a backup: one file with all of it, which `import` takes into any target.

mod options;
mod output;
mod place;
mod run;

pub use options::{ExportOptions, ExportTo};
pub(crate) use place::locate;
pub(crate) use run::run;
