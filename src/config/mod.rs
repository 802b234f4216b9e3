//! Arc's own configuration, and ours in the same file.
//!
//! `arc.toml` is found where Arc finds it, and overridden by `ARC_…` variables as Arc does. It
//! becomes [`Settings`] in one step: after that nothing is checked again.

mod arc_27;
mod arc_server;
mod backends;
mod backup;
mod backups_folder;
mod cluster;
mod databases;
mod environment;
mod file_uri;
mod keys;
mod location;
mod monitor;
mod not_included;
mod other_storages;
mod own_table;
mod placeholder;
mod places;
mod retention;
mod schedules;
mod settings;
mod state;
mod storage;
mod tables;
mod targets;
mod tiering;
mod values;
mod variables;
mod warehouse;
mod warning;

pub use arc_server::ArcServer;
pub use backends::{BackendDescription, Backends, PlaceForm, StorageRoot, StorePlace, prefix_path};
pub use backup::{BackupSettings, HistoryLimits, IncludeConfig};
pub use databases::Database;
pub(crate) use databases::real_path;
#[cfg(test)]
pub(crate) use keys::BACKUP_KEYS;
pub(crate) use keys::unknown_target;
pub(crate) use location::searched_places;
pub(crate) use other_storages::toml_text;
pub(crate) use placeholder::placeholder;
pub(crate) use places::{Compared, differences};
pub use retention::RetentionSettings;
pub use schedules::{ScheduleSettings, ScheduledRehearsal, ScheduledVerification};
pub use settings::{Overrides, Settings};
pub use storage::StorageSettings;
pub use targets::TargetSettings;
pub(crate) use tiering::COLD;
pub use values::Values;
pub(crate) use warehouse::Warehouse;
pub use warning::Warning;
