//! Endpoints that make, list, show, verify and delete backups.

use crate::operations::Sections;
use arc_backup_core::{Databases, Scope};
use std::sync::Arc;
use std::time::Duration;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::super::error::ApiError;
use super::super::extract::{Admin, Body};
use super::super::list_parameters::ListParameters;
use super::super::requests::{CreateBackup, LabelBackup, VerifyBackup};
use super::super::shared::Shared;
use super::super::starting::{
    accepted, answered, begin, invalid_scope, limit, selected, start, who,
};
use super::super::tag::Tag;
use super::super::types::{
    BackupList, BackupState, BackupType, Deleted, DeletedBody, Labelled, ManifestBody, Started,
    manifest_answer,
};
use crate::config::IncludeConfig;
use crate::manifest::BackupId;
use crate::operations::LastGood;
use crate::operations::{
    BackupOptions, LabelChange, NoteChange, Operation, Request, VerifyMode, VerifyOptions, Who,
    check_database_names,
};
use crate::repository::Freshness;

/// The endpoints of backups.
pub(in crate::api) struct BackupRoutes;

#[OpenApi]
impl BackupRoutes {
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
    ) -> Result<Started, ApiError> {
        let settings = &shared.engine.settings().backup;
        let limit = limit(request.fields.timeout.as_deref())?;
        let refuse = |detail: String| ApiError::bad("Invalid request body", detail);
        let databases = (request
            .fields
            .databases
            .map(check_database_names)
            .transpose())
        .map_err(|error| refuse(error.to_string()))?;
        let is_scoped = databases.is_some();
        if is_scoped && request.fields.include_metadata == Some(true) {
            return Err(refuse(
                "include_metadata can't be true together with databases: the SQLite databases are of \
                 all databases"
                    .to_owned(),
            ));
        }
        let config = match request.fields.include_config {
            Some(wanted) => wanted.into(),
            None if is_scoped => IncludeConfig::Omitted,
            None => settings.include_config,
        };
        let sections = Sections {
            data: true,
            metadata: (request.fields.include_metadata)
                .unwrap_or(settings.include_metadata && !is_scoped),
            config: config.includes(),
        };
        let wanted = Request::Backup(BackupOptions {
            scope: Scope::from(sections)
                .of_databases(databases.map_or(Databases::All, Databases::Only)),
            backup_type: request.fields.backup_type.map(Into::into),
            rehash: request.fields.rehash.unwrap_or(false),
            secrets: config.secrets(),
            require_flush: request
                .fields
                .require_flush
                .unwrap_or(settings.require_flush),
            copy_to: (shared.engine)
                .copy_targets(request.fields.target.as_deref(), request.fields.copy_to)?,
            target: request.fields.target,
            labels: request.fields.labels.unwrap_or_default(),
            note: request.fields.note,
            ..BackupOptions::default()
        });
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
    /// Newest first, of all targets. `damaged` lists folders that look like a backup and are not
    /// one, `unreadable` backups that can't be read now, `errors` targets that can't be reached.
    /// A target of many backups over a network is answered from manifests that were looked at
    /// within the last ten minutes; which backups there are, and their labels, pins and
    /// verifications, are those of this moment.
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
        /// Also list incomplete copies, made of a source with files that could not be read.
        all: Query<Option<bool>>,
        /// Only those in this state; `incomplete` implies `all`.
        state: Query<Option<BackupState>>,
        /// Only those with this label. Repeat it, or separate them by commas: only those with all
        /// of them.
        label: Query<Option<Vec<String>>>,
        /// Only those of this type.
        r#type: Query<Option<BackupType>>,
        /// Only those that were made for this schedule.
        schedule: Query<Option<String>>,
        /// Only those that a pin keeps, or with `false` only the others.
        locked: Query<Option<bool>>,
        /// Only those that began longer ago than this, such as `30d`.
        older_than: Query<Option<String>>,
        /// Only those of this instance: its name, or the beginning of the name.
        instance: Query<Option<String>>,
        /// Also those of other instances, by `owner_instance_id`. They are hidden by default, and
        /// `foreign_backups` says how many.
        include_foreign: Query<Option<bool>>,
        /// Only those that began then or later: a date, a time in RFC 3339, or an age such as `7d`.
        since: Query<Option<String>>,
        /// Only those that began then or earlier.
        until: Query<Option<String>>,
        /// Only those after this place: the `next` of the page before, or a backup's id.
        start_after: Query<Option<String>>,
        /// At most this many, up to 10,000. Default: all.
        limit: Query<Option<u64>>,
    ) -> Result<Json<BackupList>, ApiError> {
        let parameters = ListParameters {
            state: state.0.map(Into::into),
            labels: label.0,
            backup_type: r#type.0.map(Into::into),
            schedule: schedule.0,
            locked: locked.0,
            older_than: older_than.0,
            instance: instance.0,
            include_foreign: include_foreign.0,
            since: since.0,
            until: until.0,
            start_after: start_after.0,
            limit: limit.0,
        };
        let filter = parameters.filter(&shared.schema)?;
        let all = all.unwrap_or(false) || state.0 == Some(BackupState::Incomplete);
        let answer = (shared.engine).list_with(target.as_deref(), all, Freshness::Recent);
        let answer = answer.await?;
        Ok(Json(answer.filtered(&filter).into()))
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
    ) -> Result<Json<ManifestBody>, ApiError> {
        let id = BackupId::parse(&id)?;
        let (repository, loaded) = shared.engine.find(&id, target.as_deref()).await?;
        let note = repository.note_to_show(&id).await;
        let answer = manifest_answer(repository.name(), &loaded, &note);
        Ok(Json(ManifestBody(answer)))
    }

    /// Change the labels and the note of a backup
    ///
    /// Nothing else of the backup changes.
    #[oai(
        path = "/api/v1/backup/:id",
        method = "patch",
        operation_id = "label_backup",
        tag = "Tag::Backup"
    )]
    async fn label(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// The backup's id.
        id: Path<String>,
        /// The target that holds it; needed where several do.
        target: Query<Option<String>>,
        request: Body<LabelBackup>,
    ) -> Result<Json<Labelled>, ApiError> {
        let id = BackupId::parse(&id)?;
        let fields = request.fields;
        let change = LabelChange {
            set: fields.labels,
            add: fields.add_labels.unwrap_or_default(),
            remove: fields.remove_labels.unwrap_or_default(),
            note: match fields.note {
                None => NoteChange::Keep,
                Some(text) if text.is_empty() => NoteChange::Remove,
                Some(text) => NoteChange::Set(text),
            },
        };
        if change.is_empty() {
            return Err(ApiError::bad(
                "Invalid request body",
                "nothing to change: give labels, add_labels, remove_labels or note".to_owned(),
            ));
        }
        let (engine, who) = (shared.engine.clone(), who(admin.0));
        // In a task of its own: a client that hangs up must not leave a lock behind.
        let changed =
            tokio::spawn(
                async move { engine.label(&id, target.0.as_deref(), &change, &who).await },
            );
        Ok(Json(changed.await.map_err(crate::Error::from)??.into()))
    }

    /// Delete a backup
    ///
    /// Answers when the backup is deleted, or after 25 s with 202; the deletion then continues.
    /// Files that other backups need stay. With `dry_run`, nothing is deleted, and the answer is
    /// what a deletion frees.
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
        /// Delete nothing; answer what a deletion frees.
        dry_run: Query<Option<bool>>,
    ) -> Result<Deleted, ApiError> {
        let id = BackupId::parse(&id)?;
        if dry_run.0 == Some(true) {
            return estimated(&shared, id, target.0).await;
        }
        let is_scoped = is_scoped(&shared, &id, target.as_deref()).await;
        let request = Request::Delete(id.clone(), target.0, LastGood::Delete);
        let running = begin(&shared, request, who(admin.0)).await?;
        match tokio::time::timeout(shared.delete_wait, running.wait()).await {
            Ok(Operation {
                error: Some(error), ..
            }) => Err(ApiError::of_operation(running.failure(), error)),
            Ok(ended) => Ok(Deleted::Done(Json(DeletedBody {
                message: "Backup deleted".to_owned(),
                dry_run: false,
                backup_id: id.to_string(),
                targets: targets_of(&ended),
                freed_files: ended.freed_files.unwrap_or_default(),
                freed_bytes: ended.freed_bytes.unwrap_or_default(),
                retained_files: ended.retained_files.unwrap_or_default(),
                retained_bytes: ended.retained_bytes.unwrap_or_default(),
                needed_by: Vec::new(),
                warnings: deleted_last(&shared, &ended, is_scoped).await,
            }))),
            Err(_) => {
                let Started::Accepted(body, location, retry_after) = answered(accepted(
                    &running.snapshot(),
                    "Backup is being deleted",
                    None,
                    deleted_last(&shared, &running.snapshot(), is_scoped).await,
                ));
                Ok(Deleted::Running(body, location, retry_after))
            }
        }
    }

    /// Verify a backup
    ///
    /// Answers at once; reads the backup in the background and lists every fault. Poll the status.
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
    ) -> Result<Started, ApiError> {
        let id = BackupId::parse(&id)?;
        let mode = match (request.fields.mode.as_deref(), request.fields.percent) {
            (None | Some("full"), None) => VerifyMode::Full,
            (Some("quick"), None) => VerifyMode::Quick,
            (None | Some("full" | "quick"), Some(_)) => {
                return Err(ApiError::bad("percent needs the mode sample", None));
            }
            (Some("sample"), Some(percent)) if percent > 0.0 && percent <= 100.0 => {
                VerifyMode::Sample(percent / 100.0)
            }
            (Some("sample"), _) => {
                return Err(ApiError::bad(
                    "sample needs percent: more than 0 and at most 100",
                    None,
                ));
            }
            (Some(other), _) => {
                return Err(ApiError::bad(&format!("unknown mode {other:?}"), None));
            }
        };
        let limit = limit(request.fields.timeout.as_deref())?;
        let selection = selected(request.fields.scope)?;
        let scope = (selection.to_data_scope()).map_err(|error| invalid_scope(&error))?;
        let options = VerifyOptions::new(mode, scope)?;
        start(
            &shared,
            who(admin.0),
            Request::Verify(id, options, request.fields.target).within(limit),
            "Verification started",
            None,
            request.warnings,
            request.key,
        )
        .await
    }
}

