//! Pruning: deleting the backups of a target that no retention rule keeps.
//!
//! The rules themselves are in `retention/`. Here the target is listed, the plan is made, and each
//! backup of the plan is looked at again right before it is deleted.

mod candidates;
mod deletion;
mod faults;
mod options;
mod plan;
mod run;

pub use options::PruneOptions;
pub use plan::{PlannedBackup, PrunePlan};
pub(crate) use run::run;
