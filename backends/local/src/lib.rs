//! Local disk as a [`Sink`](arc_backup_core::Sink): a folder whose files are the objects.
//!
//! An object's key is its path under the root. What this crate adds to plain file calls is what
//! makes a backup trustworthy: a file appears whole or not at all (a temporary name, then a
//! rename), nothing below the root is reached through a symbolic link, whatever is not a regular
//! file is named and never waited on, and one [durability
//! mark](arc_backup_core::DeferredDurability) makes a whole backup survive a loss of power.
//!
//! - `sink`: the [`LocalSink`] itself: each method, and which of the following does its work.
//! - `root`, `folder`, `status`: open folders, and what is in them. All file calls go through
//!   these.
//! - `upload`, `staging`, `read`, `walk`, `remove`, `link`, `aside`, `snapshot`, `lock`,
//!   `durability`: one concern each.
//! - `unsupported`: what a file system may lack.

mod aside;
mod config;
mod durability;
mod error;
mod folder;
mod link;
mod lock;
mod paths;
mod read;
mod remove;
mod root;
mod sink;
mod snapshot;
mod staging;
mod status;
mod unsupported;
mod upload;
mod walk;

pub use config::LocalConfig;
pub use sink::LocalSink;
