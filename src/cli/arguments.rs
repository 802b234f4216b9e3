//! What the command line takes.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::operations::{ExtraFilesPolicy, TimeLimit, VerifyMode};

/// Backs up and restores an Arc time-series database.
#[derive(Debug, Parser)]
#[command(
    name = "arc-backup",
    version,
    about,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 busy."
)]
pub(super) struct Arguments {
    /// Work in this folder: relative paths of the configuration resolve against it, as Arc's do.
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub(super) directory: Option<PathBuf>,
    /// The configuration file [default: ./arc.toml, /etc/arc/arc.toml or ~/.arc/arc.toml, the first that exists].
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,
    /// Print one JSON document on standard output, and nothing else.
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the REST API.
    Serve {
        /// The address to listen on [default: backup.listen, else 127.0.0.1:8001].
        #[arg(long, value_name = "ADDR")]
        listen: Option<String>,
    },
    /// Make a backup, and print its id.
    Backup {
        /// Leave out the SQLite databases.
        #[arg(long)]
        no_metadata: bool,
        /// Leave out arc.toml.
        #[arg(long)]
        no_config: bool,
        /// The target to write to [default: backup.default_target, else local].
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
        /// How long it may take, such as 6h; 0 is no limit [default: backup.timeout, else 2h].
        #[arg(long, value_name = "DURATION", value_parser = TimeLimit::parse)]
        timeout: Option<TimeLimit>,
    },
    /// List the backups, newest first.
    List {
        /// Only those of this target.
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
        /// Also incomplete copies: what could be read of a source with files that could not.
        #[arg(long)]
        all: bool,
    },
    /// Show the manifest of a backup.
    Show {
        /// The backup's id.
        id: String,
        /// The target that holds it [default: the first that answers].
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
    },
    /// Restore a backup over the live data.
    Restore(RestoreArguments),
    /// Check a backup: every byte, unless told otherwise.
    Verify {
        /// The backup's id.
        id: String,
        /// Only that every file is there, with its size.
        #[arg(long, conflicts_with = "sample")]
        quick: bool,
        /// Read a share of the files only, such as 5%: those whose turn it is, so that 20 of 5% read all.
        #[arg(long, value_name = "SHARE", value_parser = share)]
        sample: Option<f64>,
        /// The target that holds it; needed where several do.
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
        /// How long it may take, such as 6h; 0 is no limit [default: backup.timeout, else 2h].
        #[arg(long, value_name = "DURATION", value_parser = TimeLimit::parse)]
        timeout: Option<TimeLimit>,
    },
    /// Delete a backup.
    Delete {
        /// The backup's id.
        id: String,
        /// The target that holds it; needed where several do.
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// How long it may take, such as 6h; 0 is no limit [default: backup.timeout, else 2h].
        #[arg(long, value_name = "DURATION", value_parser = TimeLimit::parse)]
        timeout: Option<TimeLimit>,
    },
    /// Show the operation that runs, or ran last.
    Status,
    /// Show past operations, newest first.
    History {
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u64,
    },
    /// Show what interrupted operations have left in the targets; remove it with --apply.
    Sweep {
        /// Remove it, and what they have left beside the live data: staged files, views that backups held on to.
        #[arg(long)]
        apply: bool,
    },
    /// Check that everything the configuration names can be reached and used.
    Doctor,
    /// Print the OpenAPI document of the REST API.
    Openapi,
    /// Make a small sample instance, and serve it.
    Demo {
        /// Where.
        #[arg(value_name = "DIR", default_value = "arc-backup-demo")]
        folder: PathBuf,
        /// The address to listen on.
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
        listen: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// The backup's id.
    pub(super) id: String,
    /// Leave the Parquet files as they are.
    #[arg(long)]
    pub(super) no_data: bool,
    /// Leave the SQLite databases as they are.
    #[arg(long)]
    pub(super) no_metadata: bool,
    /// Restore arc.toml too.
    #[arg(long)]
    pub(super) with_config: bool,
    /// What becomes of live files that the backup does not hold.
    #[arg(long, value_name = "POLICY", value_enum, default_value_t)]
    pub(super) extra_files: ExtraFilesPolicy,
    /// Take an incomplete copy too, where there is no backup of that id.
    #[arg(long)]
    pub(super) allow_incomplete: bool,
    /// Read all that will be restored before the first write, also where the data is on S3 or Azure.
    #[arg(long)]
    pub(super) verify_first: bool,
    /// Replace what is live here by a backup of another instance, or of other data.
    #[arg(long)]
    pub(super) into_other_instance: bool,
    /// Leave out what is damaged in the backup, and restore the rest; ends as failed (exit code 1) all the same.
    #[arg(long)]
    pub(super) skip_damaged: bool,
    /// How long it may take, such as 6h; 0 is no limit [default: backup.timeout, else 2h].
    #[arg(long, value_name = "DURATION", value_parser = TimeLimit::parse)]
    pub(super) timeout: Option<TimeLimit>,
    /// The target that holds it; needed where several do.
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
    /// Do not ask.
    #[arg(long)]
    pub(super) yes: bool,
}

pub(super) fn mode(quick: bool, sample: Option<f64>) -> VerifyMode {
    match (quick, sample) {
        (true, _) => VerifyMode::Quick,
        (false, Some(share)) => VerifyMode::Sample(share),
        (false, None) => VerifyMode::Full,
    }
}

fn share(text: &str) -> Result<f64, String> {
    let percent: f64 = text
        .trim_end_matches('%')
        .parse()
        .map_err(|_| "expected a share such as 5%".to_owned())?;
    if percent > 0.0 && percent <= 100.0 {
        Ok(percent / 100.0)
    } else {
        Err("expected more than 0% and at most 100%".to_owned())
    }
}
