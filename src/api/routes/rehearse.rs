//! The endpoint that rehearses a restore.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;

use super::super::error::ApiError;
use super::super::extract::{Admin, Body};
use super::super::requests::RehearseBackup;
use super::super::shared::Shared;
use super::super::starting::{limit, start, who};
use super::super::tag::Tag;
use super::super::types::Started;
use crate::manifest::BackupId;
use crate::operations::{RehearseOptions, Request};

/// The endpoint of rehearsals.
pub(in crate::api) struct RehearsalRoutes;

#[OpenApi]
impl RehearsalRoutes {
    /// Rehearse a restore
    ///
    /// Answers at once. In the background every file is restored to a scratch folder, compared,
    /// opened and removed; nothing that is live is touched. Poll the status.
    #[oai(
        path = "/api/v1/backup/:id/rehearse",
        method = "post",
        operation_id = "rehearse_backup",
        tag = "Tag::Backup"
    )]
    async fn rehearse(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// The backup's id.
        id: Path<String>,
        request: Body<RehearseBackup>,
    ) -> Result<Started, ApiError> {
        let id = BackupId::parse(&id)?;
        let share = match request.fields.percent {
            None => None,
            Some(percent) if percent > 0.0 && percent <= 100.0 => Some(percent / 100.0),
            Some(_) => {
                return Err(ApiError::bad(
                    "percent must be more than 0 and at most 100",
                    None,
                ));
            }
        };
        let limit = limit(request.fields.timeout.as_deref())?;
        let options = RehearseOptions { share };
        start(
            &shared,
            who(admin.0),
            Request::Rehearse(id, options, request.fields.target).within(limit),
            "Rehearsal started",
            None,
            request.warnings,
            request.key,
        )
        .await
    }
}
