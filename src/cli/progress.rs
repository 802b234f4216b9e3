//! The progress of an operation, on standard error.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::figures;
use super::output::{is_quiet, print_stderr};
use crate::operations::{Operation, Phase, Running};
use crate::times;

/// How long an operation runs before its progress is printed in a plain line.
const FIRST_LINE: Duration = Duration::from_secs(2);
/// How long until the next one.
const NEXT_LINE: Duration = Duration::from_secs(10);

/// Shows the progress of an operation until it has ended: a bar on a terminal, a plain line now and
/// then elsewhere.
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
                if is_counting(&now) {
                    print_stderr!(
                        "{}: {} files, {}",
                        now.phase.map_or("running", Phase::as_str),
                        now.processed_files,
                        figures::size(now.processed_bytes),
                    );
                    wait = NEXT_LINE;
                    continue;
                }
                let left = now.eta_seconds.filter(|_| has_begun(&now)).map(Duration::from_secs);
                print_stderr!(
                    "{}: {}/{} files, {}/{}{}",
                    now.phase.map_or("running", Phase::as_str),
                    now.processed_files,
                    now.total_files,
                    figures::size(now.processed_bytes),
                    figures::size(now.total_bytes),
                    left.map_or_else(String::new, |left| format!(", {} left", times::long(left))),
                );
                wait = NEXT_LINE;
            }
        }
    }
}

/// Whether the total grows with what is done, so that neither says how much is left.
fn is_counting(operation: &Operation) -> bool {
    operation.phase == Some(Phase::Reusing)
}

/// Whether the total is known, and some of it is done.
fn has_begun(operation: &Operation) -> bool {
    operation.total_bytes > 0 && operation.processed_bytes > 0 && !is_counting(operation)
}

/// Before the total is known: what was found so far.
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
            let phase = operation.phase.map_or("starting", Phase::as_str);
            // The texts before the style: each call may draw.
            if has_begun(&operation) {
                bar.set_prefix(phase.to_owned());
                bar.set_message(figures_of_bar(&operation));
                bar.set_length(operation.total_bytes);
                bar.set_position(operation.processed_bytes);
            } else {
                let size = figures::size(operation.total_bytes);
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
        figures::size(operation.processed_bytes),
        figures::size(operation.total_bytes)
    );
    if let Some(rate) = operation.bytes_per_second {
        text.push_str(&format!("  {}/s", figures::size(rate)));
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
