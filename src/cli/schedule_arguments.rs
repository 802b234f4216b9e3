//! The arguments of `schedules`.

use clap::{Args, Subcommand};

use super::wait_arguments::WaitArguments;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ScheduleArguments {
    /// Only this schedule.
    #[arg(value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Show the next ten runs, and what retention would keep in 30 days.
    #[arg(long)]
    pub(super) preview: bool,
    #[command(subcommand)]
    pub(super) command: Option<ScheduleCommand>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ScheduleCommand {
    /// Run a schedule now: its backup, and what follows it. Print the backup's id.
    Run {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        busy: WaitArguments,
    },
    /// Pause a schedule: it does not run until it is resumed.
    Pause {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Resume a schedule.
    Resume {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
    },
}
