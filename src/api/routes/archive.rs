//! The endpoints that write backups to files and folders of the service's machine, and read them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::ErrorKind;
use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;

use super::super::error::ApiError;
use super::super::extract::{Admin, Body};
use super::super::requests::{ExportBackup, ExtractFiles, ImportBackup};
use super::super::shared::Shared;
use super::super::starting::{
    Asked, asked_before, invalid_scope, limit, selected, start, start_new, who,
};
use super::super::tag::Tag;
use super::super::types::Started;
use crate::Error;
use crate::manifest::BackupId;
use crate::operations::{ExportOptions, ExportTo, ExtractOptions, ImportOptions, Request};

/// Timeout for reading the manifest of an archive.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The endpoints of exports, imports and extractions.
pub(in crate::api) struct ArchiveRoutes;

#[OpenApi]
impl ArchiveRoutes {
    /// Export a backup to a file
    ///
    /// Answers at once; in the background the whole backup is written to a new file of the
    /// service's machine, a `.tar.zst`. Each file is compared with its SHA-256 on the way. Poll the
    /// status.
    #[oai(
        path = "/api/v1/backup/:id/export",
        method = "post",
        operation_id = "export_backup",
        tag = "Tag::Backup"
    )]
    async fn export(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// The backup's id.
        id: Path<String>,
        request: Body<ExportBackup>,
    ) -> Result<Started, ApiError> {
        let id = BackupId::parse(&id)?;
        let to = absolute("to", request.fields.to)?;
        let limit = limit(request.fields.timeout.as_deref())?;
        let options = ExportOptions::new(id, ExportTo::File(to)).target(request.fields.target);
        start(
            &shared,
            who(admin.0),
            Request::Export(options).within(limit),
            "Export started",
            None,
            request.warnings,
            request.key,
        )
        .await
    }

    /// Import a backup from a file
    ///
    /// Answers at once; in the background the backup in a file of the service's machine, as an
    /// export wrote it, is taken into a target. Every file is compared with its SHA-256. Where the
    /// target holds the backup already, the operation ends at once, with `unchanged`.
    #[oai(
        path = "/api/v1/backup/import",
        method = "post",
        operation_id = "import_backup",
        tag = "Tag::Backup"
    )]
    async fn import(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        request: Body<ImportBackup>,
    ) -> Result<Started, ApiError> {
        let file = absolute("file", request.fields.file)?;
        let target = request.fields.target;
        // An unknown target is wrong, whatever the file is.
        shared.engine.repository(target.as_deref())?;
        let limit = limit(request.fields.timeout.as_deref())?;
        let who = who(admin.0);
        // Before the file is read: it may be gone when the same request comes again.
        match asked_before(&shared, request.key, &who).await? {
            Asked::Before(answer) => Ok(*answer),
            Asked::Now(key) => {
                let read = ImportOptions::read(&file, target);
                let read = tokio::time::timeout(READ_TIMEOUT, read).await;
                let options = read.map_err(|_| no_answer(&file))?.map_err(unusable)?;
                let (message, warnings) = ("Import started", request.warnings);
                let request = Request::Import(options).within(limit);
                start_new(&shared, who, request, message, None, warnings, key).await
            }
        }
    }

    /// Extract files of a backup
    ///
    /// Answers at once; in the background the files in scope are written into a new or empty folder
    /// of the service's machine, each compared with its SHA-256. Poll the status.
    #[oai(
        path = "/api/v1/backup/:id/extract",
        method = "post",
        operation_id = "extract_files",
        tag = "Tag::Backup"
    )]
    async fn extract(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// The backup's id.
        id: Path<String>,
        request: Body<ExtractFiles>,
    ) -> Result<Started, ApiError> {
        let id = BackupId::parse(&id)?;
        let to = absolute("to", request.fields.to)?;
        let limit = limit(request.fields.timeout.as_deref())?;
        let selection = selected(request.fields.scope)?;
        let scope = (selection.to_data_scope()).map_err(|error| invalid_scope(&error))?;
        let options = ExtractOptions::new(id, to, scope).target(request.fields.target);
        start(
            &shared,
            who(admin.0),
            Request::Extract(options).within(limit),
            "Extraction started",
            None,
            request.warnings,
            request.key,
        )
        .await
    }
}

/// The answer to an import of a file that is no archive, or is not there.
fn unusable(error: Error) -> ApiError {
    let is_unusable = match &error {
        Error::Failed(_) | Error::Invalid(_) => true,
        // It is not there, or is no file, or not for this service.
        Error::Storage(fault) => matches!(
            fault.kind(),
            ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::PermissionDenied
        ),
        _ => false,
    };
    match is_unusable {
        true => ApiError::bad("The file can't be imported", error.to_string()),
        false => error.into(),
    }
}

fn no_answer(file: &std::path::Path) -> ApiError {
    let text = format!(
        "reading `{}` took longer than {} s: look at its disk",
        file.display(),
        READ_TIMEOUT.as_secs()
    );
    Error::Failed(text).into()
}

/// A path of the service's machine: its working folder is nobody's business.
fn absolute(field: &str, path: Option<String>) -> Result<PathBuf, ApiError> {
    let Some(path) = path.map(PathBuf::from) else {
        let text = format!("{field} is required: an absolute path on the service's machine");
        return Err(ApiError::bad(&text, None));
    };
    match path.is_absolute() {
        true => Ok(path),
        false => Err(ApiError::bad(
            &format!(
                "`{field}` is {:?}, which is no absolute path",
                path.display()
            ),
            "name it from the root: \"/srv/exports/backup.tar.zst\"".to_owned(),
        )),
    }
}
