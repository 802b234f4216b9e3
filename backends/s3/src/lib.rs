//! S3 and S3-compatible stores as a [`Sink`](arc_backup_core::Sink): a bucket, or a prefix in one.
//!
//! An object's name is the prefix and its key. What this crate adds to the SDK's calls is what
//! makes a backup trustworthy over a network: every byte goes with a checksum that the store
//! checks, and comes back against the one that it keeps; a request whose answer was lost is looked
//! up before it counts as failed or done; nothing of an upload that ended stays; and an error names
//! the setting or permission to look at.
//!
//! Retries, limits, buffers and resumed reads are those of [`arc_backup_core::remote`]; the SDK's
//! own are switched off.
//!
//! - `config`: what Arc's settings mean. `sink`: the [`S3Sink`] itself.
//! - `store`: the client and what every request needs. `destination`: where requests go, for
//!   messages.
//! - `call`, `error`, `transport`, `cause`, `diagnosis`: what answers mean, and faults before there
//!   is one.
//! - `lock_state`, `under_way`, `versions`: what a sink remembers.
//! - `read`, `body`, `checksum`, `no_checksums`, `upload`, `multipart`, `unfinished`, `list`,
//!   `delete`, `copy`, `aside`, `lock`: one concern each.

mod aside;
mod body;
mod call;
mod cause;
mod checksum;
mod config;
mod copy;
mod delete;
mod destination;
mod diagnosis;
mod error;
mod list;
mod lock;
mod lock_state;
mod multipart;
mod no_checksums;
mod read;
mod sink;
mod store;
mod transport;
mod under_way;
mod unfinished;
mod upload;
mod versions;

pub use config::{S3Checksums, S3Config, S3Settings};
pub use sink::S3Sink;
