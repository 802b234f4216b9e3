//! The arguments of `restore`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::selection_arguments::SelectionArguments;
use super::wait_arguments::WaitArguments;
use crate::operations::{ExtraFilesPolicy, Renames, TimeLimit};

#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// The backup: its id, the beginning of it, or `latest`.
    pub(super) id: String,
    #[command(flatten)]
    pub(super) selection: SelectionArguments,
    /// Leave the Parquet files as they are.
    #[arg(long, conflicts_with = "SelectionArguments")]
    pub(super) no_data: bool,
    /// Leave the SQLite databases as they are.
    #[arg(long)]
    pub(super) no_metadata: bool,
    /// With a part of the data: restore the SQLite databases too, which are left as they are then.
    #[arg(long, requires = "SelectionArguments", conflicts_with = "no_metadata")]
    pub(super) with_metadata: bool,
    /// Restore arc.toml too.
    #[arg(long)]
    pub(super) with_config: bool,
    /// What becomes of live files that the backup does not hold.
    #[arg(long, value_name = "POLICY", value_enum, default_value_t)]
    pub(super) extra_files: ExtraFiles,
    /// Restore an incomplete copy if there is no backup of that id.
    #[arg(long)]
    pub(super) allow_incomplete: bool,
    /// Verify all files that will be restored before the first write, also where the data is on S3
    /// or Azure.
    #[arg(long)]
    pub(super) verify_first: bool,
    /// Replace the live data by a backup of another instance, or of other data.
    #[arg(long)]
    pub(super) into_other_instance: bool,
    /// Omit files that are damaged in the backup, and restore the rest. Still ends as failed (exit
    /// code 1).
    #[arg(long)]
    pub(super) skip_damaged: bool,
    /// Restore this database under another name, and nothing else; may be given several times.
    #[arg(
        long,
        visible_alias = "database-mapping",
        value_name = "OLD:NEW",
        value_parser = Renames::parse_pair,
        conflicts_with_all = ["no_data", "with_config", "with_metadata"]
    )]
    pub(super) rename: Vec<(String, String)>,
    /// With --rename: also where there is a database of the new name, by the rules of any restore.
    #[arg(long, requires = "rename")]
    pub(super) over_existing: bool,
    /// Restore into this folder: a new instance that Arc can be started in. It must be empty or
    /// absent. The live data is not touched.
    #[arg(long, value_name = "DIR")]
    pub(super) to: Option<PathBuf>,
    /// Restore the data, and nothing else, to this storage of `[arc_backup.storages]`. It must be
    /// empty. The live data is not touched.
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = ["to", "no_data", "with_metadata", "with_config"]
    )]
    pub(super) to_storage: Option<String>,
    /// Show what it would do, with the id of this plan, and do nothing.
    #[arg(long, conflicts_with_all = ["plan", "yes"])]
    pub(super) dry_run: bool,
    /// Do exactly what this plan of `--dry-run` says, or fail before anything changes.
    #[arg(long, value_name = "PLAN")]
    pub(super) plan: Option<String>,
    /// How long it may take, such as 6h; 0 is no limit [default: backup.timeout, else 2h].
    #[arg(long, value_name = "DURATION", value_parser = TimeLimit::parse)]
    pub(super) timeout: Option<TimeLimit>,
    /// The target that holds it; needed where several do.
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
    /// Do not ask.
    #[arg(long)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) busy: WaitArguments,
}

/// What becomes of live files that the backup does not hold.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub(super) enum ExtraFiles {
    /// They are moved beside the storage root and kept.
    #[default]
    #[value(alias = "set_aside")]
    SetAside,
    /// They stay: Arc may serve rows twice.
    Keep,
    /// They are moved aside, and removed after everything else has succeeded.
    Remove,
}

impl From<ExtraFiles> for ExtraFilesPolicy {
    fn from(files: ExtraFiles) -> Self {
        match files {
            ExtraFiles::SetAside => Self::SetAside,
            ExtraFiles::Keep => Self::Keep,
            ExtraFiles::Remove => Self::Remove,
        }
    }
}
