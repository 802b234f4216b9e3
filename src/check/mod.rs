//! `check`: whether the backups are recent enough, and were verified recently enough. For
//! monitoring.
//!
//! It asks each target for its list and reads the history. It reads no backup and changes nothing.

mod evaluation;
mod facts;
mod inspection;
mod options;
mod report;

pub use inspection::check;
pub use options::CheckOptions;
pub use report::{CheckReport, CheckStatus, TargetCheck};
