//! Living beside Arc 27.01: its `arc.toml`, its backups, and ours for its sake.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "../support/disk.rs"]
mod disk;
#[path = "../support/scene.rs"]
mod scene;
#[path = "../support/stores.rs"]
mod stores;
#[path = "../support/mod.rs"]
mod support;

mod config;
mod files;
mod legs;
mod scoped;
mod tiering;
