//! What a backup is asked for.

use arc_backup_core::{Scope, Secrets};

use crate::backup_type::BackupType;
use crate::manifest::BackupId;

/// What to back up, how, and where to.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct BackupOptions {
    /// The scope of the backup. Default: everything.
    pub scope: Scope,
    /// Whether files that an earlier backup has are reused; `None`: as `arc_backup.mode` says.
    pub backup_type: Option<BackupType>,
    /// Whether an incremental backup reads every file, and compares the unchanged ones with those
    /// of the earlier backup, rather than trusting their times.
    pub rehash: bool,
    /// Fails if Arc cannot be flushed.
    pub require_flush: bool,
    /// Whether `arc.toml` keeps its secrets; `None`: only where the target is on local disk.
    pub secrets: Option<Secrets>,
    /// The target; `None` for the default one.
    pub target: Option<String>,
    /// The id of the backup; `None` for a new one. For the demo.
    pub id: Option<BackupId>,
    /// Labels of the backup.
    pub labels: Vec<String>,
    /// A note for people.
    pub note: Option<String>,
    /// The schedule that it is made for.
    pub schedule: Option<String>,
    /// The targets that it is copied to once it has been made, each by an operation of its own:
    /// whoever starts the backup starts these too, see [`copy_to_all`](crate::copy_to_all).
    pub copy_to: Vec<String>,
}

impl BackupOptions {
    /// A backup of this scope, with the defaults.
    #[must_use]
    pub fn of(scope: Scope) -> Self {
        Self {
            scope,
            ..Self::default()
        }
    }
}
