//! The endpoints, by what they are about.

mod archive;
mod backups;
mod check;
mod copy;
mod diff;
mod files;
mod operations;
mod rehearse;
mod restore;
mod retention;
mod schedules;
mod service;
mod undo;

pub(super) use archive::ArchiveRoutes;
pub(super) use backups::BackupRoutes;
pub(super) use check::CheckRoutes;
pub(super) use copy::CopyRoutes;
pub(super) use diff::DiffRoutes;
pub(super) use files::FileRoutes;
pub(super) use operations::OperationRoutes;
pub(super) use rehearse::RehearsalRoutes;
pub(super) use restore::RestoreRoutes;
pub(super) use retention::RetentionRoutes;
pub(super) use schedules::ScheduleRoutes;
pub(super) use service::ServiceRoutes;
pub(super) use undo::UndoRoutes;
