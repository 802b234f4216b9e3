//! What is printed.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::words;
use crate::operations::Phase;
use crate::operations::{Operation, Running};
use crate::times;

/// Prints a line on standard output. A reader that went away (`| head`) is no fault; an answer that could not be
/// written otherwise is, and ends the program.
pub(super) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            print_error(&format!("error: cannot write to standard output: {error}"));
            std::process::exit(i32::from(super::FAILED));
        }
        _ => {}
    }
}

/// Prints a line on standard error, as `eprintln!` does, but without a panic where nobody reads it.
macro_rules! complain {
    ($($argument:tt)*) => {
        $crate::cli::output::print_error(&format!($($argument)*))
    };
}
pub(super) use complain;

/// Prints a line on standard error that is no error: with `--quiet` it is not printed.
macro_rules! note {
    ($($argument:tt)*) => {
        if !$crate::cli::output::is_quiet() {
            $crate::cli::output::print_error(&format!($($argument)*));
        }
    };
}
pub(super) use note;

/// Whether only errors go to standard error.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From here on only errors go to standard error.
pub(super) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

pub(super) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

pub(super) fn print_error(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", escaped(text));
}

/// Names of files may hold what a terminal obeys: control characters are shown, never sent.
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

/// How long an operation runs before a plain line tells how far it is, and how long until the next.
const FIRST_LINE: Duration = Duration::from_secs(2);
const NEXT_LINE: Duration = Duration::from_secs(10);

/// Shows the progress of an operation on standard error until it has ended: a bar on a terminal, now and then a plain
/// line elsewhere.
pub(super) async fn follow(running: &Running) -> Operation {
    if is_quiet() {
        running.wait().await
    } else if std::io::stderr().is_terminal() {
        follow_with_bar(running).await
    } else {
        follow_with_lines(running).await
    }
}

async fn follow_with_lines(running: &Running) -> Operation {
    let mut wait = FIRST_LINE;
    loop {
        tokio::select! {
            ended = running.wait() => return ended,
            () = tokio::time::sleep(wait) => {
                let now = running.snapshot();
                let left = now.eta_seconds.filter(|_| has_begun(&now)).map(Duration::from_secs);
                complain!(
                    "{}: {}/{} files, {}/{}{}",
                    now.phase.map(Phase::as_str).unwrap_or("running"),
                    now.processed_files,
                    now.total_files,
                    words::size(now.processed_bytes),
                    words::size(now.total_bytes),
                    left.map_or_else(String::new, |left| format!(", {} left", times::long(left))),
                );
                wait = NEXT_LINE;
            }
        }
    }
}

/// Whether it is known how much there is to do, and some of it is done.
fn has_begun(operation: &Operation) -> bool {
    operation.total_bytes > 0 && operation.processed_bytes > 0
}

/// Before it is known how much there is to do: what was found so far.
const SPINNER: &str = "{spinner} {msg}";
const BAR: &str = "{prefix:12} {wide_bar} {percent:>3}%  {msg}";

async fn follow_with_bar(running: &Running) -> Operation {
    let style = |template: &str, default: fn() -> ProgressStyle| {
        ProgressStyle::with_template(template).unwrap_or_else(|_| default())
    };
    let bar = ProgressBar::new_spinner().with_style(style(SPINNER, ProgressStyle::default_spinner));
    let watch = async {
        let mut is_bar = false;
        loop {
            let operation = running.snapshot();
            let phase = operation.phase.map(Phase::as_str).unwrap_or("starting");
            // The texts before the style: each of these may draw.
            if has_begun(&operation) {
                bar.set_prefix(phase.to_owned());
                bar.set_message(figures_of_bar(&operation));
                bar.set_length(operation.total_bytes);
                bar.set_position(operation.processed_bytes);
            } else {
                let size = words::size(operation.total_bytes);
                bar.set_message(format!("{phase}: {} files, {size}", operation.total_files));
                bar.tick();
            }
            if has_begun(&operation) != is_bar {
                is_bar = !is_bar;
                bar.set_style(match is_bar {
                    true => style(BAR, ProgressStyle::default_bar),
                    false => style(SPINNER, ProgressStyle::default_spinner),
                });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let ended = tokio::select! {
        ended = running.wait() => ended,
        never = watch => never,
    };
    bar.finish_and_clear();
    ended
}

/// `1.20/5.00 GiB  512 MiB/s  6s left`.
fn figures_of_bar(operation: &Operation) -> String {
    let mut text = format!(
        "{}/{}",
        words::size(operation.processed_bytes),
        words::size(operation.total_bytes)
    );
    if let Some(rate) = operation.bytes_per_second {
        text.push_str(&format!("  {}/s", words::size(rate)));
    }
    if let Some(seconds) = operation
        .eta_seconds
        .filter(|_| operation.processed_bytes > 0)
    {
        text.push_str(&format!(
            "  {} left",
            times::long(Duration::from_secs(seconds))
        ));
    }
    text
}
