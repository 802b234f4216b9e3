//! The program: arguments, log, runtime, and the exit code.

use std::process::ExitCode;

use clap::Parser;

use super::arguments::{Arguments, Command};
use super::exit_code::{DONE, FAILED, INTERRUPTED, USAGE, for_error};
use super::output::{be_quiet, print_line, print_stderr};
use super::signals::Signals;
use super::{commands, demo, logging, serve};
use crate::config::Overrides;
use crate::operations::{ArcBackup, descriptors};
use crate::{Error, Registry, Result};

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
        be_quiet();
    }
    if let Err(error) = logging::begin(&arguments.command, arguments.quiet) {
        return ExitCode::from(report_error(&error, json));
    }
    // At least two: work that takes a core for a moment must not block the service.
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            print_stderr!("error: cannot start: {error}");
            return ExitCode::from(FAILED);
        }
    };
    descriptors::raise_limit();
    let code = runtime.block_on(async {
        let signals = Signals::listen();
        let code = match run(arguments, &registry, &signals).await {
            Ok(code) => code,
            Err(error) => report_error(&error, json),
        };
        match code {
            FAILED if signals.were_received() => INTERRUPTED,
            code => code,
        }
    });
    // Blocking work of a cancelled operation must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    ExitCode::from(code)
}

/// Prints what is wrong with the arguments, or the answer to `--help` and `--version`.
fn refuse(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if json && error.use_stderr() {
        let text = error.to_string();
        let text = text.trim_start_matches("error: ").trim_end();
        print_line(&serde_json::json!({"error": text}).to_string());
    }
    // A reader that went away is not an error.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::from(DONE)
    }
}

/// Prints an error, and returns its exit code.
fn report_error(error: &Error, json: bool) -> u8 {
    if json {
        print_line(&serde_json::json!({"error": error.to_string()}).to_string());
    }
    print_stderr!("error: {error}");
    for_error(error)
}

async fn run(arguments: Arguments, registry: &Registry, signals: &Signals) -> Result<u8> {
    if let Some(folder) = &arguments.directory {
        std::env::set_current_dir(folder)
            .map_err(|e| Error::Config(format!("cannot enter `{}` (-C): {e}", folder.display())))?;
    }
    let json = arguments.json;
    match arguments.command {
        Command::Openapi => {
            print_line(&crate::api::document());
            return Ok(DONE);
        }
        Command::Demo { folder, listen } => {
            if arguments.config.is_some() {
                return Err(Error::Invalid(
                    "demo makes its own configuration: it can't be used with --config".to_owned(),
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
        command => commands::run(&engine, command, json, signals).await,
    };
    engine.settle().await;
    done
}
