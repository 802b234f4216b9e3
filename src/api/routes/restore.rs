//! Restoring a backup.

use crate::operations::Sections;
use arc_backup_core::Scope;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;
use serde_json::Value;

use super::super::error::ApiError;
use super::super::extract::{Admin, Body};
use super::super::requests::RestoreBackup;
use super::super::shared::Shared;
use super::super::starting::{in_scope, limit, preview, selected, start, who};
use super::super::tag::Tag;
use super::super::types::{Restored, Started};
use crate::manifest::BackupId;
use crate::operations::{Destination, Renames, Request, RestoreOptions};

/// The endpoint of restores.
pub(in crate::api) struct RestoreRoutes;

#[OpenApi]
impl RestoreRoutes {
    /// Restore a backup
    ///
    /// Answers at once; the restore runs in the background. Everything is checked and staged before
    /// the first live byte changes; replaced files are set aside. With `dry_run` nothing is done:
    /// the answer is the plan, and a restore that names its id does just that.
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
    ) -> Result<Restored, ApiError> {
        let fields = request.fields;
        let id = (fields.backup_id.as_deref().map(BackupId::parse))
            .and_then(Result::ok)
            .ok_or_else(|| ApiError::bad("Invalid or missing backup_id", None))?;
        let is_dry_run = fields.dry_run.unwrap_or(false);
        let place = RestoreOptions {
            rename: new_names(fields.rename)?,
            over_existing: fields.over_existing.unwrap_or(false),
            destination: destination(fields.to.as_deref(), fields.to_storage)?,
            ..RestoreOptions::default()
        };
        if fields.confirm != Some(true) && place.overwrites() && !is_dry_run {
            let text = "Restore is a destructive operation. Set confirm: true to proceed.";
            return Err(ApiError::bad(text, None));
        }
        check_mode(
            fields.mode.as_deref(),
            shared.engine.settings().cluster.is_some(),
        )?;
        let selection = selected(fields.scope)?;
        if fields.restore_data == Some(false) && !selection.is_all() {
            let text = "A scope is one of data, and restore_data is false";
            return Err(ApiError::bad(text, None));
        }
        let sections = Sections {
            data: fields.restore_data.unwrap_or(true),
            // A part of the data leaves them as they are, and another storage gets data alone.
            metadata: fields.restore_metadata.unwrap_or_else(|| {
                let is_storage = matches!(place.destination, Destination::Storage(_));
                selection.is_all() && !is_storage
            }),
            config: fields.restore_config.unwrap_or(false),
        };
        let options = RestoreOptions {
            scope: in_scope(&selection, Scope::from(sections))?,
            extra_files: fields.extra_files.unwrap_or_default().into(),
            allow_incomplete: fields.allow_incomplete.unwrap_or(false),
            verify_first: fields.verify_first.unwrap_or(false),
            into_other_instance: fields.into_other_instance.unwrap_or(false),
            skip_damaged: fields.skip_damaged.unwrap_or(false),
            plan_id: fields.plan_id,
            ..place
        };
        if !options.includes_any() {
            return Err(ApiError::bad(
                "Nothing to restore: restore_data, restore_metadata and restore_config are all false",
                None,
            ));
        }
        if is_dry_run {
            if options.plan_id.is_some() {
                let text = "dry_run makes a plan, and plan_id names one";
                return Err(ApiError::bad(text, "leave one of them out".to_owned()));
            }
            let target = fields.target.as_deref();
            let planned = shared.engine.plan_restore(&id, &options, target).await?;
            return Ok(Restored::Planned(Json(planned.into())));
        }
        let restart = Some(options.needs_restart());
        let limit = limit(fields.timeout.as_deref())?;
        let preview = preview(&shared, &id, &options, fields.target.as_deref()).await;
        // A backup of some databases has no SQLite databases to restart Arc for.
        let restart = (preview.as_ref()).map_or(restart, |preview| Some(preview.restart_required));
        let wanted = Request::Restore(id, options, fields.target);
        let Started::Accepted(mut accepted, location, retry_after) = start(
            &shared,
            who(admin.0),
            wanted.within(limit),
            "Restore started",
            restart,
            request.warnings,
            request.key,
        )
        .await?;
        accepted.restore = preview.map(|preview| Box::new(preview.into()));
        Ok(Restored::Accepted(accepted, location, retry_after))
    }
}

/// The new names, of which there must be one where the field is there.
fn new_names(rename: Option<BTreeMap<String, Value>>) -> Result<Renames, ApiError> {
    let Some(rename) = rename else {
        return Ok(Renames::default());
    };
    if rename.is_empty() {
        let detail = "name a database and its new name, or leave the field out".to_owned();
        return Err(ApiError::bad("`rename` names no database", detail));
    }
    let mut names = Vec::new();
    for (old, new) in rename {
        let Value::String(new) = new else {
            let text = format!("`rename` has no name for {old:?}, but {new}");
            return Err(ApiError::bad(&text, "a name is a text".to_owned()));
        };
        names.push((old, new));
    }
    Ok(Renames::new(names)?)
}

fn destination(to: Option<&str>, to_storage: Option<String>) -> Result<Destination, ApiError> {
    match to.map(Path::new) {
        Some(_) if to_storage.is_some() => Err(ApiError::bad(
            "`to` and `to_storage` name two places",
            "leave one of them out".to_owned(),
        )),
        None => Ok(to_storage.map_or(Destination::Live, Destination::Storage)),
        Some(folder) if folder.is_absolute() => Ok(Destination::Folder(folder.to_owned())),
        Some(folder) => Err(ApiError::bad(
            &format!("`to` is {:?}, which is no absolute path", folder.display()),
            "name the folder from the root: \"/srv/arc-copy\"".to_owned(),
        )),
    }
}

/// Refuses what is no mode of Arc's, and `replace` where Arc has no cluster.
fn check_mode(mode: Option<&str>, is_cluster: bool) -> Result<(), ApiError> {
    match mode {
        None | Some("merge") => Ok(()),
        Some("replace") if is_cluster => Ok(()),
        Some("replace") => Err(ApiError::bad(
            "mode \"replace\" is for clusters only: this is a standalone instance",
            "leave it out, or use \"merge\"".to_owned(),
        )),
        Some(other) => Err(ApiError::bad(
            &format!("Unknown mode {other:?}"),
            "mode must be \"merge\" or \"replace\"".to_owned(),
        )),
    }
}
