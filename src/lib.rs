//! `arc-backup` backs up and restores an Arc time-series database: Parquet files, SQLite metadata and `arc.toml`.
//!
//! It is one binary, a REST service and a command line over this library, and a framework: a third party adds
//! a kind of thing to back up ([`arc_backup_core::Source`]) or a place to put it ([`arc_backup_core::Sink`]) to the
//! [`Registry`] and calls [`main`].
//!
//! - [`config`]: `arc.toml` and environment
//! - [`source`]: what is backed up
//! - [`pipeline`]: the one copy engine
//! - [`manifest`], [`repository`]: what a backup is, and the backups in a target
//! - [`operations`]: backup, restore, verify, delete; the one slot, progress, history
//! - [`check`]: whether there are backups as there should be, for monitoring
//! - [`doctor`]: whether all of it can work
//! - [`auth`], [`api`], [`cli`]: the surfaces

pub mod api;
mod arc;
pub mod auth;
pub mod check;
pub mod cli;
pub mod config;
pub mod demo;
pub mod doctor;
mod error;
pub mod manifest;
mod nearest;
pub mod operations;
pub mod pipeline;
mod private;
mod registry;
pub mod repository;
pub mod source;
mod times;

pub use cli::main;
pub use error::{Error, Result};
pub use registry::{Registry, SinkConstructor, SinkWrapper, SourceConstructor, SourceWrapper};

pub(crate) use source::{beside as source_path_beside, sync_folder};

/// Random bytes as lower-case hex digits.
pub(crate) fn random_hex<const BYTES: usize>() -> Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::Failed(format!("the system has no random numbers: {e}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The moment as the standard library has it.
pub(crate) fn system_time(moment: jiff::Timestamp) -> std::time::SystemTime {
    let since_epoch = moment.as_duration();
    if since_epoch.is_negative() {
        std::time::UNIX_EPOCH - since_epoch.unsigned_abs()
    } else {
        std::time::UNIX_EPOCH + since_epoch.unsigned_abs()
    }
}
