//! Backups whose databases go to several targets.

mod arc;
mod ours;
mod seen;
