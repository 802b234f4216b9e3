//! The bodies of requests.

use std::collections::BTreeMap;

use poem_openapi::Object;
use serde_json::Value;

use super::extract::{Fields, UnknownFields};
use super::types::{BackupType, DataScope, ExtraFilesPolicy, IncludeConfig};

/// What to back up.
#[derive(Debug, Default, Object)]
pub(super) struct CreateBackup {
    /// Back up only the data of these databases: the first folders of their files. Default: all.
    pub(super) databases: Option<Vec<String>>,
    /// Include the SQLite databases. Default: `backup.include_metadata`, else true. With
    /// `databases` false, and it must not be true.
    pub(super) include_metadata: Option<bool>,
    /// Include `arc.toml`: `true`, `false`, or `redacted`, which puts the names of variables in
    /// the place of its secrets. Default: `backup.include_config`, else `redacted` where the target
    /// is remote, and `true` on local disk; with `databases` false.
    pub(super) include_config: Option<IncludeConfig>,
    /// Fail before anything is copied if Arc could not be flushed. Default:
    /// `backup.require_flush`, else false.
    pub(super) require_flush: Option<bool>,
    /// Labels of the backup, at most 32: 1 to 64 letters, digits and `_ . : = / -`, the first a
    /// letter or digit.
    pub(super) labels: Option<Vec<String>>,
    /// A note for people, at most 4 KiB.
    pub(super) note: Option<String>,
    /// `full`: copy every file. `incremental`: reuse the unchanged files of the newest earlier
    /// backup of this instance in the target. Default: `arc_backup.mode`, else `full`.
    #[oai(rename = "type")]
    pub(super) backup_type: Option<BackupType>,
    /// Read the unchanged files too, here and in the earlier backup, and compare their SHA-256.
    /// Default false.
    pub(super) rehash: Option<bool>,
    /// The target to write to. Default: `backup.default_target`, else `local`.
    pub(super) target: Option<String>,
    /// The targets that it is copied to once it has been made, each by an operation of its own; an
    /// empty list for none. Default: `arc_backup.copy_to`, else none.
    pub(super) copy_to: Option<Vec<String>>,
    /// How long it may take: `90s`, `30m`, `6h`, `1d`, or a number of seconds as a text; `0` is no
    /// limit. Default: `backup.timeout`, else 2 h.
    pub(super) timeout: Option<String>,
}

impl Fields for CreateBackup {
    const UNKNOWN: UnknownFields = UnknownFields::Warn;
}

/// How to label a backup. `labels` replaces those that it has; then `remove_labels` are removed and
/// `add_labels` added.
#[derive(Debug, Default, Object)]
pub(super) struct LabelBackup {
    /// The labels that it has from now on.
    pub(super) labels: Option<Vec<String>>,
    /// Labels to add.
    pub(super) add_labels: Option<Vec<String>>,
    /// Labels to remove; one that it does not have is no error.
    pub(super) remove_labels: Option<Vec<String>>,
    /// The note from now on, at most 4 KiB; an empty text removes it.
    pub(super) note: Option<String>,
}

impl Fields for LabelBackup {
    const UNKNOWN: UnknownFields = UnknownFields::Refuse;
}

