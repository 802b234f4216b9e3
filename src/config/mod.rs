//! Arc's own configuration, and ours in the same file.
//!
//! `arc.toml` is found where Arc finds it, and overridden by `ARC_…` variables as Arc does. It
//! becomes [`Settings`] in one step: after that nothing is checked again.

mod arc_server;
mod backends;
mod backup;
mod cluster;
mod databases;
mod environment;
mod keys;
mod location;
mod monitor;
mod not_included;
mod places;
mod settings;
mod state;
mod storage;
mod tables;
mod targets;
mod tiering;
mod values;
mod warehouse;
mod warning;

pub use arc_server::ArcServer;
pub use backends::{BackendDescription, Backends, PlaceForm, StorageRoot};
pub use backup::{BackupSettings, HistoryLimits};
pub use databases::Database;
pub(crate) use databases::real_path;
pub(crate) use keys::unknown_target;
#[cfg(test)]
pub(crate) use keys::{BACKUP_KEYS, OWN_KEYS};
pub(crate) use location::searched_places;
pub(crate) use places::{Compared, differences};
pub use settings::{Overrides, Settings};
pub use storage::StorageSettings;
pub use targets::TargetSettings;
pub(crate) use tiering::COLD;
pub use values::Values;
pub(crate) use warehouse::Warehouse;
pub use warning::Warning;
