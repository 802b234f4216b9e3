//! A running Arc: its HTTP API, and its processes on this machine.
//!
//! What an operation makes of it is the operation's: whether a flush is required
//! (`operations/backup/flush.rs`), and how long a restore waits for compaction
//! (`operations/restore/arc_idle.rs`).

mod access;
mod client;
mod compaction;
mod error;
mod paths;
mod process;

pub(crate) use client::ArcClient;
pub(crate) use compaction::CompactionStatus;
pub(crate) use process::ArcProcess;
