//! S3 and S3-compatible stores as a [`Sink`](arc_backup_core::Sink): a bucket, or a prefix in one.
//!
//! An object's name is the prefix and its key. What this crate adds to the SDK's calls is what makes a backup
//! trustworthy over a network: every byte goes with a checksum that the store checks, and comes back against the one
//! that it keeps; a request whose answer was lost is found out about before it counts as failed or done; nothing of
//! an upload that ended stays; and what goes wrong says which setting or permission to look at.
//!
//! Retries, pace, buffers and resumed reads are those of [`arc_backup_core::remote`]; the SDK's own are switched off.
//!
//! - `config`: what Arc's settings mean. `sink`: the [`S3Sink`] itself.
//! - `store`, `error`: the client and what every request needs; what answers mean.
//! - `read`, `body`, `checksum`, `upload`, `multipart`, `unfinished`, `list`, `delete`, `copy`, `aside`, `lock`, `versions`, `plain`: one concern each.

mod aside;
mod body;
mod checksum;
mod config;
mod copy;
mod delete;
mod error;
mod list;
mod lock;
mod multipart;
mod place;
mod plain;
mod read;
mod sink;
mod store;
mod unfinished;
mod upload;
mod verdict;
mod versions;
mod way;

pub use config::{S3Checksums, S3Config, S3Settings};
pub use sink::S3Sink;