/// The answer to a dry run of a deletion.
async fn estimated(
    shared: &Shared,
    id: BackupId,
    target: Option<String>,
) -> Result<Deleted, ApiError> {
    let (targets, freed) = shared
        .engine
        .estimate_deletion(&id, target.as_deref())
        .await?;
    Ok(Deleted::Done(Json(DeletedBody {
        message: "Nothing was deleted".to_owned(),
        dry_run: true,
        backup_id: id.to_string(),
        targets,
        freed_files: freed.freed_files,
        freed_bytes: freed.freed_bytes,
        retained_files: freed.retained_files,
        retained_bytes: freed.retained_bytes,
        needed_by: freed.needed_by.into_iter().collect(),
        warnings: Vec::new(),
    })))
}

/// All targets of an operation.
fn targets_of(operation: &Operation) -> Vec<String> {
    match operation.targets.is_empty() {
        true => operation.target.iter().cloned().collect(),
        false => operation.targets.clone(),
    }
}

/// Timeout for finding out whether the target still holds a good backup.
const LAST_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the backup is known to be of some databases only.
async fn is_scoped(shared: &Shared, id: &BackupId, target: Option<&str>) -> bool {
    let found = tokio::time::timeout(LAST_TIMEOUT, shared.engine.locate(id, target)).await;
    matches!(found, Ok(Ok((_, Ok(loaded)))) if !loaded.manifest.scope.is_empty())
}

/// A warning where the target holds no other good backup than the deleted one. One of some
/// databases was not a good one of all.
async fn deleted_last(shared: &Shared, deletion: &Operation, is_scoped: bool) -> Vec<String> {
    if is_scoped {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    for target in targets_of(deletion) {
        let good = shared.engine.good_backups(&target);
        match tokio::time::timeout(LAST_TIMEOUT, good).await {
            Ok(Ok(good)) if good.iter().all(|id| id.as_str() == deletion.backup_id) => {
                warnings.push(format!(
                    "target {target} holds no good backup of all databases now"
                ));
            }
            _ => {}
        }
    }
    warnings
}
