//! The endpoints.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{OpenApi, Tags};

use super::answers::{
    Deleted, DeletedBody, FileBody, FilesBody, HealthBody, ListBody, ManifestBody, OperationsBody,
    Started, StatusBody, idle_answer, list_answer, manifest_answer,
};
use super::app::Shared;
use super::extract::{Admin, Body, Watcher};
use super::faults::{Fault, body};
use super::requests::{CreateBackup, RestoreBackup, VerifyBackup};
use super::starting::{accepted, begin, limit, preview, start, who};
use crate::manifest::{BackupId, Inventory, InventoryFault};
use crate::operations::{Operation, Request, RestoreOptions, VerifyMode, Who};

/// Files or operations on a page, if not asked otherwise, and at most.
pub(super) const PAGE: u64 = 100;
pub(super) const PAGE_LIMIT: u64 = 10_000;
/// The largest offset: SQLite's integers go no further than 2^63 - 1, and those of JavaScript are exact up to here.
pub(super) const OFFSET_LIMIT: u64 = (1 << 53) - 1;

#[derive(Tags)]
enum Tag {
    /// Arc's own endpoints.
    Backup,
    /// Progress, cancel, history.
    Operations,
    /// Whether the service answers.
    Service,
}

pub(super) struct Api;

#[OpenApi]
impl Api {
    /// Make a backup
    ///
    /// Answers at once; the backup runs in the background. Poll the status.
    #[oai(
        path = "/api/v1/backup",
        method = "post",
        operation_id = "create_backup",
        tag = "Tag::Backup"
    )]
    async fn create(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        request: Body<CreateBackup>,
    ) -> Result<Started, Fault> {
        let settings = &shared.engine.settings().backup;
        let limit = limit(request.fields.timeout.as_deref())?;
        let wanted = Request::Backup {
            metadata: request
                .fields
                .include_metadata
                .unwrap_or(settings.include_metadata),
            config: request
                .fields
                .include_config
                .unwrap_or(settings.include_config),
            target: request.fields.target,
            id: None,
        };
        start(
            &shared,
            Who {
                token: admin.1,
                ..who(admin.0)
            },
            wanted.within(limit),
            "Backup started",
            None,
            request.warnings,
        )
        .await
    }

    /// List the backups
    ///
    /// Newest first, of all targets. What only looks like a backup is named in `damaged`, what can't be read now in `unreadable`, a target that can't be
    /// reached in `errors`.
    #[oai(
        path = "/api/v1/backup",
        method = "get",
        operation_id = "list_backups",
        tag = "Tag::Backup"
    )]
    async fn list(
        &self,
        _admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// Only the backups of this target.
        target: Query<Option<String>>,
        /// Also incomplete copies: what could be read of a source with files that could not.
        all: Query<Option<bool>>,
    ) -> Result<Json<ListBody>, Fault> {
        Ok(Json(list_answer(
            (shared.engine)
                .list(target.as_deref(), all.unwrap_or(false))
                .await?,
        )))
    }

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

    /// Restore a backup
    ///
    /// Answers at once; the restore runs in the background. Everything is checked and staged before the first live
    /// byte changes; what is replaced is kept.
    #[oai(
        path = "/api/v1/backup/restore",
        method = "post",
        operation_id = "restore_backup",
        tag = "Tag::Backup"
    )]
    async fn restore(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        request: Body<RestoreBackup>,
    ) -> Result<Started, Fault> {
        let fields = request.fields;
        let id = (fields.backup_id.as_deref().map(BackupId::parse))
            .and_then(Result::ok)
            .ok_or_else(|| Fault::bad("Invalid or missing backup_id", None))?;
        if fields.confirm != Some(true) {
            let text = "Restore is a destructive operation. Set confirm: true to proceed.";
            return Err(Fault::bad(text, None));
        }
        let options = RestoreOptions {
            data: fields.restore_data.unwrap_or(true),
            metadata: fields.restore_metadata.unwrap_or(true),
            config: fields.restore_config.unwrap_or(false),
            extra_files: fields.extra_files.unwrap_or_default(),
            allow_incomplete: fields.allow_incomplete.unwrap_or(false),
            verify_first: fields.verify_first.unwrap_or(false),
            into_other_instance: fields.into_other_instance.unwrap_or(false),
            skip_damaged: fields.skip_damaged.unwrap_or(false),
        };
        if !(options.data || options.metadata || options.config) {
            return Err(Fault::bad(
                "Nothing to restore: restore_data, restore_metadata and restore_config are all false",
                None,
            ));
        }
        let restart = Some(options.metadata || options.config);
        let limit = limit(fields.timeout.as_deref())?;
        let preview = preview(&shared, &id, &options, fields.target.as_deref()).await;
        let wanted = Request::Restore(id, options, fields.target);
        let Started::Accepted(mut accepted) = start(
            &shared,
            who(admin.0),
            wanted.within(limit),
            "Restore started",
            restart,
            request.warnings,
        )
        .await?;
        accepted.restore = preview.map(Box::new);
        Ok(Started::Accepted(accepted))
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

    /// The manifest of a backup
    #[oai(
        path = "/api/v1/backup/:id",
        method = "get",
        operation_id = "get_backup",
        tag = "Tag::Backup"
    )]
    async fn show(
        &self,
        _admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// The backup's id.
        id: Path<String>,
        /// The target that holds it; default: the first that answers.
        target: Query<Option<String>>,
    ) -> Result<Json<ManifestBody>, Fault> {
        let id = BackupId::parse(&id)?;
        let (repository, loaded) = shared.engine.find(&id, target.as_deref()).await?;
        Ok(Json(ManifestBody(manifest_answer(
            repository.name(),
            &loaded,
        ))))
    }

    /// Delete a backup
    ///
    /// Answers when everything of it is gone, or after 25 s with 202, and goes on.
    #[oai(
        path = "/api/v1/backup/:id",
        method = "delete",
        operation_id = "delete_backup",
        tag = "Tag::Backup"
    )]
    async fn delete(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// The backup's id.
        id: Path<String>,
        /// The target that holds it; needed where several do.
        target: Query<Option<String>>,
    ) -> Result<Deleted, Fault> {
        let id = BackupId::parse(&id)?;
        let request = Request::Delete(id.clone(), target.0);
        let running = begin(&shared, request, who(admin.0)).await?;
        match tokio::time::timeout(shared.delete_wait, running.wait()).await {
            Ok(Operation {
                error: Some(error), ..
            }) => Err(Fault::Internal(Json(body(error)))),
            Ok(_) => Ok(Deleted::Gone(Json(DeletedBody {
                message: "Backup deleted".to_owned(),
                backup_id: id.to_string(),
            }))),
            Err(_) => {
                let Started::Accepted(body) = accepted(
                    &running.snapshot(),
                    "Backup is being deleted",
                    None,
                    Vec::new(),
                );
                Ok(Deleted::GoesOn(body))
            }
        }
    }

    /// The files of a backup
    ///
    /// Its inventory in byte order of paths, a page at a time.
    #[oai(
        path = "/api/v1/backup/:id/files",
        method = "get",
        operation_id = "list_files",
        tag = "Tag::Backup"
    )]
    #[allow(
        clippy::too_many_arguments,
        reason = "each is a parameter of the endpoint"
    )]
    async fn files(
        &self,
        _admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// The backup's id.
        id: Path<String>,
        /// The target that holds it; default: the first that answers.
        target: Query<Option<String>>,
        /// Only paths that start with this text: `data/iot/`.
        prefix: Query<Option<String>>,
        /// Only paths behind this one.
        start_after: Query<Option<String>>,
        /// How many; default 100, at most 10,000.
        limit: Query<Option<u64>>,
    ) -> Result<Json<FilesBody>, Fault> {
        let id = BackupId::parse(&id)?;
        let limit = page(limit.0)?;
        let local = shared
            .engine
            .inventory(&id, target.as_deref())
            .await
            .map_err(|fault| match fault {
                InventoryFault::Damaged(detail) => Fault::from(crate::Error::Damaged {
                    id: id.to_string(),
                    detail: format!("inventory.jsonl {detail}"),
                }),
                InventoryFault::Other(error) => error.into(),
            })?;
        let (prefix, start_after) = (prefix.0, start_after.0);
        // An inventory may have millions of lines.
        let page = tokio::task::spawn_blocking(move || {
            files_page(
                &local.inventory,
                prefix.as_deref().unwrap_or_default(),
                start_after.as_deref(),
                limit,
            )
        });
        let page = page
            .await
            .map_err(|e| Fault::Internal(Json(body(format!("internal fault: {e}")))))?;
        Ok(Json(page?))
    }

    /// Verify a backup
    ///
    /// Answers at once; reads the backup in the background and names every fault. Poll the status.
    #[oai(
        path = "/api/v1/backup/:id/verify",
        method = "post",
        operation_id = "verify_backup",
        tag = "Tag::Backup"
    )]
    async fn verify(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// The backup's id.
        id: Path<String>,
        request: Body<VerifyBackup>,
    ) -> Result<Started, Fault> {
        let id = BackupId::parse(&id)?;
        let mode = match (request.fields.mode.as_deref(), request.fields.percent) {
            (None | Some("full"), None) => VerifyMode::Full,
            (Some("quick"), None) => VerifyMode::Quick,
            (None | Some("full" | "quick"), Some(_)) => {
                return Err(Fault::bad("percent goes with the mode sample", None));
            }
            (Some("sample"), Some(percent)) if percent > 0.0 && percent <= 100.0 => {
                VerifyMode::Sample(percent / 100.0)
            }
            (Some("sample"), _) => {
                return Err(Fault::bad(
                    "sample needs percent: more than 0 and at most 100",
                    None,
                ));
            }
            (Some(other), _) => {
                return Err(Fault::bad(&format!("unknown mode {other:?}"), None));
            }
        };
        let limit = limit(request.fields.timeout.as_deref())?;
        start(
            &shared,
            who(admin.0),
            Request::Verify(id, mode, request.fields.target).within(limit),
            "Verification started",
            None,
            request.warnings,
        )
        .await
    }

    /// Check everything that the configuration names
    ///
    /// Credentials, reach and each right of the data storage and of every target, with an object of its own that is gone
    /// afterwards; clock, room, databases, configuration. Takes some seconds; 200 also where something is wrong.
    #[oai(
        path = "/api/v1/backup/doctor",
        method = "post",
        operation_id = "run_doctor",
        tag = "Tag::Operations"
    )]
    async fn doctor(
        &self,
        _admin: Admin,
        shared: Data<&Arc<Shared>>,
    ) -> Result<Json<crate::doctor::Report>, Fault> {
        // A task of its own: a client that hangs up must leave no probe behind.
        let engine = shared.engine.clone();
        let report = tokio::spawn(async move { crate::doctor::examine(&engine).await });
        report
            .await
            .map(Json)
            .map_err(|e| Fault::Internal(Json(body(format!("internal fault: {e}")))))
    }

    /// Whether the service answers
    #[oai(
        path = "/health",
        method = "get",
        operation_id = "get_health",
        tag = "Tag::Service"
    )]
    async fn health(&self) -> Json<HealthBody> {
        Json(HealthBody {
            status: "ok".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}

/// The files that start with `prefix` and come behind `start_after`, `limit` of them.
fn files_page(
    inventory: &Inventory,
    prefix: &str,
    start_after: Option<&str>,
    limit: u64,
) -> crate::Result<FilesBody> {
    let mut files = Vec::new();
    let mut next = None;
    for record in inventory.records()? {
        let record = record?;
        let is_behind = start_after.is_none_or(|after| *record.path > *after);
        if !(record.path.starts_with(prefix) && is_behind) {
            continue;
        }
        if files.len() as u64 == limit {
            next = files.last().map(|file: &FileBody| file.path.clone());
            break;
        }
        files.push(FileBody {
            path: record.path.to_string(),
            size: record.entry.size,
            sha256: record.entry.sha256.map(|digest| digest.to_string()),
        });
    }
    Ok(FilesBody {
        count: files.len() as u64,
        files,
        next,
    })
}

fn page(limit: Option<u64>) -> Result<u64, Fault> {
    match limit {
        None => Ok(PAGE),
        Some(limit @ 1..=PAGE_LIMIT) => Ok(limit),
        Some(_) => Err(Fault::bad(&parameter_fault("limit"), None)),
    }
}

fn passed_over(offset: Option<u64>) -> Result<u64, Fault> {
    match offset {
        Some(offset) if offset > OFFSET_LIMIT => Err(Fault::bad(&parameter_fault("offset"), None)),
        other => Ok(other.unwrap_or(0)),
    }
}

/// What a parameter must be, in words.
pub(super) fn parameter_fault(name: &str) -> String {
    match name {
        "limit" => format!("limit must be from 1 to {PAGE_LIMIT}"),
        "offset" => format!("offset must be from 0 to {OFFSET_LIMIT}"),
        "all" => "all must be true or false".to_owned(),
        _ => format!("parameter {name} is missing or is not understood"),
    }
}
