//! The types that REST answers with, and that `--json` prints: one file per concept.
//!
//! They are made from the engine's own types by `From`. Their names, fields and descriptions are
//! the OpenAPI document.

mod accepted;
mod backup_type;
mod cancel;
mod check;
mod damaged_file;
mod data_scope;
mod deletion;
mod diff;
mod doctor;
mod file_answer;
mod files;
mod health;
mod include_config;
mod labels;
mod list;
mod manifest;
mod operation;
mod pin;
mod prune;
mod restore;
mod restore_in_progress;
mod restored;
mod schedule;
mod state;
mod status;
mod undo;
mod verification;

pub(super) use accepted::{Accepted, POLL_AFTER_SECS, Started, location};
pub(super) use backup_type::BackupType;
pub(super) use cancel::{CancelRequested, Cancelled};
pub(crate) use check::CheckReport;
pub(super) use check::{CheckStatus, TargetCheck};
pub(super) use data_scope::DataScope;
pub(super) use deletion::{Deleted, DeletedBody};
pub(crate) use diff::DiffBody;
pub(super) use diff::{DiffFiles, DiffOf, DiffPart, DiffPaths, DiffTotals};
pub(crate) use doctor::DoctorReport;
pub(super) use doctor::{DoctorCheck, DoctorStatus};
pub(super) use file_answer::FileAnswer;
pub(crate) use files::{FileBody, FilesBody};
pub(super) use health::HealthBody;
pub(super) use include_config::IncludeConfig;
pub(super) use labels::BackupPin;
pub(crate) use labels::Labelled;
pub(crate) use list::BackupList;
pub(super) use list::Summary;
pub(super) use manifest::ManifestBody;
pub(crate) use manifest::manifest_answer;
pub(crate) use operation::Operation;
pub(super) use operation::{OperationsBody, Status};
pub(crate) use pin::PinnedBackup;
pub(crate) use prune::PrunePlan;
pub(super) use prune::{PlannedBackup, Pruned};
pub(crate) use restore::RestorePreview;
pub(super) use restore::{
    BackupOrigin, DatabaseChanges, ExtraFilesPolicy, RestoreDestination, RestorePlan, RoomNeeded,
};
pub(super) use restored::Restored;
pub(super) use schedule::{PreviewedBackup, ScheduleFailure, ScheduleRun, ScheduleSuccess};
pub(crate) use schedule::{Schedule, SchedulePreview, ScheduleSwitched, SchedulesBody};
pub(super) use state::BackupState;
pub(crate) use status::IdleBody;
pub(super) use status::StatusBody;
pub(super) use undo::{RefusedFile, SetAsideFiles, SetAsidePlace, Undone};
pub(crate) use undo::{RemovedBody, SetAsideBody, UndoPlan};
pub(super) use verification::LastVerified;
