//! Azure Blob Storage as a [`Sink`](arc_backup_core::Sink): a container, or a prefix in one, whose
//! block blobs are the objects.
//!
//! An object's key is its name behind the prefix. What this crate adds to plain requests is what
//! makes a backup trustworthy: every body carries its MD5 in either direction, so that neither side
//! keeps a damaged one, unless a reader has a digest of its own to find it by; a blob appears whole
//! or not at all; a retry never takes its own success for a failure nor another's object for its
//! own; and an error says which setting or permission to look at.
//!
//! - `config`, `account`, `sas`: raw settings, and what they mean.
//! - `wire`, `sign`, `identity`: one HTTP request: how it travels and how it is authorised.
//! - `store`, `error`: requests with retries, and what their failures mean.
//! - `sink`: the [`AzureSink`] itself: each method, and which of the following does its work.
//! - `upload`, `read`, `list`, `delete`, `copy`, `aside`, `lock`: one concern each.

mod account;
mod aside;
mod config;
mod copy;
mod delete;
mod error;
mod identity;
mod list;
mod lock;
mod read;
mod sas;
mod sign;
mod sink;
mod store;
mod upload;
mod wire;

pub use config::AzureConfig;
pub use sink::AzureSink;
