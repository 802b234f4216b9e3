//! Endpoints of the operation that runs, and of those that have ended.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::super::error::{ApiError, error_body};
use super::super::extract::{Admin, Watcher};
use super::super::parameters::{moment, named_values, offset as offset_of, page, values};
use super::super::shared::Shared;
use super::super::starting::who;
use super::super::tag::Tag;
use super::super::types::{
    CancelRequested, Cancelled, IdleBody, Operation, OperationsBody, StatusBody, location,
};
use super::super::waiting;
use crate::manifest::BackupId;
use crate::operations::{self, OperationFilter, OperationKind};

/// The endpoints of operations.
pub(in crate::api) struct OperationRoutes;

#[OpenApi]
impl OperationRoutes {
    /// Progress of the operation that runs, or the outcome of the last one
    ///
    /// Of several that run, it is that which writes, or else that which began last; the others are
    /// in `also_running`.
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
        /// Answer when the operation that runs has ended, or when this time is over: `30s`, `30`;
        /// at most `60s`.
        wait: Query<Option<String>>,
    ) -> Result<Json<StatusBody>, ApiError> {
        let wait = waiting::parse(wait.as_deref())?;
        let mut status = shared.engine.status().await?;
        if let (Some(time), Some(operation)) = (wait, &status)
            && operation.status == operations::Status::Running
        {
            let id = &operation.operation_id;
            let waiting = &shared.waiting;
            waiting.until_ended(&shared.engine, id, time).await?;
            status = shared.engine.status().await?;
        }
        Ok(Json(match status {
            Some(operation) => StatusBody::Operation(Box::new(operation.into())),
            None => StatusBody::Idle(IdleBody::new(&shared.engine).await),
        }))
    }

    /// Cancel an operation that runs
    ///
    /// Without an id, it is that which writes, or else the only one that runs.
    ///
    /// It may run in this service or in a command on this host. It ends within
    /// `backup.stop_timeout`, with the status `cancelled`. A backup publishes nothing. A restore
    /// that changes live data uses this time to finish; if it can't, its `error` says how to
    /// complete it.
    #[oai(
        path = "/api/v1/backup/cancel",
        method = "post",
        operation_id = "cancel_operation",
        tag = "Tag::Operations"
    )]
    async fn cancel(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// The id of the operation to cancel.
        operation_id: Query<Option<String>>,
    ) -> Result<Cancelled, ApiError> {
        let id = operation_id.0.as_deref();
        match shared.engine.cancel(&who(admin.0), id).await? {
            Some(cancelling) => {
                let location = location(&cancelling.operation_id);
                let body = CancelRequested {
                    message: "Cancel requested".to_owned(),
                    status: "running".to_owned(),
                    operation: cancelling.operation,
                    operation_id: cancelling.operation_id,
                    backup_id: cancelling.backup_id,
                    warnings: Vec::new(),
                };
                Ok(Cancelled::Accepted(Json(body), location))
            }
            None => {
                let text = match id {
                    Some(id) => format!("Operation {id} is not running"),
                    None => "No operation is running".to_owned(),
                };
                Err(ApiError::Conflict(Json(error_body(&text)), None))
            }
        }
    }

    /// Past operations, newest first
    #[oai(
        path = "/api/v1/backup/operations",
        method = "get",
        operation_id = "list_operations",
        tag = "Tag::Operations"
    )]
    #[allow(
        clippy::too_many_arguments,
        reason = "each is a parameter of the endpoint"
    )]
    async fn operations(
        &self,
        _admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// How many; default 100, at most 10,000.
        limit: Query<Option<u64>>,
        /// How many to skip.
        offset: Query<Option<u64>>,
        /// Only those of this target. For several: repeat it, or separate them by commas.
        target: Query<Option<Vec<String>>>,
        /// Only those with this status. For several: repeat it, or separate them by commas.
        status: Query<Option<Vec<String>>>,
        /// Only those of this kind. For several: repeat it, or separate them by commas.
        operation: Query<Option<Vec<String>>>,
        /// Only those of this backup.
        backup_id: Query<Option<String>>,
        /// Only those of this schedule.
        schedule: Query<Option<String>>,
        /// Only those that began then or later: RFC 3339, or an age such as `24h` or `7d`.
        since: Query<Option<String>>,
        /// Only those that began before: RFC 3339, or an age.
        until: Query<Option<String>>,
    ) -> Result<Json<OperationsBody>, ApiError> {
        let schema = &shared.schema;
        let statuses = named_values(schema, "status", status.0)?;
        let kinds = named_values(schema, "operation", operation.0)?;
        let filter = OperationFilter {
            targets: values(target.0),
            statuses: (statuses.iter())
                .filter_map(|status| operations::Status::from_name(status))
                .collect(),
            operations: (kinds.iter())
                .filter_map(|kind| OperationKind::from_name(kind))
                .collect(),
            backup_id: match backup_id.0 {
                Some(id) => Some(BackupId::parse(&id)?.to_string()),
                None => None,
            },
            schedule: schedule.0,
            since: moment("since", since.0)?,
            until: moment("until", until.0)?,
        };
        let (offset, limit) = (offset_of(schema, offset.0)?, page(schema, limit.0)?);
        let found = shared
            .engine
            .find_operations(&filter, offset, limit)
            .await?;
        Ok(Json(OperationsBody {
            count: found.operations.len() as u64,
            total: found.total,
            operations: found.operations.into_iter().map(Into::into).collect(),
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
        /// Answer when the operation has ended, or when this time is over: `30s`, `30`; at most
        /// `60s`.
        wait: Query<Option<String>>,
    ) -> Result<Json<Operation>, ApiError> {
        if let Some(time) = waiting::parse(wait.as_deref())? {
            let waiting = &shared.waiting;
            (waiting.until_ended(&shared.engine, &operation_id, time)).await?;
        }
        let operation = shared.engine.operation(&operation_id).await?;
        operation
            .map(|operation| Json(operation.into()))
            .ok_or_else(|| ApiError::NotFound(Json(error_body("Operation not found"))))
    }
}
