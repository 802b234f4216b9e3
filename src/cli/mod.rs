//! The command line.

mod actor;
mod arguments;
mod cancel;
mod check;
mod commands;
mod confirmation;
mod copy;
mod delete;
mod demo;
mod doctor;
mod exit_code;
mod figures;
mod history;
mod ids;
mod json;
mod label;
mod list;
mod logging;
mod operation;
mod output;
mod pin;
mod program;
mod progress;
mod prune;
mod restore;
mod restore_report;
mod retention_arguments;
mod schedules;
mod serve;
mod show;
mod signals;
mod summary;
mod sweep;
mod table;
mod waiting;

pub use program::main;
