//! Runs an operation to its end, and prints how it ended.

use std::sync::Arc;

use super::actor::who;
use super::exit_code::{DONE, FAILED};
use super::output::print_line;
use super::progress::follow;
use super::signals::Signals;
use super::wait_arguments::WaitArguments;
use super::waiting::while_busy;
use super::{json, summary};
use crate::Result;
use crate::operations::{ArcBackup, Operation, OperationKind, TimedRequest};

/// What a command prints on standard output when its operation has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The operation, as a JSON document.
    Json,
    /// The id of the backup.
    Id,
    /// Nothing.
    Nothing,
}

impl Answer {
    /// JSON where it is asked for, otherwise nothing.
    pub(super) fn json_or_nothing(json: bool) -> Self {
        match json {
            true => Self::Json,
            false => Self::Nothing,
        }
    }

    /// JSON where it is asked for, otherwise the id.
    pub(super) fn json_or_id(json: bool) -> Self {
        match json {
            true => Self::Json,
            false => Self::Id,
        }
    }
}

/// Runs an operation to its end. A signal cancels it.
pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    request: impl Into<TimedRequest>,
    busy: WaitArguments,
    signals: &Signals,
) -> Result<Operation> {
    let request = request.into();
    let started = while_busy(busy, signals, async || {
        let start = engine.start(request.clone(), who());
        tokio::pin!(start);
        tokio::select! {
            biased;
            started = &mut start => started,
            reason = signals.received() => {
                // It ends as an operation does, with its entry in the history.
                let ((), started) = futures::join!(engine.close(reason), start);
                started
            }
        }
    });
    let running = started.await?;
    Ok(tokio::select! {
        ended = follow(&running) => ended,
        reason = signals.received() => {
            running.cancel(reason);
            running.wait().await
        }
    })
}

/// Runs an operation to its end, and prints how it ended.
pub(super) async fn run_and_print(
    engine: &Arc<ArcBackup>,
    request: impl Into<TimedRequest>,
    busy: WaitArguments,
    answer: Answer,
    signals: &Signals,
) -> Result<u8> {
    let ended = run(engine, request, busy, signals).await?;
    let code = match ended.error {
        None => DONE,
        Some(_) => FAILED,
    };
    if answer == Answer::Id && ended.error.is_none() {
        print_line(&ended.backup_id);
    }
    match answer {
        Answer::Json => print_line(&json::operation(ended)),
        Answer::Id | Answer::Nothing => summary::print(&ended),
    }
    Ok(code)
}

/// Finds the backup of an operation. Where that fails, the attempt is recorded in the history.
pub(super) async fn recorded<T>(
    engine: &Arc<ArcBackup>,
    operation: OperationKind,
    target: Option<&str>,
    signals: &Signals,
    found: impl Future<Output = Result<T>>,
) -> Result<T> {
    let found = signals.or_interrupted(found).await;
    if let Err(error) = &found {
        (engine.record_unresolved(operation, target, who(), error)).await;
    }
    found
}
