//! Endpoints that prune a target, and pin and unpin backups.

use std::sync::Arc;

use jiff::Timestamp;
use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use serde_json::Value;

use super::super::error::ApiError;
use super::super::extract::{Admin, Body};
use super::super::requests::{PinBackup, PruneBackups};
use super::super::shared::Shared;
use super::super::starting::{limit, start, who};
use super::super::tag::Tag;
use super::super::types::{PinnedBackup, Pruned, Started};
use crate::manifest::BackupId;
use crate::operations::{PinRequest, PruneOptions, Request};
use crate::retention::Rules;
use crate::schedule::pending_copies;
use crate::times;

/// The endpoints of retention.
pub(in crate::api) struct RetentionRoutes;

#[OpenApi]
impl RetentionRoutes {
    /// Prune a target
    ///
    /// By default nothing is done: the answer is the plan, with the reasons for each backup. With
    /// `dry_run` false the backups that no rule keeps are deleted in the background.
    #[oai(
        path = "/api/v1/backup/prune",
        method = "post",
        operation_id = "prune_backups",
        tag = "Tag::Backup"
    )]
    async fn prune(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        request: Body<PruneBackups>,
    ) -> Result<Pruned, ApiError> {
        let fields = &request.fields;
        let limit = limit(fields.timeout.as_deref())?;
        let mut options = PruneOptions::of(fields.target.clone());
        options.rules = rules(fields)?;
        options.include_foreign = fields.include_foreign.unwrap_or(false);
        options.to_copy = pending_copies(&shared.engine).await;
        if fields.dry_run.unwrap_or(true) {
            let plan = shared.engine.plan_prune(&options).await?;
            return Ok(Pruned::Planned(Json(plan.into())));
        }
        let started = start(
            &shared,
            who(admin.0),
            Request::Prune(options).within(limit),
            "Prune started",
            None,
            request.warnings,
            request.key,
        );
        let Started::Accepted(body, location, retry_after) = started.await?;
        Ok(Pruned::Accepted(body, location, retry_after))
    }

    /// Pin a backup
    ///
    /// No prune and no deletion removes it until it is unpinned, or the pin expires. A pin that it
    /// has already is replaced.
    #[oai(
        path = "/api/v1/backup/:id/pin",
        method = "post",
        operation_id = "pin_backup",
        tag = "Tag::Backup"
    )]
    async fn pin(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// The backup's id.
        id: Path<String>,
        request: Body<PinBackup>,
    ) -> Result<Json<PinnedBackup>, ApiError> {
        let id = BackupId::parse(&id)?;
        let PinBackup {
            reason,
            until,
            target,
        } = request.fields;
        let until = until.map(|text| {
            let moment = times::parse_until(&text, Timestamp::now());
            moment.ok_or_else(|| {
                let detail = format!("until must be {}", times::UNTIL_FORM);
                ApiError::bad("Invalid request body", detail)
            })
        });
        let wanted = PinRequest {
            reason,
            until: until.transpose()?,
        };
        let who = who(admin.0);
        let pinned = shared.engine.pin(&id, target.as_deref(), wanted, &who);
        Ok(Json(pinned.await?.into()))
    }

    /// Unpin a backup
    ///
    /// One that is not pinned is no error.
    #[oai(
        path = "/api/v1/backup/:id/pin",
        method = "delete",
        operation_id = "unpin_backup",
        tag = "Tag::Backup"
    )]
    async fn unpin(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// The backup's id.
        id: Path<String>,
        /// The target that holds it; needed where several do.
        target: Query<Option<String>>,
    ) -> Result<Json<PinnedBackup>, ApiError> {
        let id = BackupId::parse(&id)?;
        let who = who(admin.0);
        let unpinned = shared.engine.unpin(&id, target.as_deref(), &who);
        Ok(Json(unpinned.await?.into()))
    }
}

/// The rules of a request, if it has any.
fn rules(fields: &PruneBackups) -> Result<Option<Rules>, ApiError> {
    let number = |of: Option<i64>| of.map(Value::from);
    let given = [
        ("keep_last", number(fields.keep_last)),
        ("keep_hourly", number(fields.keep_hourly)),
        ("keep_daily", number(fields.keep_daily)),
        ("keep_weekly", number(fields.keep_weekly)),
        ("keep_monthly", number(fields.keep_monthly)),
        ("keep_yearly", number(fields.keep_yearly)),
        ("keep_within", fields.keep_within.clone().map(Value::from)),
    ];
    let mut rules: Option<Rules> = None;
    for (key, value) in given {
        let Some(value) = value else { continue };
        let set = rules.get_or_insert_with(Rules::default).set(key, &value);
        set.map_err(|error| ApiError::bad("Invalid request body", error))?;
    }
    Ok(rules)
}
