//! What commands share: following an operation, asking, and ending on a signal.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use poem_openapi::types::ToJSON;

use super::actor::actor;
use super::arguments::WaitArguments;
use super::output::{follow, line};
use super::signals::Signals;
use super::summary;
use super::waiting::while_busy;
use super::{DONE, FAILED};
use crate::operations::{ArcBackup, Operation, TimedRequest, Who};
use crate::operations::{OperationKind, Origin};
use crate::{Error, Result};

pub(super) fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

/// Who asks on the command line.
pub(super) fn who() -> Who {
    Who {
        actor: actor(),
        origin: Origin::Cli,
        fingerprint: None,
        token: None,
    }
}

/// Runs an operation to its end, which a signal hastens.
pub(super) async fn run_operation(
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
            reason = signals.asked_to_end() => {
                // It ends as an operation does, with its entry in the history.
                let ((), started) = futures::join!(engine.close(reason), start);
                started
            }
        }
    });
    let running = started.await?;
    Ok(tokio::select! {
        ended = follow(&running) => ended,
        reason = signals.asked_to_end() => {
            running.cancel(reason);
            running.wait().await
        }
    })
}

/// The same, and prints how it ended.
pub(super) async fn operate(
    engine: &Arc<ArcBackup>,
    request: impl Into<TimedRequest>,
    busy: WaitArguments,
    json: bool,
    print_id: bool,
    signals: &Signals,
) -> Result<u8> {
    let ended = run_operation(engine, request, busy, signals).await?;
    if json {
        line(&ended.to_json_string());
    } else {
        if print_id && ended.error.is_none() {
            line(&ended.backup_id);
        }
        summary::print(&ended);
    }
    Ok(if ended.error.is_none() { DONE } else { FAILED })
}

/// What `work` gives, unless the process is asked to end before: it is dropped then.
pub(super) async fn or_interrupted<T>(
    signals: &Signals,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        done = work => done,
        reason = signals.asked_to_end() => Err(Error::Cancelled(reason.to_owned())),
    }
}

pub(super) async fn confirm(yes: bool, question: String, signals: &Signals) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::Invalid(
            "without a terminal to ask on, this needs --yes".to_owned(),
        ));
    }
    // On a thread of its own: a signal ends the waiting.
    let asked = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        write!(std::io::stderr(), "{question} [y/N] ")
            .and_then(|()| std::io::stderr().flush())
            .and_then(|()| std::io::stdin().read_line(&mut answer))
            .map(|_| answer)
    });
    let asked = async { Ok(asked.await) };
    match or_interrupted(signals, asked).await? {
        Ok(Ok(answer)) if ["y", "Y", "yes"].contains(&answer.trim()) => Ok(()),
        _ => Err(Error::Invalid(
            "not confirmed: nothing was changed".to_owned(),
        )),
    }
}

/// What finds out which backup is meant; where that fails, the attempt is recorded.
pub(super) async fn recorded<T>(
    engine: &Arc<ArcBackup>,
    operation: OperationKind,
    target: Option<&str>,
    signals: &Signals,
    found: impl Future<Output = Result<T>>,
) -> Result<T> {
    let found = or_interrupted(signals, found).await;
    if let Err(error) = &found {
        (engine.record_unresolved(operation, target, who(), error)).await;
    }
    found
}
