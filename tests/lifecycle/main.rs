//! What an operator lives with every day: incremental backups, their deletion, retention,
//! schedules, copies to a second target, labels and lists.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "../support/faults/mod.rs"]
mod faults;
#[path = "../support/scene.rs"]
mod scene;
#[path = "../support/stores.rs"]
mod stores;
#[path = "../support/mod.rs"]
mod support;

mod copies;
mod incremental;
mod inside;
mod leases;
mod lists;
mod rehearsals;
mod retention;
mod schedules;
mod sharing;
mod source_damage;
