//! Starting an operation, and the answer to that.

use std::sync::Arc;
use std::time::Duration;

use poem_openapi::payload::Json;
use poem_openapi::types::ToJSON;

use super::answers::{Accepted, POLL_AFTER_SECS, Started, location};
use super::app::Shared;
use super::faults::{Fault, body};
use super::idempotency::{Asked, HEADER, Key};
use crate::auth::Identity;
use crate::manifest::BackupId;
use crate::operations::Origin;
use crate::operations::{
    Operation, Request, RestoreOptions, RestorePreview, Running, TimeLimit, TimedRequest, Who,
};

pub(super) fn who(identity: Identity) -> Who {
    Who {
        actor: identity.name,
        origin: Origin::Rest,
        fingerprint: Some(identity.fingerprint),
        token: None,
    }
}

pub(super) fn accepted(
    operation: &Operation,
    message: impl Into<String>,
    restart_required: Option<bool>,
    warnings: Vec<String>,
) -> Accepted {
    Accepted {
        message: message.into(),
        status: "running".to_owned(),
        backup_id: operation.backup_id.clone(),
        operation_id: operation.operation_id.clone(),
        restart_required,
        restore: None,
        warnings,
    }
}

/// The 202 of an operation that was accepted.
pub(super) fn answered(accepted: Accepted) -> Started {
    let location = location(&accepted.operation_id);
    Started::Accepted(Json(accepted), location, POLL_AFTER_SECS)
}

/// How long a restore is looked at before it begins.
const PREVIEW_TIMEOUT: Duration = Duration::from_secs(5);

/// What a restore is going to do; `None` where another operation runs, or that takes too long:
/// whatever else is against it says the start.
pub(super) async fn preview(
    shared: &Arc<Shared>,
    id: &BackupId,
    options: &RestoreOptions,
    target: Option<&str>,
) -> Option<RestorePreview> {
    if shared.engine.busy().is_some() {
        return None;
    }
    let limit = PREVIEW_TIMEOUT - Duration::from_millis(500);
    let preview = (shared.engine).preview_restore(id, options, target, limit);
    tokio::time::timeout(PREVIEW_TIMEOUT, preview)
        .await
        .ok()?
        .ok()
}

/// The time limit that a request has.
pub(super) fn limit(timeout: Option<&str>) -> Result<TimeLimit, Fault> {
    let limit = timeout.map_or(Ok(TimeLimit::Configured), TimeLimit::parse);
    limit.map_err(|allowed| Fault::bad("Invalid request body", format!("timeout: {allowed}")))
}

/// Starts an operation, in a task of its own: a client that hangs up must not leave a lock that nobody holds.
pub(super) async fn begin(
    shared: &Arc<Shared>,
    request: impl Into<TimedRequest>,
    who: Who,
) -> Result<Arc<Running>, Fault> {
    let (engine, request) = (shared.engine.clone(), request.into());
    let started = tokio::spawn(async move { engine.start(request, who).await });
    Ok(joined(started.await)??)
}

/// Starts an operation; with a key, only where no request with that key has started it.
pub(super) async fn start(
    shared: &Arc<Shared>,
    who: Who,
    request: TimedRequest,
    message: &str,
    restart_required: Option<bool>,
    warnings: Vec<String>,
    key: Option<Key>,
) -> Result<Started, Fault> {
    let used = match key {
        None => None,
        Some(key) => match shared.keys.ask(&shared.engine, key, &who).await? {
            Asked::Before(accepted) => return Ok(answered(accepted)),
            Asked::Now(used) => Some(used),
        },
    };
    let message = message.to_owned();
    let shared = shared.clone();
    // In a task of its own: who hangs up and asks again must find the answer.
    let started = tokio::spawn(async move {
        let forget =
            matches!(request.request(), Request::Restore(_, options, _) if options.metadata);
        let running = begin(&shared, request, who).await?;
        if forget {
            let (running, shared) = (running.clone(), shared.clone());
            tokio::spawn(async move {
                running.wait().await;
                // The restored database has other tokens.
                shared.authenticator.forget();
            });
        }
        let mut answer = accepted(&running.snapshot(), message, restart_required, warnings);
        if let Some(used) = used
            && let Err(error) = used.answer(&shared.engine, answer.to_json_string()).await
        {
            tracing::warn!(%error, "the Idempotency-Key of a request is not kept");
            answer.warnings.push(format!(
                "the {HEADER} is not kept, so the same request would start anew: {error}"
            ));
        }
        Ok(answered(answer))
    });
    joined(started.await)?
}

/// What a task gave.
fn joined<T>(done: Result<T, tokio::task::JoinError>) -> Result<T, Fault> {
    done.map_err(|e| Fault::Internal(Json(body(format!("internal fault: {e}")))))
}
