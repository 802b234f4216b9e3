//! The operation that runs, and those that have ended.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::super::answers::{OperationsBody, Started, StatusBody, idle_answer};
use super::super::app::Shared;
use super::super::extract::{Admin, Watcher};
use super::super::faults::{Fault, body};
use super::super::starting::accepted;
use super::Tag;
use super::parameters::{page, passed_over};
use crate::operations::Operation;

pub(in crate::api) struct Operations;

#[OpenApi]
impl Operations {
    /// Progress of the operation that runs, or the outcome of the last one
    #[oai(
        path = "/api/v1/backup/status",
        method = "get",
        operation_id = "get_status",
        tag = "Tag::Backup"
    )]
    async fn status(
        &self,
        _watcher: Watcher,
        shared: Data<&Arc<Shared>>,
    ) -> Result<Json<StatusBody>, Fault> {
        Ok(Json(match shared.engine.status().await? {
            Some(operation) => StatusBody::Operation(Box::new(operation)),
            None => StatusBody::Idle(idle_answer(&shared.engine).await),
        }))
    }

    /// Cancel the operation that runs
    ///
    /// It ends within `backup.stop_timeout`. A backup publishes nothing; a restore that changes live data uses this time to
    /// finish, and else says how it is completed.
    #[oai(
        path = "/api/v1/backup/cancel",
        method = "post",
        operation_id = "cancel_operation",
        tag = "Tag::Operations"
    )]
    async fn cancel(&self, admin: Admin, shared: Data<&Arc<Shared>>) -> Result<Started, Fault> {
        match shared.engine.current().filter(|running| !running.is_done()) {
            Some(running) => {
                running.cancel(&format!("cancelled by {}", admin.0.name));
                Ok(accepted(
                    &running.snapshot(),
                    "Cancel requested",
                    None,
                    Vec::new(),
                ))
            }
            None => Err(Fault::Conflict(Json(match shared.engine.busy() {
                Some(holder) => body(format!(
                    "Another process runs it: {holder}; cancel it there"
                )),
                None => body("No operation is running"),
            }))),
        }
    }

    /// Past operations, newest first
    #[oai(
        path = "/api/v1/backup/operations",
        method = "get",
        operation_id = "list_operations",
        tag = "Tag::Operations"
    )]
    async fn operations(
        &self,
        _admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// How many; default 100, at most 10,000.
        limit: Query<Option<u64>>,
        /// How many to pass over first.
        offset: Query<Option<u64>>,
    ) -> Result<Json<OperationsBody>, Fault> {
        let operations = shared
            .engine
            .operations(passed_over(offset.0)?, page(limit.0)?)
            .await?;
        Ok(Json(OperationsBody {
            count: operations.len() as u64,
            operations,
        }))
    }

    /// One operation
    #[oai(
        path = "/api/v1/backup/operations/:operation_id",
        method = "get",
        operation_id = "get_operation",
        tag = "Tag::Operations"
    )]
    async fn operation(
        &self,
        _watcher: Watcher,
        shared: Data<&Arc<Shared>>,
        /// The operation's id.
        operation_id: Path<String>,
    ) -> Result<Json<Operation>, Fault> {
        let operation = shared.engine.operation(&operation_id).await?;
        operation
            .map(Json)
            .ok_or_else(|| Fault::NotFound(Json(body("Operation not found"))))
    }
}
