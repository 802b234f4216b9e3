//! Printing lines: results on standard output, everything else on standard error.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use super::exit_code::FAILED;

/// Prints a line on standard output. A reader that went away (`| head`) is not an error. Any other
/// failure to write an answer is one, and ends the program.
pub(super) fn print_line(text: &str) {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            write_stderr(&format!("error: cannot write to standard output: {error}"));
            std::process::exit(i32::from(FAILED));
        }
        _ => {}
    }
}

/// Prints a line on standard error, as `eprintln!` does, but without a panic where nobody reads it.
macro_rules! print_stderr {
    ($($argument:tt)*) => {
        $crate::cli::output::write_stderr(&format!($($argument)*))
    };
}
pub(super) use print_stderr;

/// Prints a line on standard error that is not an error. With `--quiet` it is not printed.
macro_rules! print_note {
    ($($argument:tt)*) => {
        if !$crate::cli::output::is_quiet() {
            $crate::cli::output::write_stderr(&format!($($argument)*));
        }
    };
}
pub(super) use print_note;

/// Whether only errors are printed on standard error.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on, only errors are printed on standard error.
pub(super) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

pub(super) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Writes a line to standard error.
pub(super) fn write_stderr(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", escaped(text));
}

/// The text with its control characters escaped: names of files may hold some that a terminal
/// obeys.
pub(super) fn escaped(text: &str) -> String {
    (text.chars())
        .flat_map(|c| {
            let (plain, escaped) = if c.is_control() {
                (None, Some(c.escape_default()))
            } else {
                (Some(c), None)
            };
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}
