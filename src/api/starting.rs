//! Starting an operation, and the answer to that.

use std::sync::Arc;

use poem_openapi::payload::Json;

use super::answers::{Accepted, Started};
use super::app::Shared;
use super::faults::{Fault, body};
use crate::auth::Identity;
use crate::operations::{Operation, Request, Running, Who};

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
        warnings,
    }))
}

/// Starts an operation, in a task of its own: a client that hangs up must not leave a lock that nobody holds.
pub(super) async fn begin(
    shared: &Arc<Shared>,
    request: Request,
    who: Who,
) -> Result<Arc<Running>, Fault> {
    let engine = shared.engine.clone();
    let started = tokio::spawn(async move { engine.start(request, who).await });
    let started = started
        .await
        .map_err(|e| Fault::Internal(Json(body(format!("internal fault: {e}")))))?;
    Ok(started?)
}

pub(super) async fn start(
    shared: &Arc<Shared>,
    who: Who,
    request: Request,
    message: &str,
    restart_required: Option<bool>,
    warnings: Vec<String>,
) -> Result<Started, Fault> {
    let forget = matches!(&request, Request::Restore(_, options, _) if options.metadata);
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
