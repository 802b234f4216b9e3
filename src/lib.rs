//! `arc-backup` backs up and restores an Arc time-series database: Parquet files, SQLite metadata
//! and `arc.toml`.
//!
//! It is one binary, a REST service and a command line over this library, and a framework: a third
//! party adds a kind of thing to back up ([`arc_backup_core::Source`]) or a place to put it
//! ([`arc_backup_core::Sink`]) to the [`Registry`] and calls [`main`].
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
mod busy;
pub mod check;
pub mod cli;
pub mod config;
pub mod demo;
pub mod doctor;
mod error;
mod files;
mod holder;
pub mod manifest;
mod nearest;
pub mod operations;
mod own_folder;
pub mod pipeline;
mod random;
mod registry;
pub mod repository;
mod secret;
mod sorted;
pub mod source;
mod times;
mod unreadable_state;

pub use cli::main;
pub use error::{Error, Result};
pub use registry::{Registry, SinkConstructor, SinkWrapper, SourceConstructor, SourceWrapper};
pub use unreadable_state::UnreadableState;
