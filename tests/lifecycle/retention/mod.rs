//! Prune, pins and retention rules, from outside.

mod deaths;
mod history;
mod last_good;
mod pins;
mod prune;
mod recipes;
mod restic;
mod service;
mod spared;
