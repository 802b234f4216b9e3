//! The command line.

mod actor;
mod arguments;
mod cancel;
mod check;
mod common;
mod delete;
mod demo;
mod doctor;
mod history;
mod ids;
mod list;
mod logging;
mod operate;
mod output;
mod restore;
mod restore_preview;
mod serve;
mod show;
mod signals;
mod summary;
mod sweep;
mod table;
mod waiting;
mod words;

use std::process::ExitCode;

use clap::Parser;

use crate::config::Overrides;
use crate::operations::{ArcBackup, descriptors};
use crate::{Error, Registry, Result};
use arguments::{Arguments, Command};
use output::complain;
use signals::Signals;

/// Done.
const DONE: u8 = 0;
/// Failed, or no such backup.
const FAILED: u8 = 1;
/// Used wrongly: arguments, ids, configuration.
const USAGE: u8 = 2;
/// Another operation runs.
const BUSY: u8 = 3;
/// A signal ended it: what shells answer for Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Runs the program with the backends and sources of `registry`, on the process's own arguments.
///
/// Exit codes: 0 done, 1 failed, 2 usage, 3 busy, 130 ended by a signal.
#[must_use]
pub fn main(registry: Registry) -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let json = arguments.json;
    if arguments.quiet {
        output::be_quiet();
    }
    if let Err(error) = logging::begin(&arguments.command, arguments.quiet) {
        return ExitCode::from(report_error(&error, json));
    }
    // Two at least: work that takes a core for a moment must not hold up the service.
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            complain!("error: cannot start: {error}");
            return ExitCode::from(FAILED);
        }
    };
    descriptors::raise_limit();
    let code = runtime.block_on(async {
        let signals = Signals::heed();
        let code = match run(arguments, &registry, &signals).await {
            Ok(code) => code,
            Err(error) => report_error(&error, json),
        };
        match code {
            FAILED if signals.were_asked() => INTERRUPTED,
            code => code,
        }
    });
    // Blocking work that a cancelled operation left must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    ExitCode::from(code)
}

/// Tells what is wrong with the arguments, or what was asked of the program itself (`--help`).
fn refuse(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if json && error.use_stderr() {
        let text = error.to_string();
        let text = text.trim_start_matches("error: ").trim_end();
        output::line(&serde_json::json!({"error": text}).to_string());
    }
    // A reader that went away is no fault.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::from(DONE)
    }
}

/// Tells of an error, and answers the exit code for it.
fn report_error(error: &Error, json: bool) -> u8 {
    if json {
        output::line(&serde_json::json!({"error": error.to_string()}).to_string());
    }
    complain!("error: {error}");
    exit_code(error)
}

fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Busy(_) => BUSY,
        Error::Config(_) | Error::InvalidId(_) | Error::Invalid(_) => USAGE,
        _ => FAILED,
    }
}

async fn run(arguments: Arguments, registry: &Registry, signals: &Signals) -> Result<u8> {
    if let Some(folder) = &arguments.directory {
        std::env::set_current_dir(folder)
            .map_err(|e| Error::Config(format!("cannot enter `{}` (-C): {e}", folder.display())))?;
    }
    let json = arguments.json;
    match arguments.command {
        Command::Openapi => {
            output::line(&crate::api::document());
            return Ok(DONE);
        }
        Command::Demo { folder, listen } => {
            if arguments.config.is_some() {
                return Err(Error::Invalid(
                    "demo makes a configuration of its own: --config does not go with it"
                        .to_owned(),
                ));
            }
            return demo::run(&folder, &listen, json, registry, signals).await;
        }
        _ => {}
    }
    let settings = registry.settings(&Overrides {
        config: arguments.config,
        ..Overrides::default()
    })?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let engine = ArcBackup::new(settings, registry)?;
    let done = match arguments.command {
        Command::Serve { listen } => {
            serve::run(engine.clone(), listen.as_deref(), json, signals).await
        }
        command => operate::run(&engine, command, json, signals).await,
    };
    engine.settle().await;
    done
}
