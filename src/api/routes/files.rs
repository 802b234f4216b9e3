//! The files of a backup.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::super::error::ApiError;
use super::super::extract::Admin;
use super::super::parameters::page;
use super::super::shared::Shared;
use super::super::tag::Tag;
use super::super::types::{FileBody, FilesBody};
use crate::manifest::{BackupId, Inventory, InventoryFault};

/// The endpoint of a backup's files.
pub(in crate::api) struct FileRoutes;

#[OpenApi]
impl FileRoutes {
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
        /// Only paths after this one.
        start_after: Query<Option<String>>,
        /// How many; default 100, at most 10,000.
        limit: Query<Option<u64>>,
    ) -> Result<Json<FilesBody>, ApiError> {
        let id = BackupId::parse(&id)?;
        let limit = page(&shared.schema, limit.0)?;
        let local = shared
            .engine
            .inventory(&id, target.as_deref())
            .await
            .map_err(|fault| match fault {
                InventoryFault::Damaged { list, detail } => ApiError::from(crate::Error::Damaged {
                    id: id.to_string(),
                    detail: format!("{list} {detail}"),
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
        let page = page.await.map_err(crate::Error::from)?;
        Ok(Json(page?))
    }
}

/// The files that start with `prefix` and come after `start_after`, `limit` of them.
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
        let is_after = start_after.is_none_or(|after| *record.path > *after);
        if !(record.path.starts_with(prefix) && is_after) {
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
