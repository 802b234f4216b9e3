//! Starting an operation, and the answer to that.

use std::sync::Arc;
use std::time::Duration;

use poem_openapi::payload::Json;

use super::answers::{Accepted, Started};
use super::app::Shared;
use super::faults::{Fault, body};
use crate::auth::Identity;
use crate::manifest::BackupId;
use crate::operations::{
    Operation, Request, RestoreOptions, RestorePreview, Running, TimeLimit, TimedRequest, Who,
};

pub(super) fn who(identity: Identity) -> Who {
    Who {
        actor: identity.name,
        origin: "rest",
        fingerprint: Some(identity.fingerprint),
        token: None,
    }
}

pub(super) fn accepted(
    operation: &Operation,
    message: &str,
    restart_required: Option<bool>,
    warnings: Vec<String>,
) -> Started {
    Started::Accepted(Json(Accepted {
        message: message.to_owned(),
        status: "running".to_owned(),
        backup_id: operation.backup_id.clone(),
        operation_id: operation.operation_id.clone(),
        restart_required,
        restore: None,
        warnings,
    }))
}

/// How long a restore is looked at before it begins.
const PREVIEW_TIMEOUT: Duration = Duration::from_secs(5);

/// What a restore is going to do; `None` where another operation runs, or that takes too long: whatever else is against it says
/// the start.
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
    let started = started
        .await
        .map_err(|e| Fault::Internal(Json(body(format!("internal fault: {e}")))))?;
    Ok(started?)
}

pub(super) async fn start(
    shared: &Arc<Shared>,
    who: Who,
    request: TimedRequest,
    message: &str,
    restart_required: Option<bool>,
    warnings: Vec<String>,
) -> Result<Started, Fault> {
    let forget = matches!(request.request(), Request::Restore(_, options, _) if options.metadata);
    let running = begin(shared, request, who).await?;
    let answer = accepted(&running.snapshot(), message, restart_required, warnings);
    if forget {
        let shared = shared.clone();
        tokio::spawn(async move {
            running.wait().await;
            // The restored database has other tokens.
            shared.authenticator.forget();
        });
    }
    Ok(answer)
}
