//! The endpoint that copies a backup to another target.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;

use super::super::error::ApiError;
use super::super::extract::{Admin, Body};
use super::super::requests::CopyBackup;
use super::super::shared::Shared;
use super::super::starting::{limit, start, who};
use super::super::tag::Tag;
use super::super::types::Started;
use crate::manifest::BackupId;
use crate::operations::{CopyOptions, Request};

/// The endpoint of copies.
pub(in crate::api) struct CopyRoutes;

#[OpenApi]
impl CopyRoutes {
    /// Copy a backup to another target
    ///
    /// Answers at once; the copy is made in the background. It has the same id and is whole by
    /// itself. Where the target holds the backup already, the operation ends at once, with
    /// `unchanged`. Poll the status.
    #[oai(
        path = "/api/v1/backup/:id/copy",
        method = "post",
        operation_id = "copy_backup",
        tag = "Tag::Backup"
    )]
    async fn copy(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// The backup's id.
        id: Path<String>,
        request: Body<CopyBackup>,
    ) -> Result<Started, ApiError> {
        let id = BackupId::parse(&id)?;
        let Some(to) = request.fields.to else {
            return Err(ApiError::bad(
                "to is required: the target to copy it to",
                None,
            ));
        };
        let limit = limit(request.fields.timeout.as_deref())?;
        let options = CopyOptions::new(id, to).from(request.fields.target);
        start(
            &shared,
            who(admin.0),
            Request::Copy(options).within(limit),
            "Copy started",
            None,
            request.warnings,
            request.key,
        )
        .await
    }
}
