//! The log, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::arguments::Command;
use crate::{Error, Result};

/// Says what is logged: directives as of `RUST_LOG`.
const FILTER: &str = "ARC_BACKUP_LOG";
/// Says how: `text` or `json`, one object a line.
const FORMAT: &str = "ARC_BACKUP_LOG_FORMAT";

/// Begins to log, as much as suits the command and its environment says.
///
/// # Errors
/// [`Error::Config`] for a format that is none.
pub(super) fn begin(command: &Command, is_quiet: bool) -> Result<()> {
    let default = match command {
        _ if is_quiet => "error,arc_backup::audit=off,aws_config=error",
        Command::Serve { .. } | Command::Demo { .. } => "info,aws_config=error",
        // A command says by itself how its operation ended. Whoever hands out AWS's credentials is
        // warned of in every attempt, with all of a request and its answer; the error has the cause
        // in short.
        _ => "warn,arc_backup::audit=off,aws_config=error",
    };
    let filter = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter);
    let format = std::env::var(FORMAT).unwrap_or_default();
    match format.as_str() {
        "" | "text" => log
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal())
            .init(),
        "json" => log
            .json()
            .with_current_span(false)
            .with_span_list(false)
            .init(),
        other => {
            return Err(Error::Config(format!(
                "`{FORMAT}` must be `text` or `json`, not {other:?}"
            )));
        }
    }
    Ok(())
}
