//! The paths of Arc's API that are used.

/// Writes to Parquet what Arc holds in memory; for an admin.
pub(super) const FLUSH: &str = "/api/v1/write/line-protocol/flush";
/// Whether Arc compacts; any token may ask.
pub(super) const COMPACTION: &str = "/api/v1/compaction/stats";
/// Only an admin's token may ask for it, and it changes nothing.
pub(super) const BACKUP_STATUS: &str = "/api/v1/backup/status";
