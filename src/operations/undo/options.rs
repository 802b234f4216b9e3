//! Which restore is taken back.

use crate::manifest::BackupId;

/// A restore to be taken back.
#[derive(Debug, Clone)]
pub struct UndoRequest {
    /// The operation that restored.
    pub operation_id: String,
    /// Whether Arc must be restarted afterwards.
    pub restart_required: bool,
    /// The backup that it restored.
    pub(crate) id: BackupId,
    /// The target that holds the backup; `None` where the configuration no longer names it.
    pub(crate) target: Option<String>,
}
