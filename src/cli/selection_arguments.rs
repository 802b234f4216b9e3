//! The options that select a part of the data.

use clap::Args;

use crate::operations::DataSelection;

/// The part of the data that a command is about.
#[derive(Debug, Args)]
pub(super) struct SelectionArguments {
    /// Only this database (iot), this measurement (iot.cpu) or the files whose path under the
    /// storage root matches (iot/cpu/2026/**); with globs, and may be given several times.
    #[arg(long, value_name = "WHAT")]
    include: Vec<String>,
    /// All but this, written in the same way; may be given several times.
    #[arg(long, value_name = "WHAT")]
    exclude: Vec<String>,
    /// Only data from this time on: a date, RFC 3339, or an age such as 2d or "2 days ago". In full
    /// hours.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only data before this time; a date is the first second of the day.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl From<SelectionArguments> for DataSelection {
    fn from(arguments: SelectionArguments) -> Self {
        let SelectionArguments {
            include,
            exclude,
            from,
            until,
        } = arguments;
        Self {
            include,
            exclude,
            from,
            until,
        }
    }
}