/// What to restore.
#[derive(Debug, Default, Object)]
pub(super) struct RestoreBackup {
    /// The backup; required.
    pub(super) backup_id: Option<String>,
    /// Restore Parquet files and their companions. Default true.
    pub(super) restore_data: Option<bool>,
    /// Restore only a part of the data: nothing else is read or changed.
    pub(super) scope: Option<DataScope>,
    /// Restore the SQLite databases. Default true; with `scope` false.
    pub(super) restore_metadata: Option<bool>,
    /// Restore `arc.toml`. Default false.
    pub(super) restore_config: Option<bool>,
    /// Must be true, unless `dry_run` or `to` is set, or `rename` without `over_existing`: live
    /// data is overwritten.
    pub(super) confirm: Option<bool>,
    /// How Arc 27.01 restores on a cluster: `merge` (default) or `replace`. A standalone instance
    /// takes `merge` only.
    pub(super) mode: Option<String>,
    /// What becomes of live files that the backup does not hold. Default `set_aside`.
    pub(super) extra_files: Option<ExtraFilesPolicy>,
    /// Restore an incomplete copy if there is no backup of that id. Default false.
    pub(super) allow_incomplete: Option<bool>,
    /// Verify all files that will be restored before the first write, also where the data is on S3
    /// or Azure. On local disk this is always done. Default false.
    pub(super) verify_first: Option<bool>,
    /// Replace the live data by a backup of another instance, or of other data. Default false.
    pub(super) into_other_instance: Option<bool>,
    /// Omit files that are damaged or missing in the backup, and restore the rest; the live files
    /// in their place stay. The operation still ends as `failed`. Default false.
    pub(super) skip_damaged: Option<bool>,
    /// New names of databases, by the names in the backup: these are restored under them, and
    /// nothing else is.
    pub(super) rename: Option<BTreeMap<String, Value>>,
    /// With `rename`: also where there is a database of the new name, by the rules of any restore;
    /// then `confirm` must be true. Default false.
    pub(super) over_existing: Option<bool>,
    /// Restore into this folder of the service's machine, an absolute path: a new instance that Arc
    /// can be started in. It must be empty or absent. The live data is not touched.
    pub(super) to: Option<String>,
    /// Restore the data, and nothing else, to this storage of `[arc_backup.storages]`. It must be
    /// empty. The live data is not touched.
    pub(super) to_storage: Option<String>,
    /// Answer with what the restore would do, and do nothing. The answer has a `plan_id`. Default
    /// false.
    pub(super) dry_run: Option<bool>,
    /// Do exactly what this plan says, or fail before anything changes. The other fields are those
    /// of the request that made it. A plan can be named for 24 h.
    pub(super) plan_id: Option<String>,
    /// The target that holds it; needed where several hold a backup of this id.
    pub(super) target: Option<String>,
    /// How long it may take: `90s`, `30m`, `6h`, `1d`, or a number of seconds as a text; `0` is no
    /// limit. Default: `backup.timeout`, else 2 h.
    pub(super) timeout: Option<String>,
}

impl Fields for RestoreBackup {
    const UNKNOWN: UnknownFields = UnknownFields::Refuse;
}

/// Which restore to take back.
#[derive(Debug, Default, Object)]
pub(super) struct UndoRestore {
    /// The operation that restored; required.
    pub(super) operation_id: Option<String>,
    /// Must be true, unless `dry_run` is: live data is overwritten.
    pub(super) confirm: Option<bool>,
    /// Answer with what it would do, and do nothing. Default false.
    pub(super) dry_run: Option<bool>,
    /// How long it may take: `90s`, `30m`, `6h`, `1d`, or a number of seconds as a text; `0` is no
    /// limit. Default: `backup.timeout`, else 2 h.
    pub(super) timeout: Option<String>,
}

impl Fields for UndoRestore {
    const UNKNOWN: UnknownFields = UnknownFields::Refuse;
}

