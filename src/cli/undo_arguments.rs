//! The arguments of `undo` and `set-aside`.

use clap::Args;

use super::wait_arguments::WaitArguments;
use crate::operations::TimeLimit;

#[derive(Debug, Args)]
pub(super) struct UndoArguments {
    /// The operation that restored, as `history` and `set-aside` name it.
    pub(super) operation: String,
    /// Print what it does, and do nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub(super) yes: bool,
    /// How long it may take, such as 6h; 0 is no limit [default: backup.timeout, else 2h].
    #[arg(long, value_name = "DURATION", value_parser = TimeLimit::parse)]
    pub(super) timeout: Option<TimeLimit>,
    #[command(flatten)]
    pub(super) busy: WaitArguments,
}

#[derive(Debug, Args)]
pub(super) struct SetAsideArguments {
    /// Remove what this operation has set aside: afterwards it can't be taken back.
    #[arg(long, value_name = "OPERATION", requires = "confirm")]
    pub(super) remove: Option<String>,
    /// Confirm the removal.
    #[arg(long, requires = "remove")]
    pub(super) confirm: bool,
}
