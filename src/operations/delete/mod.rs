//! Deleting backups, and working out what that frees.

mod estimate;
mod remove;

#[allow(unused_imports, reason = "for operations that delete several backups")]
pub(crate) use estimate::{Estimator, estimate};
#[allow(unused_imports, reason = "for operations that delete several backups")]
pub(crate) use remove::{Deleter, remove, run};
