//! Schedules: when backups are made by themselves, and what follows each.
//!
//! The machine decides what is due, and reads no clock. The [`Scheduler`] runs it under a [`Clock`]
//! while the service serves; each step of a run is an operation of the engine like any other. What
//! has run is kept in the state folder, and an operator's pauses beside it.

mod clock;
mod copies;
mod decision;
mod follow_up;
mod following;
mod health;
mod kept;
mod machine;
mod preview;
mod reload;
mod report;
mod restart;
mod scheduler;
mod store;
mod switches;
mod work;

pub use clock::{Clock, SystemClock};
pub use follow_up::follow_up;
pub use health::{ScheduleHealth, health};
pub use preview::{PreviewedBackup, SchedulePreview, preview};
pub use report::{
    LastFailure, LastScheduledRun, LastSuccess, MissedReport, PendingCopyReport, ScheduleReport,
    WaitingReport, reports,
};
pub use scheduler::Scheduler;
pub(crate) use store::pending_copies;
pub use switches::switch;
pub use work::{EngineWork, ScheduleWork, configured, find, request_of};
