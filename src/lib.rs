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
mod demo;
mod doctor;
mod error;
mod files;
mod holder;
mod manifest;
mod names;
mod nearest;
mod operations;
mod own_folder;
mod pipeline;
mod random;
mod registry;
mod repository;
mod secret;
mod sorted;
mod source;
#[doc(hidden)]
pub mod testing;
mod times;
mod unreadable_state;

#[doc(no_inline)]
pub use arc_backup_core as core;

pub use busy::Busy;
pub use cli::main;
pub use config::{
    BackupSettings, HistoryLimits, IncludeConfig, Overrides, Settings, StorageSettings,
    TargetSettings, Values, Warning,
};
pub use error::{Error, Result};
pub use holder::{Holder, ProcessIdentity};
pub use manifest::{BackupId, BackupType, InventoryFault, Run};
pub use operations::{
    AfterCancel, ArcBackup, BackupOptions, Cancelling, ExtraFilesPolicy, IncompleteRun, Leftover,
    ListAnswer, LocalInventory, Operation, OperationFilter, OperationKind, OperationPage, Origin,
    Phase, Problem, ProblemKind, Request, RestoreInProgress, RestoreOptions, RestorePlan,
    RestorePreview, Running, Sections, SetAside, Status, Sweep, TimeLimit, TimedRequest,
    VerifyMode, Who,
};
pub use registry::{Registry, SinkConstructor, SinkWrapper, SourceConstructor, SourceWrapper};
pub use repository::{
    BackupState, Damaged, Incomplete, LastVerified, Leg, Pin, Summary, Unreadable,
};
pub use secret::Secret;
pub use unreadable_state::UnreadableState;
