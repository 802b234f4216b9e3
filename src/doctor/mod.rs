//! `doctor`: whether everything that the configuration names can be reached and used, and what to
//! do where it cannot.
//!
//! Each storage is asked for each right that a backup or restore needs, with a small object of its
//! own that is removed afterwards. Nothing else is changed.

mod arc;
mod check;
mod examine;
mod explain;
mod machine;
mod probe;
mod reading;
mod room;
mod schedules;
mod set_aside;
mod storages;

pub use check::{Check, DoctorStatus, Report};
pub use examine::examine;
