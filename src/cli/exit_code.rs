//! The exit codes of the program.

use crate::Error;

/// Done.
pub(super) const DONE: u8 = 0;
/// Failed, or no such backup.
pub(super) const FAILED: u8 = 1;
/// Wrong arguments, ids or configuration.
pub(super) const USAGE: u8 = 2;
/// Another operation runs.
pub(super) const BUSY: u8 = 3;
/// Ended by a signal: the code that shells report for Ctrl-C.
pub(super) const INTERRUPTED: u8 = 130;

/// The exit code for an error.
pub(super) fn for_error(error: &Error) -> u8 {
    match error.root() {
        Error::Busy(_) => BUSY,
        Error::Config(_)
        | Error::InvalidId(_)
        | Error::Invalid(_)
        | Error::UnknownSchedule { .. } => USAGE,
        _ => FAILED,
    }
}
