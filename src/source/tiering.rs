//! Arc's cold tier, as the sources know it.

use std::path::PathBuf;
use std::sync::Arc;

use arc_backup_core::Sink;

/// Where files are that have become cold, and where Arc records which these are.
#[derive(Debug, Clone)]
pub struct Tiering {
    /// The database with the table `tier_files`.
    pub database: PathBuf,
    /// The cold tier, where it is enabled.
    pub cold: Option<Arc<dyn Sink>>,
    /// The key in the cold tier of what is not of it: Arc's data storage, which lies inside.
    pub not_cold: Option<String>,
    /// Whether backups hold the cold tier.
    pub include_cold: bool,
}
