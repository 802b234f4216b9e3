//! The operation that runs, and those that have ended.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::super::answers::{
    CancelRequested, Cancelled, OperationsBody, StatusBody, idle_answer, location,
};
use super::super::app::Shared;
use super::super::extract::{Admin, Watcher};
use super::super::faults::{Fault, body};
use super::super::starting::who;
use super::super::waiting;
use super::Tag;
use super::parameters::{moment, one_of, page, passed_over, words};
use crate::manifest::BackupId;
use crate::operations::OperationKind;
use crate::operations::{Operation, OperationFilter, Status};

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
        /// Answer when the operation that runs has ended, or when this time is over: `30s`, `30`;
        /// at most `60s`.
        wait: Query<Option<String>>,
    ) -> Result<Json<StatusBody>, Fault> {
        let wait = waiting::parse(wait.as_deref())?;
        let mut status = shared.engine.status().await?;
        if let (Some(time), Some(operation)) = (wait, &status)
            && operation.status == Status::Running
        {
            let id = &operation.operation_id;
            let waiting = &shared.waiting;
            waiting.until_ended(&shared.engine, id, time).await?;
            status = shared.engine.status().await?;
        }
        Ok(Json(match status {
            Some(operation) => StatusBody::Operation(Box::new(operation)),
            None => StatusBody::Idle(idle_answer(&shared.engine).await),
        }))
    }

    /// Cancel the operation that runs
    ///
    /// Of this service, or of a command on this host. It ends within `backup.stop_timeout`, with
    /// the status `cancelled`. A backup publishes nothing; a restore that changes live data uses
    /// this time to finish, and else says how it is completed.
    #[oai(
        path = "/api/v1/backup/cancel",
        method = "post",
        operation_id = "cancel_operation",
        tag = "Tag::Operations"
    )]
    async fn cancel(&self, admin: Admin, shared: Data<&Arc<Shared>>) -> Result<Cancelled, Fault> {
        match shared.engine.cancel(&who(admin.0)).await? {
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
            None => Err(Fault::Conflict(Json(body("No operation is running")), None)),
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
        /// How many to pass over first.
        offset: Query<Option<u64>>,
        /// Only those of this target; of several, given again or with commas.
        target: Query<Option<Vec<String>>>,
        /// Only those with this status; with several, given again or with commas.
        status: Query<Option<Vec<String>>>,
        /// Only those of this kind; of several, given again or with commas.
        operation: Query<Option<Vec<String>>>,
        /// Only those of this backup.
        backup_id: Query<Option<String>>,
        /// Only those that began then or later: RFC 3339, or how long ago, such as `24h` or `7d`.
        since: Query<Option<String>>,
        /// Only those that began before: RFC 3339, or how long ago.
        until: Query<Option<String>>,
    ) -> Result<Json<OperationsBody>, Fault> {
        let statuses = one_of("status", status.0)?;
        let kinds = one_of("operation", operation.0)?;
        let filter = OperationFilter {
            targets: words(target.0),
            statuses: (statuses.iter())
                .filter_map(|status| Status::from_name(status))
                .collect(),
            operations: (kinds.iter())
                .filter_map(|kind| OperationKind::from_name(kind))
                .collect(),
            backup_id: match backup_id.0 {
                Some(id) => Some(BackupId::parse(&id)?.to_string()),
                None => None,
            },
            since: moment("since", since.0)?,
            until: moment("until", until.0)?,
        };
        let (offset, limit) = (passed_over(offset.0)?, page(limit.0)?);
        let found = shared
            .engine
            .find_operations(&filter, offset, limit)
            .await?;
        Ok(Json(OperationsBody {
            count: found.operations.len() as u64,
            total: found.total,
            operations: found.operations,
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
    ) -> Result<Json<Operation>, Fault> {
        if let Some(time) = waiting::parse(wait.as_deref())? {
            let waiting = &shared.waiting;
            (waiting.until_ended(&shared.engine, &operation_id, time)).await?;
        }
        let operation = shared.engine.operation(&operation_id).await?;
        operation
            .map(Json)
            .ok_or_else(|| Fault::NotFound(Json(body("Operation not found"))))
    }
}
