//! Starts operations, and answers with what was started.

use arc_backup_core::{Scope, Section};
use std::sync::Arc;
use std::time::Duration;

use poem_openapi::payload::Json;
use poem_openapi::types::ToJSON;

use super::error::ApiError;
use super::idempotency::{HEADER, Key, KeyInUse, Lookup};
use super::shared::Shared;
use super::types::{Accepted, DataScope, POLL_AFTER_SECS, Started, location};
use crate::Error;
use crate::auth::Identity;
use crate::manifest::BackupId;
use crate::operations::OperationKind;
use crate::operations::Origin;
use crate::operations::{
    DataSelection, Operation, Request, RestoreOptions, RestorePreview, Running, TimeLimit,
    TimedRequest, Who,
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
    let scope = match operation.operation {
        OperationKind::Backup => operation.scope.clone(),
        _ => Vec::new(),
    };
    Accepted {
        message: message.into(),
        status: "running".to_owned(),
        backup_id: operation.backup_id.clone(),
        operation_id: operation.operation_id.clone(),
        databases: scope.clone(),
        scope,
        selection: operation.selection.clone().map(Into::into),
        restart_required,
        restore: None,
        warnings,
    }
}

/// The 202 of an accepted operation.
pub(super) fn answered(accepted: Accepted) -> Started {
    let location = location(&accepted.operation_id);
    Started::Accepted(Json(accepted), location, POLL_AFTER_SECS)
}

/// Timeout for the preview of a restore.
const PREVIEW_TIMEOUT: Duration = Duration::from_secs(5);

/// What a restore is going to do. `None` where another operation runs, or the preview fails or
/// takes too long: the start of the restore reports what is wrong.
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
pub(super) fn limit(timeout: Option<&str>) -> Result<TimeLimit, ApiError> {
    let limit = timeout.map_or(Ok(TimeLimit::Configured), TimeLimit::parse);
    limit.map_err(|allowed| ApiError::bad("Invalid request body", format!("timeout: {allowed}")))
}

/// The part of the data that a request selects.
pub(super) fn selected(scope: Option<DataScope>) -> Result<DataSelection, ApiError> {
    let scope = scope.unwrap_or_default();
    if scope.include.as_ref().is_some_and(Vec::is_empty) {
        // A list that a program has filled with nothing must not be everything.
        let text = "scope: include is empty: name at least one, or leave it out for everything";
        return Err(ApiError::bad("Invalid request body", text.to_owned()));
    }
    Ok(scope.into())
}

/// The scope, limited to the part of the data that a request selects.
pub(super) fn in_scope(selection: &DataSelection, scope: Scope) -> Result<Scope, ApiError> {
    selection
        .to_scope(scope)
        .map_err(|error| invalid_scope(&error))
}

/// The answer to a scope that is not valid.
pub(super) fn invalid_scope(error: &Error) -> ApiError {
    ApiError::bad("Invalid request body", format!("scope: {error}"))
}

/// Starts an operation in a task of its own: a client that hangs up must not leave a lock behind.
pub(super) async fn begin(
    shared: &Arc<Shared>,
    request: impl Into<TimedRequest>,
    who: Who,
) -> Result<Arc<Running>, ApiError> {
    let (engine, request) = (shared.engine.clone(), request.into());
    let started = tokio::spawn(async move { engine.start(request, who).await });
    Ok(started.await.map_err(crate::Error::from)??)
}

/// Starts an operation. With a key: only where no request with that key has started one.
pub(super) async fn start(
    shared: &Arc<Shared>,
    who: Who,
    request: TimedRequest,
    message: &str,
    restart_required: Option<bool>,
    warnings: Vec<String>,
    key: Option<Key>,
) -> Result<Started, ApiError> {
    match asked_before(shared, key, &who).await? {
        Asked::Before(answer) => Ok(*answer),
        Asked::Now(used) => {
            start_new(
                shared,
                who,
                request,
                message,
                restart_required,
                warnings,
                used,
            )
            .await
        }
    }
}

/// Whether a request was made before, by its key.
pub(super) enum Asked {
    /// It was, and this was the answer.
    Before(Box<Started>),
    /// It was not; its key, where it has one.
    Now(Option<KeyInUse>),
}

/// Looks up the key of a request: what it has started may have changed what such a request is
/// refused by.
pub(super) async fn asked_before(
    shared: &Arc<Shared>,
    key: Option<Key>,
    who: &Who,
) -> Result<Asked, ApiError> {
    let Some(key) = key else {
        return Ok(Asked::Now(None));
    };
    Ok(match shared.keys.look_up(&shared.engine, key, who).await? {
        Lookup::Answered(accepted) => Asked::Before(Box::new(answered(accepted))),
        Lookup::New(used) => Asked::Now(Some(used)),
    })
}

/// Starts the operation of a request that was not made before.
pub(super) async fn start_new(
    shared: &Arc<Shared>,
    who: Who,
    request: TimedRequest,
    message: &str,
    restart_required: Option<bool>,
    warnings: Vec<String>,
    used: Option<KeyInUse>,
) -> Result<Started, ApiError> {
    let message = message.to_owned();
    let shared = shared.clone();
    // In a task of its own: a client that hangs up and asks again must find the answer.
    let started = tokio::spawn(async move {
        let forget = match request.request() {
            Request::Restore(_, options, _) => options.includes(&Section::Metadata),
            Request::Undo(undo) => undo.restart_required,
            _ => false,
        };
        let copies = match request.request() {
            Request::Backup(options) => options.copy_to.clone(),
            _ => Vec::new(),
        };
        let of_copies = who.clone();
        let running = begin(&shared, request, who).await?;
        if !copies.is_empty() {
            let (running, engine) = (running.clone(), shared.engine.clone());
            tokio::spawn(async move { engine.copy_after(&running, &copies, &of_copies).await });
        }
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
            && let Err(error) = used.store(&shared.engine, answer.to_json_string()).await
        {
            tracing::warn!(%error, "cannot store the Idempotency-Key of a request");
            answer.warnings.push(format!(
                "the {HEADER} could not be stored, so repeating the request starts a new operation: {error}"
            ));
        }
        Ok(answered(answer))
    });
    started.await.map_err(crate::Error::from)?
}
