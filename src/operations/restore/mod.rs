//! Restoring a backup.

pub(crate) mod arc_idle;
pub(crate) mod checks;
mod cluster;
pub(crate) mod damaged;
pub(crate) mod destination;
pub(crate) mod disk_space;
mod half_way;
pub(crate) mod in_progress;
mod interrupted;
mod job_outcomes;
mod lacking;
pub(crate) mod marker;
pub(crate) mod new_instance;
mod no_files;
mod options;
pub(crate) mod plan;
mod plan_restore;
mod planning;
mod prepare;
pub(crate) mod preview;
mod record;
mod rename;
pub(crate) mod replanning;
mod restored_section;
mod rewritten;
mod run;
mod saved_plan;
pub(crate) mod set_aside;
pub(crate) mod staging;
pub(crate) mod time_needed;
mod unfinished_jobs;
mod untouched;

pub use in_progress::{InterruptedRun, RestoreInProgress};
pub use options::{Destination, ExtraFilesPolicy, RestoreOptions};
pub use rename::Renames;
pub(crate) use run::run;
