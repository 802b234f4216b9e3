//! What is asked for in a body.

use poem_openapi::Object;

use super::extract::{Fields, UnknownFields};
use crate::operations::ExtraFilesPolicy;

/// What to back up.
#[derive(Debug, Default, Object)]
pub(super) struct CreateBackup {
    /// With the SQLite databases. Default: `backup.include_metadata`, else true.
    pub(super) include_metadata: Option<bool>,
    /// With `arc.toml`. Default: `backup.include_config`, else true.
    pub(super) include_config: Option<bool>,
    /// Fail, before anything is copied, where Arc could not be flushed. Default:
    /// `backup.require_flush`, else false.
    pub(super) require_flush: Option<bool>,
    /// The target to write to. Default: `backup.default_target`, else `local`.
    pub(super) target: Option<String>,
    /// How long it may take: `90s`, `30m`, `6h`, `1d`, or a number of seconds as a text; `0` is no
    /// limit. Default: `backup.timeout`, else 2 h.
    pub(super) timeout: Option<String>,
}

impl Fields for CreateBackup {
    const UNKNOWN: UnknownFields = UnknownFields::Warn;
}

/// What to restore.
#[derive(Debug, Default, Object)]
pub(super) struct RestoreBackup {
    /// The backup; required.
    pub(super) backup_id: Option<String>,
    /// Restore Parquet files and their companions. Default true.
    pub(super) restore_data: Option<bool>,
    /// Restore the SQLite databases. Default true.
    pub(super) restore_metadata: Option<bool>,
    /// Restore `arc.toml`. Default false.
    pub(super) restore_config: Option<bool>,
    /// Must be true: live data is overwritten.
    pub(super) confirm: Option<bool>,
    /// What becomes of live files that the backup does not hold. Default `set_aside`.
    pub(super) extra_files: Option<ExtraFilesPolicy>,
    /// Take an incomplete copy too, where there is no backup of that id. Default false.
    pub(super) allow_incomplete: Option<bool>,
    /// Read all that will be restored before the first write, also where the data is on S3 or Azure; on local disk that is
    /// so anyway. Default false.
    pub(super) verify_first: Option<bool>,
    /// Replace what is live here by a backup of another instance, or of other data. Default false.
    pub(super) into_other_instance: Option<bool>,
    /// Leave out files that are damaged or missing in the backup, and restore the rest; what is
    /// live in their place stays. The operation ends as `failed` all the same. Default false.
    pub(super) skip_damaged: Option<bool>,
    /// The target that holds it; needed where several hold a backup of this id.
    pub(super) target: Option<String>,
    /// How long it may take: `90s`, `30m`, `6h`, `1d`, or a number of seconds as a text; `0` is no
    /// limit. Default: `backup.timeout`, else 2 h.
    pub(super) timeout: Option<String>,
}

impl Fields for RestoreBackup {
    const UNKNOWN: UnknownFields = UnknownFields::Refuse;
}

/// How to verify.
#[derive(Debug, Default, Object)]
pub(super) struct VerifyBackup {
    /// `full` (default): every byte; `quick`: every file is there with its size; `sample`: a share of the files.
    pub(super) mode: Option<String>,
    /// For `sample`: percent of the files, more than 0 and at most 100. Each sample goes on where the last one ended:
    /// twenty of 5 read every file once.
    pub(super) percent: Option<f64>,
    /// The target that holds it; needed where several hold a backup of this id.
    pub(super) target: Option<String>,
    /// How long it may take: `90s`, `30m`, `6h`, `1d`, or a number of seconds as a text; `0` is no
    /// limit. Default: `backup.timeout`, else 2 h.
    pub(super) timeout: Option<String>,
}

impl Fields for VerifyBackup {
    const UNKNOWN: UnknownFields = UnknownFields::Warn;
}
