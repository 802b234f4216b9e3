//! Deleting backups, and working out what that frees.

mod estimate;
mod guard;
mod last_good;
mod remove;

pub(crate) use estimate::Estimator;
pub(crate) use guard::would_be_last;
pub use last_good::LastGood;
pub(crate) use remove::{Deleter, run};
