//! The arguments of the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;

use super::inside_arguments::{
    CatArguments, DiffArguments, ExportArguments, ExtractArguments, FilesArguments, ImportArguments,
};
use super::restore_arguments::RestoreArguments;
use super::retention_arguments::{PinArguments, PruneArguments, UnpinArguments};
use super::schedule_arguments::ScheduleArguments;
use super::selection_arguments::SelectionArguments;
use super::undo_arguments::{SetAsideArguments, UndoArguments};
use super::wait_arguments::{WaitArguments, duration};
use crate::backup_type::BackupType;
use crate::config::IncludeConfig;
use crate::operations::{ListPlace, OperationKind, TimeLimit, VerifyMode, check_label, check_note};
use crate::repository::BackupState;
use crate::times;

/// Backs up and restores an Arc time-series database.
#[derive(Debug, Parser)]
#[command(
    name = "arc-backup",
    version,
    about,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 busy, 130 ended by a signal."
)]
pub(super) struct Arguments {
    /// Work in this folder: relative paths of the configuration resolve against it, as Arc's do.
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub(super) directory: Option<PathBuf>,
    /// The configuration file [default: ./arc.toml, /etc/arc/arc.toml or ~/.arc/arc.toml, the first
    /// that exists].
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,
    /// Print one JSON document on standard output, and nothing else.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Print results, and errors; no progress, no warnings, no summary.
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
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
        /// Back up only the data of this database, without SQLite databases and arc.toml; may be
        /// given several times.
        #[arg(long = "database", value_name = "NAME")]
        databases: Vec<String>,
        /// With --database: include arc.toml.
        #[arg(long, requires = "databases", conflicts_with = "no_config")]
        with_config: bool,
        /// Omit the SQLite databases.
        #[arg(long)]
        no_metadata: bool,
        /// Omit arc.toml.
        #[arg(long, conflicts_with = "include_config")]
        no_config: bool,
        /// Whether the backup has arc.toml: true, false, or redacted, which puts the names of
        /// variables in the place of its secrets [default: backup.include_config, else redacted
        /// where the target is remote, and true on local disk].
        #[arg(long, value_name = "HOW", value_parser = include_config)]
        include_config: Option<IncludeConfig>,
        /// Reuse the unchanged files of the newest earlier backup [default: arc_backup.mode, else
        /// --full].
        #[arg(long, conflicts_with = "full")]
        incremental: bool,
        /// Copy every file.
        #[arg(long)]
        full: bool,
        /// Read the unchanged files too, here and in the earlier backup, and compare their SHA-256.
        #[arg(long)]
        rehash: bool,
        /// Fail before anything is copied if Arc could not be flushed.
        #[arg(long)]
        require_flush: bool,
        /// Give the backup this label, such as env=prod; may be given several times.
        #[arg(long = "label", value_name = "LABEL", value_parser = label)]
        labels: Vec<String>,
        /// Give the backup a note, for people.
        #[arg(long, value_name = "TEXT", value_parser = note)]
        note: Option<String>,
        /// The target to write to [default: backup.default_target, else local].
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
        /// Copy it to this target too once it has been made; may be given several times [default:
        /// arc_backup.copy_to].
        #[arg(long, value_name = "NAME")]
        copy_to: Vec<String>,
        /// Do not copy it to the targets of arc_backup.copy_to.
        #[arg(long, conflicts_with = "copy_to")]
        no_copy: bool,
        #[command(flatten)]
        busy: WaitArguments,
        /// How long it may take, such as 6h; 0 is no limit [default: backup.timeout, else 2h].
        #[arg(long, value_name = "DURATION", value_parser = TimeLimit::parse)]
        timeout: Option<TimeLimit>,
    },
    /// List the backups, newest first.
    List(ListArguments),
    /// Show what a backup is; its whole manifest with --json.
    Show {
        /// The backup: its id, the beginning of it, or `latest`.
        id: String,
        /// The target that holds it [default: the first that answers].
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
    },
    /// Show what a backup holds: the files and folders in one of its folders.
    Files(FilesArguments),
    /// Write one file of a backup to standard output, verified on the way.
    Cat(CatArguments),
    /// Show what is different in another backup, or in the live data.
    Diff(DiffArguments),
    /// Write files of a backup to a folder, each verified, and change nothing else.
    Extract(ExtractArguments),
    /// Write a backup to one file, verified on the way, which `import` takes.
    Export(ExportArguments),
    /// Take a backup from a file that `export` wrote, and print its id.
    Import(ImportArguments),
    /// Restore a backup over the live data.
    Restore(RestoreArguments),
    /// Take a restore back: what it replaced returns, and what it brought goes.
    Undo(UndoArguments),
    /// Show what restores have set aside, by operation; remove it with --remove.
    SetAside(SetAsideArguments),
    /// Verify a backup: every byte, unless an option says otherwise.
    Verify {
        /// The backup: its id, the beginning of it, or `latest`.
        id: String,
        /// Check only that every file exists with its size.
        #[arg(long, conflicts_with = "sample")]
        quick: bool,
        /// Read only a share of the files, such as 5%. Each sample continues where the last one
        /// ended: 20 of 5% read all.
        #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with = "SelectionArguments")]
        sample: Option<f64>,
        #[command(flatten)]
        selection: SelectionArguments,
        /// The target that holds it; needed where several do.
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
        /// How long it may take, such as 6h; 0 is no limit [default: backup.timeout, else 2h].
        #[arg(long, value_name = "DURATION", value_parser = TimeLimit::parse)]
        timeout: Option<TimeLimit>,
        #[command(flatten)]
        busy: WaitArguments,
    },
    /// Rehearse a restore: restore every file to a scratch folder, open it, and remove it.
    Rehearse {
        /// The backup: its id, the beginning of it, or `latest`.
        #[arg(default_value = "latest")]
        id: String,
        /// Only a share of the data files, such as 10%, another one each time. Databases and
        /// configuration are always restored.
        #[arg(long, value_name = "SHARE", value_parser = share)]
        share: Option<f64>,
        /// The target that holds it; needed where several do.
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
        /// How long it may take, such as 6h; 0 is no limit [default: backup.timeout, else 2h].
        #[arg(long, value_name = "DURATION", value_parser = TimeLimit::parse)]
        timeout: Option<TimeLimit>,
        #[command(flatten)]
        busy: WaitArguments,
    },
    /// Change the labels and the note of a backup.
    Label(LabelArguments),
    /// Copy a backup to another target: whole by itself, and verified on the way.
    ///
    /// What the target has already, in an earlier backup of the same instance or from an
    /// interrupted copy, is not moved again.
    Copy {
        /// The backup: its id, the beginning of it, or `latest`.
        id: String,
        /// The target to copy it to.
        #[arg(long, value_name = "NAME")]
        to: String,
        /// The target to copy it from [default: the one that holds it; of several, the one that it
        /// was made in].
        #[arg(long, value_name = "NAME")]
        from: Option<String>,
        /// How long it may take, such as 6h; 0 is no limit [default: backup.timeout, else 2h].
        #[arg(long, value_name = "DURATION", value_parser = TimeLimit::parse)]
        timeout: Option<TimeLimit>,
        #[command(flatten)]
        busy: WaitArguments,
    },
    /// Delete backups.
    Delete(DeleteArguments),
    /// Show which backups the retention rules keep; delete the others with --confirm.
    Prune(PruneArguments),
    /// Pin a backup: nothing deletes it until it is unpinned, or the pin expires.
    Pin(PinArguments),
    /// Remove the pin of a backup.
    Unpin(UnpinArguments),
    /// Cancel an operation that runs, and wait until it has ended.
    ///
    /// It may run in any process of this instance on this host: a command or the service. Exit code
    /// 0 when it has ended, 1 when none runs.
    Cancel {
        /// Its id [default: that which writes, else the only one that runs].
        #[arg(value_name = "OPERATION")]
        operation: Option<String>,
        /// How long to wait until it has ended [default: backup.stop_timeout plus 2 s].
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        wait: Option<Duration>,
    },
    /// Show the operation that runs, or ran last.
    Status,
    /// Show past operations, newest first.
    History(HistoryArguments),
    /// Show leftovers of interrupted operations; remove them with --apply.
    Sweep {
        /// Remove them, in the targets and beside the live data (staged files, snapshots).
        #[arg(long)]
        apply: bool,
        #[command(flatten)]
        busy: WaitArguments,
    },
    /// Show the schedules: what ran last, what failed, and what runs next.
    Schedules(ScheduleArguments),
    /// Check that everything the configuration names can be reached and used.
    Doctor,
    /// Check that the newest backup is recent, and verified recently: one line, exit code 0 or 1.
    Check(CheckArguments),
    /// Print the OpenAPI document of the REST API.
    Openapi,
    /// Make a small sample instance, and serve it.
    Demo {
        /// The folder to make it in.
        #[arg(value_name = "DIR", default_value = "arc-backup-demo")]
        folder: PathBuf,
        /// The address to listen on.
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
        listen: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// Print the ids of the backups only, newest first, one a line.
    #[arg(long, conflicts_with = "all")]
    pub(super) ids: bool,
    /// Only those of this target.
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
    /// Also list incomplete copies, with the files that they lack.
    #[arg(long)]
    pub(super) all: bool,
    /// Only those in this state: ok, unverified, damaged, archived, denied, incomplete.
    #[arg(long, value_name = "STATE", value_parser = state)]
    pub(super) state: Option<BackupState>,
    /// Only those with this label; given several times, only those with all of them.
    #[arg(long = "label", value_name = "LABEL", value_parser = label)]
    pub(super) labels: Vec<String>,
    /// Only those of this type: full, incremental.
    #[arg(long = "type", value_name = "TYPE", value_parser = backup_type)]
    pub(super) backup_type: Option<BackupType>,
    /// Only those that were made for this schedule.
    #[arg(long, value_name = "NAME")]
    pub(super) schedule: Option<String>,
    /// Only those that a pin keeps.
    #[arg(long)]
    pub(super) locked: bool,
    /// Only those that began longer ago than this, such as 30d.
    #[arg(long, value_name = "AGE", value_parser = duration)]
    pub(super) older_than: Option<Duration>,
    /// Only those of this instance: its name, or the beginning of the name, as in the list.
    #[arg(long, value_name = "NAME")]
    pub(super) instance: Option<String>,
    /// Also those of other instances, which Arc 27.01 names in its backups.
    #[arg(long)]
    pub(super) include_foreign: bool,
    /// Only those that began then or later: a date, a time in RFC 3339, or an age such as 7d.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) since: Option<Timestamp>,
    /// Only those that began then or earlier.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) until: Option<Timestamp>,
    /// Only those after this place, which the page before has printed.
    #[arg(long, value_name = "PLACE", value_parser = place)]
    pub(super) start_after: Option<ListPlace>,
    /// At most this many [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct LabelArguments {
    /// The backup: its id, the beginning of it, or `latest`.
    pub(super) id: String,
    /// Add this label, such as env=prod; may be given several times.
    #[arg(long, value_name = "LABEL", value_parser = label)]
    pub(super) add: Vec<String>,
    /// Remove this label; may be given several times.
    #[arg(long, value_name = "LABEL", value_parser = label)]
    pub(super) remove: Vec<String>,
    /// Set the note, for people.
    #[arg(long, value_name = "TEXT", value_parser = note, conflicts_with = "no_note")]
    pub(super) note: Option<String>,
    /// Remove the note.
    #[arg(long)]
    pub(super) no_note: bool,
    /// The target that holds it; needed where several do.
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArguments {
    /// The backups: their ids, or the beginnings of them.
    #[arg(required = true, value_name = "ID")]
    pub(super) ids: Vec<String>,
    /// The target that holds them; needed where several do.
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
    /// Do not ask.
    #[arg(long)]
    pub(super) yes: bool,
    /// Delete even if the target holds no good backup of all databases then.
    #[arg(long)]
    pub(super) even_last: bool,
    /// Print what this frees, and delete nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// How long it may take, such as 6h; 0 is no limit [default: backup.timeout, else 2h].
    #[arg(long, value_name = "DURATION", value_parser = TimeLimit::parse)]
    pub(super) timeout: Option<TimeLimit>,
    #[command(flatten)]
    pub(super) busy: WaitArguments,
}

#[derive(Debug, Args)]
pub(super) struct HistoryArguments {
    /// How many.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: u64,
    /// Only these.
    #[arg(long, value_name = "TYPE", value_parser = recorded_kinds())]
    pub(super) operation: Option<String>,
    /// Only those with this status.
    #[arg(long, value_name = "STATUS", value_parser = ["completed", "failed", "cancelled", "running"])]
    pub(super) status: Option<String>,
    /// Only those of this target.
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
    /// Only those that began then or later: a date, a time in RFC 3339, or an age such as 7d.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) since: Option<Timestamp>,
}

/// The kinds of operations that the history has.
fn recorded_kinds() -> PossibleValuesParser {
    let kinds = OperationKind::ALL.iter();
    let recorded = kinds.filter(|kind| kind.is_recorded());
    PossibleValuesParser::new(recorded.map(|kind| kind.as_str()))
}

fn state(text: &str) -> Result<BackupState, String> {
    let names = BackupState::ALL.map(BackupState::as_str).join(", ");
    BackupState::parse(text).ok_or_else(|| format!("expected one of {names}"))
}

fn backup_type(text: &str) -> Result<BackupType, String> {
    let names = BackupType::ALL.map(BackupType::as_str).join(", ");
    BackupType::parse(text).ok_or_else(|| format!("expected one of {names}"))
}

fn label(text: &str) -> Result<String, crate::Error> {
    check_label(text).map(|()| text.to_owned())
}

fn note(text: &str) -> Result<String, crate::Error> {
    check_note(text).map(|()| text.to_owned())
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let moment = times::parse_moment(text, Timestamp::now());
    moment.ok_or_else(|| format!("expected {}", times::MOMENT_FORM))
}

fn place(text: &str) -> Result<ListPlace, String> {
    let form = "expected the place that the page before has printed, or a backup id";
    ListPlace::parse(text).ok_or_else(|| form.to_owned())
}

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Only this target.
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
    /// How old the newest good backup may be, such as 26h [default: backup.check_max_age, else
    /// 26h].
    #[arg(long, value_name = "AGE", value_parser = duration)]
    pub(super) max_age: Option<Duration>,
    /// Within how long the last clean verification must be, such as 7d [default: none is required].
    #[arg(long, value_name = "AGE", value_parser = duration)]
    pub(super) verified_within: Option<Duration>,
    /// How many good backups each target must hold.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) min_backups: u64,
}

fn include_config(text: &str) -> Result<IncludeConfig, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(IncludeConfig::Whole),
        "false" => Ok(IncludeConfig::Omitted),
        IncludeConfig::REDACTED => Ok(IncludeConfig::Redacted),
        _ => Err(format!("it must be {}", IncludeConfig::VALUES)),
    }
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
