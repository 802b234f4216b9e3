//! What is printed.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::operations::{Operation, Running};

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

/// Names of files may hold what a terminal obeys: control characters are shown, never sent.
pub(super) fn print_error(text: &str) {
    let shown: String = (text.chars())
        .flat_map(|c| {
            let (plain, escaped) = if c.is_control() {
                (None, Some(c.escape_default()))
            } else {
                (Some(c), None)
            };
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect();
    let _ = writeln!(std::io::stderr(), "{shown}");
}

/// How long an operation runs before a plain line tells how far it is, and how long until the next.
const FIRST_LINE: Duration = Duration::from_secs(2);
const NEXT_LINE: Duration = Duration::from_secs(10);

/// Shows the progress of an operation on standard error until it has ended: a bar on a terminal, now and then a plain
/// line elsewhere.
pub(super) async fn follow(running: &Running) -> Operation {
    if std::io::stderr().is_terminal() {
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
                complain!(
                    "{}: {}/{} files, {}/{}",
                    now.phase.as_deref().unwrap_or("running"),
                    now.processed_files,
                    now.total_files,
                    HumanBytes(now.processed_bytes),
                    HumanBytes(now.total_bytes),
                );
                wait = NEXT_LINE;
            }
        }
    }
}

async fn follow_with_bar(running: &Running) -> Operation {
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template(
            "{msg:12} {wide_bar} {percent:>3}%  {bytes}/{total_bytes}  {bytes_per_sec}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let watch = async {
        loop {
            let operation = running.snapshot();
            bar.set_length(operation.total_bytes);
            bar.set_position(operation.processed_bytes);
            bar.set_message(operation.phase.unwrap_or_default());
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

/// Tells of an ended operation in words, on standard error.
pub(super) fn tell(operation: &Operation) {
    for problem in operation.problems.iter().take(50) {
        complain!("{}: {} ({})", problem.path, problem.detail, problem.kind);
    }
    if operation.problem_count > 50 {
        complain!(
            "… and {} more problems (all with --json)",
            operation.problem_count - 50
        );
    }
    for warning in &operation.warnings {
        complain!("warning: {warning}");
    }
    for omitted in &operation.not_included {
        complain!("not included: {omitted}");
    }
    if let Some(count) = operation.special_files {
        complain!(
            "not included: {count} links or special files: {}",
            operation.special_sample.join(", ")
        );
    }
    if let Some(count) = operation.unaddressable_files {
        complain!(
            "not included: {count} files whose names no key can carry: {}",
            operation.unaddressable_sample.join(", ")
        );
    }
    if let Some(copy) = &operation.incomplete_copy {
        complain!("kept as an incomplete copy: {copy}");
    }
    if let Some(sample) = &operation.sample {
        complain!(
            "a sample: {} of {} files, {} of {}{}",
            operation.processed_files,
            sample.of_files,
            HumanBytes(operation.processed_bytes),
            HumanBytes(sample.of_bytes),
            sample.covered.map_or_else(String::new, |covered| format!(
                "; samples have read {:.0}% of the backup since they began anew",
                (covered * 100.0).floor()
            )),
        );
    }
    if let Some(count) = operation.set_aside_files.filter(|count| *count > 0) {
        let place = operation
            .set_aside_location
            .as_deref()
            .unwrap_or("nowhere any more: removed");
        complain!("{count} live files set aside: {place}");
    }
    for kept in &operation.kept {
        complain!("kept what was there: {kept}");
    }
    if operation.restart_required == Some(true) {
        complain!("restart Arc: it keeps tokens and configuration in memory");
    }
    match &operation.error {
        Some(error) => complain!(
            "{} {} {}: {error}",
            operation.operation,
            operation.backup_id,
            operation.status.as_str()
        ),
        None => complain!(
            "{} {} {}: {} files, {}",
            operation.operation,
            operation.backup_id,
            if operation.verified == Some(false) {
                "completed (unverified: Arc's own backup)"
            } else {
                "completed"
            },
            operation.processed_files,
            HumanBytes(operation.processed_bytes)
        ),
    }
}
