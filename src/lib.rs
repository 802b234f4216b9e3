//! Backs up and restores an Arc time-series database: Parquet files, SQLite metadata, `arc.toml`.
//!
//! The program `arc-backup` is this library with the built-in backends. It is a command line and a
//! REST service over one engine, [`ArcBackup`].
//!
//! # A program with a storage of your own
//!
//! A third party adds a place to put backups ([`core::Sink`]) or a kind of data to back up
//! ([`core::Source`]) to the [`Registry`] and calls [`main`]:
//!
//! ```no_run
//! use std::process::ExitCode;
//! use std::sync::Arc;
//!
//! use arc_backup::Registry;
//! use arc_backup::core::{MemorySink, Sink};
//!
//! fn main() -> ExitCode {
//!     let mut registry = Registry::new();
//!     // A target with `type = "memory"` in `arc.toml` is such a sink now.
//!     registry.add_sink("memory", |_, _| {
//!         Ok(Arc::new(MemorySink::default()) as Arc<dyn Sink>)
//!     });
//!     arc_backup::main(registry)
//! }
//! ```
//!
//! # A backup without the program
//!
//! ```no_run
//! use arc_backup::core::Scope;
//! use arc_backup::{ArcBackup, BackupOptions, Origin, Overrides, Registry, Request, Status, Who};
//!
//! # async fn back_up() -> arc_backup::Result<()> {
//! let registry = Registry::new();
//! let settings = registry.settings(&Overrides::default())?;
//! let engine = ArcBackup::new(settings, &registry)?;
//! let request = Request::Backup(BackupOptions::of(Scope::whole()));
//! let who = Who {
//!     actor: "nightly".to_owned(),
//!     origin: Origin::Cli,
//!     fingerprint: None,
//!     token: None,
//! };
//! let ended = engine.start(request, who).await?.wait().await;
//! assert_eq!(ended.status, Status::Completed, "{:?}", ended.error);
//! # Ok(())
//! # }
//! ```

mod api;
mod arc;
mod auth;
mod backup_type;
mod busy;
mod check;
mod cli;
mod config;
mod cron;
mod demo;
mod doctor;
mod error;
mod files;
mod holder;
mod manifest;
mod names;
mod nearest;
mod omitted;
mod operations;
mod own_folder;
mod pipeline;
mod random;
mod registry;
mod repository;
mod retention;
mod schedule;
mod secret;
mod sorted;
mod source;
#[doc(hidden)]
pub mod testing;
mod times;
mod unreadable_state;

#[doc(no_inline)]
pub use arc_backup_core as core;

pub use backup_type::BackupType;
pub use busy::Busy;
pub use cli::main;
pub use config::{
    BackupSettings, HistoryLimits, IncludeConfig, Overrides, RetentionSettings, ScheduleSettings,
    ScheduledRehearsal, ScheduledVerification, Settings, StorageSettings, TargetSettings, Values,
    Warning,
};
pub use cron::{Cron, CronFault, Timing};
pub use error::{Error, Result};
pub use holder::{Holder, ProcessIdentity};
pub use manifest::{BackupId, InventoryFault, Run};
pub use omitted::Omitted;
pub use operations::{
    AfterCancel, AlsoRunning, ArcBackup, BackupFile, BackupOptions, Cancelling, Change,
    CopyOptions, CopyOutcome, DataSelection, DatabaseChanges, Destination, Diff, DiffAmount,
    DiffCounts, DiffGroup, DiffOptions, DiffSide, ExportOptions, ExportTo, ExtraFilesPolicy,
    ExtractOptions, FolderChild, FolderTotals, ImportOptions, IncompleteRun, LabelChange, Labelled,
    LastGood, Leftover, ListAnswer, ListFilter, ListPlace, LocalInventory, NoteChange,
    OpenedBackup, OpenedFile, Operation, OperationFilter, OperationKind, OperationPage, Origin,
    Phase, PinRequest, PinnedBackup, PlannedBackup, Problem, ProblemKind, PruneOptions, PrunePlan,
    RehearseOptions, Renames, Request, RestoreInProgress, RestoreOptions, RestorePlan,
    RestorePreview, RoomNeeded, Running, Sections, SetAside, Status, Sweep, TimeLimit,
    TimedRequest, VerifyMode, VerifyOptions, Who, copy_to_all,
};
pub use registry::{Registry, SinkConstructor, SinkWrapper, SourceConstructor, SourceWrapper};
pub use repository::{
    BackupState, Damaged, Freed, Freshness, Incomplete, LastVerified, Leg, Pin, Summary, Unneeded,
    Unreadable,
};
pub use retention::{
    Candidate, CandidateState, Decision, Fault, Pinned, Policies, Policy, Rules, Unknown, Within,
    evaluate, evaluate_all,
};
pub use schedule::{
    Clock, EngineWork, LastFailure, LastScheduledRun, LastSuccess, MissedReport, PendingCopyReport,
    PreviewedBackup, ScheduleHealth, SchedulePreview, ScheduleReport, ScheduleWork, Scheduler,
    SystemClock, WaitingReport,
};
pub use secret::Secret;
pub use unreadable_state::UnreadableState;
