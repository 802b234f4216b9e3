//! Arc's own configuration, and ours in the same file.
//!
//! `arc.toml` is found where Arc finds it, overridden by `ARC_…` variables as Arc does, and becomes [`Settings`] in
//! one step: after that nothing is checked again.

mod arc_server;
mod databases;
mod environment;
mod keys;
mod monitor;
mod not_included;
mod places;
mod settings;
mod state;
mod targets;
mod values;

pub use arc_server::ArcServer;
pub use databases::Database;
pub(crate) use keys::{secret_variable, unknown_target};
pub(crate) use places::{Compared, differences};
pub use settings::{BackupSettings, HistoryLimits, Overrides, Settings, StorageSettings};
pub use targets::TargetSettings;
pub use values::Values;
