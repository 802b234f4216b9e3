//! Deleting backups, and working out what that frees.

mod estimate;
mod last_good;
mod remove;

pub(crate) use estimate::Estimator;
pub use last_good::LastGood;
pub(crate) use last_good::would_be_last;
pub(crate) use remove::{Deleter, run};
