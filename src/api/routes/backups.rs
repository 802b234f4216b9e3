//! Making, listing, showing, verifying and deleting backups.

use std::sync::Arc;
use std::time::Duration;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::super::answers::{
    Deleted, DeletedBody, ListBody, Started, list_answer, manifest_answer,
};
use super::super::app::Shared;
use super::super::extract::{Admin, Body};
use super::super::faults::Fault;
use super::super::list::ListParameters;
use super::super::manifest::ManifestBody;
use super::super::requests::{CreateBackup, VerifyBackup};
use super::super::starting::{accepted, answered, begin, limit, start, who};
use super::Tag;
use crate::manifest::BackupId;
use crate::operations::{Operation, Request, VerifyMode, Who};
use crate::repository::BackupState;

pub(in crate::api) struct Backups;

#[OpenApi]
impl Backups {
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
            require_flush: request
                .fields
                .require_flush
                .unwrap_or(settings.require_flush),
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
            request.key,
        )
        .await
    }

    /// List the backups
    ///
    /// Newest first, of all targets, or those that the parameters choose. What only looks like a
    /// backup is named in `damaged`, what can't be read now in `unreadable`, a target that can't be
    /// reached in `errors`.
    #[oai(
        path = "/api/v1/backup",
        method = "get",
        operation_id = "list_backups",
        tag = "Tag::Backup"
    )]
    #[allow(
        clippy::too_many_arguments,
        reason = "each is a parameter of the endpoint"
    )]
    async fn list(
        &self,
        _admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// Only the backups of this target.
        target: Query<Option<String>>,
        /// Also incomplete copies: what could be read of a source with files that could not.
        all: Query<Option<bool>>,
        /// Only those in this state; `incomplete` goes without `all`.
        state: Query<Option<BackupState>>,
        /// Only those of this instance: its name, or the beginning of it.
        instance: Query<Option<String>>,
        /// Only those that began then or later: a date, a time in RFC 3339, or an age such as `7d`.
        since: Query<Option<String>>,
        /// Only those that began then or earlier.
        until: Query<Option<String>>,
        /// Only those behind this place: the `next` of the page before, or a backup's id.
        start_after: Query<Option<String>>,
        /// At most so many, up to 10,000. Default: all.
        limit: Query<Option<u64>>,
    ) -> Result<Json<ListBody>, Fault> {
        let parameters = ListParameters {
            state: state.0,
            instance: instance.0,
            since: since.0,
            until: until.0,
            start_after: start_after.0,
            limit: limit.0,
        };
        let filter = parameters.filter()?;
        let all = all.unwrap_or(false) || state.0 == Some(BackupState::Incomplete);
        let answer = shared.engine.list(target.as_deref(), all).await?;
        Ok(Json(list_answer(answer.filtered(&filter))))
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
        let note = repository.note_to_show(&id).await;
        let answer = manifest_answer(repository.name(), &loaded, &note);
        Ok(Json(ManifestBody(answer)))
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
            }) => Err(Fault::of_operation(running.failure(), error)),
            Ok(_) => Ok(Deleted::Gone(Json(DeletedBody {
                message: "Backup deleted".to_owned(),
                backup_id: id.to_string(),
                warnings: deleted_last(&shared, &running.snapshot()).await,
            }))),
            Err(_) => {
                let Started::Accepted(body, location, retry_after) = answered(accepted(
                    &running.snapshot(),
                    "Backup is being deleted",
                    None,
                    deleted_last(&shared, &running.snapshot()).await,
                ));
                Ok(Deleted::GoesOn(body, location, retry_after))
            }
        }
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
            request.key,
        )
        .await
    }
}

/// How long an answer to a deletion waits to know whether a good backup is left.
const LAST_TIMEOUT: Duration = Duration::from_secs(5);

/// A warning where no good backup is left beside the one that was deleted.
async fn deleted_last(shared: &Shared, deletion: &Operation) -> Vec<String> {
    let target = deletion.target.as_deref().unwrap_or_default();
    let good = shared.engine.good_backups(target);
    match tokio::time::timeout(LAST_TIMEOUT, good).await {
        Ok(Ok(good)) if good.iter().all(|id| id.as_str() == deletion.backup_id) => {
            vec![format!("no good backup is left in target {target}")]
        }
        _ => Vec::new(),
    }
}
