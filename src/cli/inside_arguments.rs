//! The arguments of the commands that look inside a backup.

use std::path::PathBuf;

use clap::Args;

use super::selection_arguments::SelectionArguments;
use super::wait_arguments::WaitArguments;
use crate::operations::TimeLimit;

#[derive(Debug, Args)]
pub(super) struct FilesArguments {
    /// The backup: its id, the beginning of it, or `latest`.
    pub(super) id: String,
    /// The folder, such as data/iot, or a file [default: the backup itself].
    #[arg(default_value = "", hide_default_value = true)]
    pub(super) path: String,
    /// List every file, and not what is right in the folder.
    #[arg(short, long)]
    pub(super) recursive: bool,
    /// The target that holds it [default: the first that answers].
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct CatArguments {
    /// The backup: its id, the beginning of it, or `latest`.
    pub(super) id: String,
    /// The file, as `files` lists it: data/iot/cpu/…, metadata/arc.db, config/arc.toml.
    pub(super) path: String,
    /// The target that holds it [default: the first that answers].
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct DiffArguments {
    /// The older backup: its id, the beginning of it, or `latest`.
    pub(super) a: String,
    /// The backup that it is compared with; without one, --live is needed.
    pub(super) b: Option<String>,
    /// Compare it with the live data, by a listing and without reading a file.
    #[arg(long, conflicts_with = "b")]
    pub(super) live: bool,
    /// List every file that is different.
    #[arg(long)]
    pub(super) files: bool,
    #[command(flatten)]
    pub(super) selection: SelectionArguments,
    /// The target that holds the backups [default: the first that answers].
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// The backup: its id, the beginning of it, or `latest`.
    pub(super) id: String,
    /// The new file, such as backup.tar.zst; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub(super) to: PathBuf,
    /// The target that holds it; needed where several do.
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
    /// How long it may take, such as 6h; 0 is no limit [default: backup.timeout, else 2h].
    #[arg(long, value_name = "DURATION", value_parser = TimeLimit::parse)]
    pub(super) timeout: Option<TimeLimit>,
    #[command(flatten)]
    pub(super) busy: WaitArguments,
}

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The archive, as `export` wrote it.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The target to import it into [default: backup.default_target, else local].
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
    /// How long it may take, such as 6h; 0 is no limit [default: backup.timeout, else 2h].
    #[arg(long, value_name = "DURATION", value_parser = TimeLimit::parse)]
    pub(super) timeout: Option<TimeLimit>,
    #[command(flatten)]
    pub(super) busy: WaitArguments,
}

#[derive(Debug, Args)]
pub(super) struct ExtractArguments {
    /// The backup: its id, the beginning of it, or `latest`.
    pub(super) id: String,
    /// The folder to write to: a new or an empty one.
    #[arg(long, value_name = "DIR")]
    pub(super) to: PathBuf,
    #[command(flatten)]
    pub(super) selection: SelectionArguments,
    /// The target that holds it; needed where several do.
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
    /// How long it may take, such as 6h; 0 is no limit [default: backup.timeout, else 2h].
    #[arg(long, value_name = "DURATION", value_parser = TimeLimit::parse)]
    pub(super) timeout: Option<TimeLimit>,
    #[command(flatten)]
    pub(super) busy: WaitArguments,
}
