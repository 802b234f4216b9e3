//! The endpoints, by what they are about.

mod backups;
mod check;
mod files;
mod operations;
mod restore;
mod schedules;
mod service;

pub(super) use backups::BackupRoutes;
pub(super) use check::CheckRoutes;
pub(super) use files::FileRoutes;
pub(super) use operations::OperationRoutes;
pub(super) use restore::RestoreRoutes;
pub(super) use schedules::ScheduleRoutes;
pub(super) use service::ServiceRoutes;
