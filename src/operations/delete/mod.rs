//! Deleting backups, and working out what that frees.

mod estimate;
mod remove;

pub(crate) use estimate::Estimator;
pub(crate) use remove::{Deleter, run};
