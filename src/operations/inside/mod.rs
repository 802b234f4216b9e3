//! Looking inside a backup: its folders, single files, and what another backup has of them.

mod backup_file;
mod diff;
mod diff_run;
mod folder;
mod lease;
mod opened;
mod path;
mod verified;

pub use backup_file::{BackupFile, OpenedFile};
pub use diff::{Change, Diff, DiffAmount, DiffCounts, DiffGroup, DiffSide};
pub use diff_run::DiffOptions;
pub use folder::{FolderChild, FolderTotals};
pub use opened::OpenedBackup;
pub(crate) use verified::{Expected, verified};