/// How to verify.
#[derive(Debug, Default, Object)]
pub(super) struct VerifyBackup {
    /// `full` (default): read every byte. `quick`: check that every file exists with its size.
    /// `sample`: read a share of the files.
    pub(super) mode: Option<String>,
    /// Verify only a part of the data. The backup does not count as verified then. Not with
    /// `sample`.
    pub(super) scope: Option<DataScope>,
    /// For `sample`: percent of the files, more than 0 and at most 100. Each sample continues where
    /// the last one ended: twenty of 5 read every file once.
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

/// How to rehearse a restore.
#[derive(Debug, Default, Object)]
pub(super) struct RehearseBackup {
    /// Percent of the data files that are restored, more than 0 and at most 100, another one each
    /// time. Databases and configuration always are. Default: all of them.
    pub(super) percent: Option<f64>,
    /// The target that holds it; needed where several hold a backup of this id.
    pub(super) target: Option<String>,
    /// How long it may take: `90s`, `30m`, `6h`, `1d`, or a number of seconds as a text; `0` is no
    /// limit. Default: `backup.timeout`, else 2 h.
    pub(super) timeout: Option<String>,
}

impl Fields for RehearseBackup {
    const UNKNOWN: UnknownFields = UnknownFields::Warn;
}

/// Where to copy a backup to.
#[derive(Debug, Default, Object)]
pub(super) struct CopyBackup {
    /// The target to copy it to; required.
    pub(super) to: Option<String>,
    /// The target to copy it from. Default: the one that holds it; of several, the one that it was
    /// made in.
    pub(super) target: Option<String>,
    /// How long it may take: `90s`, `30m`, `6h`, `1d`, or a number of seconds as a text; `0` is no
    /// limit. Default: `backup.timeout`, else 2 h.
    pub(super) timeout: Option<String>,
}

impl Fields for CopyBackup {
    const UNKNOWN: UnknownFields = UnknownFields::Warn;
}

/// Where to export a backup to.
#[derive(Debug, Default, Object)]
pub(super) struct ExportBackup {
    /// The new file, an absolute path on the service's machine; required.
    pub(super) to: Option<String>,
    /// The target that holds it; needed where several hold a backup of this id.
    pub(super) target: Option<String>,
    /// How long it may take: `90s`, `30m`, `6h`, `1d`, or a number of seconds as a text; `0` is no
    /// limit. Default: `backup.timeout`, else 2 h.
    pub(super) timeout: Option<String>,
}

impl Fields for ExportBackup {
    const UNKNOWN: UnknownFields = UnknownFields::Warn;
}

/// What to import.
#[derive(Debug, Default, Object)]
pub(super) struct ImportBackup {
    /// The file that an export wrote, an absolute path on the service's machine; required.
    pub(super) file: Option<String>,
    /// The target to import it into. Default: `backup.default_target`, else `local`.
    pub(super) target: Option<String>,
    /// How long it may take: `90s`, `30m`, `6h`, `1d`, or a number of seconds as a text; `0` is no
    /// limit. Default: `backup.timeout`, else 2 h.
    pub(super) timeout: Option<String>,
}

impl Fields for ImportBackup {
    const UNKNOWN: UnknownFields = UnknownFields::Warn;
}

/// Which files of a backup to extract, and where to.
#[derive(Debug, Default, Object)]
pub(super) struct ExtractFiles {
    /// The new or empty folder, an absolute path on the service's machine; required.
    pub(super) to: Option<String>,
    /// The part of the data; then nothing else is extracted. Default: the whole backup.
    pub(super) scope: Option<DataScope>,
    /// The target that holds it; needed where several hold a backup of this id.
    pub(super) target: Option<String>,
    /// How long it may take: `90s`, `30m`, `6h`, `1d`, or a number of seconds as a text; `0` is no
    /// limit. Default: `backup.timeout`, else 2 h.
    pub(super) timeout: Option<String>,
}

impl Fields for ExtractFiles {
    const UNKNOWN: UnknownFields = UnknownFields::Refuse;
}

/// What to prune, and what to keep.
#[derive(Debug, Default, Object)]
pub(super) struct PruneBackups {
    /// The target to prune. Default: `backup.default_target`, else `local`.
    pub(super) target: Option<String>,
    /// Keep the newest of all. With any of the rules here, those that are configured do not count;
    /// 0 switches a rule off. Without any rule everything is kept.
    pub(super) keep_last: Option<i64>,
    /// Keep the newest of each hour, for this many hours that have a backup.
    pub(super) keep_hourly: Option<i64>,
    /// The same of days.
    pub(super) keep_daily: Option<i64>,
    /// The same of weeks, Monday to Sunday.
    pub(super) keep_weekly: Option<i64>,
    /// The same of months.
    pub(super) keep_monthly: Option<i64>,
    /// The same of years.
    pub(super) keep_yearly: Option<i64>,
    /// Keep all that are within this time of the newest good one: `2y5m7d3h`.
    pub(super) keep_within: Option<String>,
    /// Prune backups of other instances and of Arc too. Default false.
    pub(super) include_foreign: Option<bool>,
    /// Answer with the plan and do nothing. Default true.
    pub(super) dry_run: Option<bool>,
    /// How long it may take: `90s`, `30m`, `6h`, `1d`, or a number of seconds as a text; `0` is no
    /// limit. Default: `backup.timeout`, else 2 h.
    pub(super) timeout: Option<String>,
}

impl Fields for PruneBackups {
    const UNKNOWN: UnknownFields = UnknownFields::Refuse;
}

/// Why to pin a backup, and until when.
#[derive(Debug, Default, Object)]
pub(super) struct PinBackup {
    /// Why, for whoever finds it: one line of at most 1000 bytes.
    pub(super) reason: Option<String>,
    /// Until when: a date, which is the end of it, a time in RFC 3339, or a time from now such as
    /// `30d`. Default: for ever.
    pub(super) until: Option<String>,
    /// The target that holds it; needed where several hold a backup of this id.
    pub(super) target: Option<String>,
}

impl Fields for PinBackup {
    const UNKNOWN: UnknownFields = UnknownFields::Refuse;
}
