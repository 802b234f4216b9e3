//! Taking restores back, and what they have set aside.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;

use super::super::error::ApiError;
use super::super::extract::{Admin, Body};
use super::super::requests::UndoRestore;
use super::super::shared::Shared;
use super::super::starting::{Asked, asked_before, limit, start_new, who};
use super::super::tag::Tag;
use super::super::types::{RemovedBody, SetAsideBody, Started, Undone};
use crate::operations::Request;

/// The endpoints of undo.
pub(in crate::api) struct UndoRoutes;

#[OpenApi]
impl UndoRoutes {
    /// Take a restore back
    ///
    /// What the restore replaced returns, and what it brought is set aside. Answers at once; the
    /// undo runs in the background. With `dry_run` nothing is done: the answer is the plan.
    #[oai(
        path = "/api/v1/backup/undo",
        method = "post",
        operation_id = "undo_restore",
        tag = "Tag::Backup"
    )]
    async fn undo(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        request: Body<UndoRestore>,
    ) -> Result<Undone, ApiError> {
        let fields = request.fields;
        let id = (fields.operation_id.as_deref())
            .ok_or_else(|| ApiError::bad("Invalid or missing operation_id", None))?;
        let limit = limit(fields.timeout.as_deref())?;
        if fields.dry_run.unwrap_or(false) {
            let plan = shared.engine.plan_undo(id).await?;
            return Ok(Undone::Planned(Json(plan.into())));
        }
        if fields.confirm != Some(true) {
            let text = "Undo is a destructive operation. Set confirm: true to proceed.";
            return Err(ApiError::bad(text, None));
        }
        let who = who(admin.0);
        // Before it is looked for: once it is taken back it is not there any more.
        let started = match asked_before(&shared, request.key, &who).await? {
            Asked::Before(answer) => *answer,
            Asked::Now(key) => {
                let undo = shared.engine.find_undo(id).await?;
                let restart = Some(undo.restart_required);
                let request_of_undo = Request::Undo(undo).within(limit);
                let message = "Undo started";
                let warnings = request.warnings;
                start_new(
                    &shared,
                    who,
                    request_of_undo,
                    message,
                    restart,
                    warnings,
                    key,
                )
                .await?
            }
        };
        let Started::Accepted(body, location, retry_after) = started;
        Ok(Undone::Accepted(body, location, retry_after))
    }

    /// List what restores have set aside
    ///
    /// By the operation, with the backup that it restored, size, age and expiry.
    #[oai(
        path = "/api/v1/backup/set-aside",
        method = "get",
        operation_id = "list_set_aside",
        tag = "Tag::Backup"
    )]
    async fn set_aside(
        &self,
        _admin: Admin,
        shared: Data<&Arc<Shared>>,
    ) -> Result<Json<SetAsideBody>, ApiError> {
        let (found, faults) = shared.engine.list_set_aside().await?;
        Ok(Json(SetAsideBody::new(found, &faults)))
    }

    /// Remove what a restore has set aside
    ///
    /// Afterwards the restore can't be taken back.
    #[oai(
        path = "/api/v1/backup/set-aside/:operation_id",
        method = "delete",
        operation_id = "remove_set_aside",
        tag = "Tag::Backup"
    )]
    async fn remove(
        &self,
        _admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// The operation that set it aside.
        operation_id: Path<String>,
    ) -> Result<Json<RemovedBody>, ApiError> {
        let engine = shared.engine.clone();
        // In a task of its own: a client that hangs up must not leave half of it.
        let removed = tokio::spawn(async move { engine.remove_set_aside(&operation_id.0).await });
        let removed = removed.await.map_err(crate::Error::from)??;
        Ok(Json(RemovedBody {
            removed: removed.into(),
        }))
    }
}
