//! The files of a backup.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use poem::web::Data;
use poem::{Body, Request};
use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::{Binary, Json};

use super::super::error::{ApiError, error_body};
use super::super::extract::Admin;
use super::super::file_path::file_path;
use super::super::head::is_head;
use super::super::parameters::page;
use super::super::range::{Wanted, has_tag, wanted};
use super::super::shared::Shared;
use super::super::tag::Tag;
use super::super::types::{FileAnswer, FileBody, FilesBody};
use crate::manifest::BackupId;
use crate::operations::{BackupFile, OpenedBackup};

/// The endpoints of a backup's files.
pub(in crate::api) struct FileRoutes;

/// What `Accept-Ranges` says.
const BYTES: &str = "bytes";

#[OpenApi]
impl FileRoutes {
    /// The files of a backup
    ///
    /// In byte order of paths, a page at a time: all files, those below a folder, or with
    /// `recursive=false` what is right in it, each folder with its files and bytes.
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
        /// Only what is in this folder, or this file: `data/iot`.
        path: Query<Option<String>>,
        /// Whether to list the files of the folders below too. Default: false with `path`, else
        /// true.
        recursive: Query<Option<bool>>,
        /// Only paths that start with this text: `data/iot/`.
        prefix: Query<Option<String>>,
        /// Only paths after this one.
        start_after: Query<Option<String>>,
        /// How many; default 100, at most 10,000.
        limit: Query<Option<u64>>,
    ) -> Result<Json<FilesBody>, ApiError> {
        let id = BackupId::parse(&id)?;
        let limit = page(&shared.schema, limit.0)?;
        let is_recursive = recursive.0.unwrap_or(path.0.is_none());
        let request = FilesRequest {
            path: path.0.unwrap_or_default(),
            prefix: prefix.0.unwrap_or_default(),
            start_after: start_after.0,
            limit,
        };
        if !is_recursive && !request.prefix.is_empty() {
            return Err(ApiError::bad(
                "prefix selects files of a whole list: give path, or recursive=true",
                None,
            ));
        }
        let backup = shared.engine.open(&id, target.as_deref()).await?;
        // An inventory may have millions of lines.
        let page = tokio::task::spawn_blocking(move || match is_recursive {
            true => request.files(&backup),
            false => request.children(&backup),
        });
        let page = page.await.map_err(crate::Error::from)?;
        Ok(Json(page?))
    }

    /// A file of a backup
    ///
    /// Its bytes, wherever they lie. The whole file is compared with its SHA-256 while it is sent:
    /// where it is damaged, the connection is cut before the last bytes. A range is not compared.
    #[oai(
        path = "/api/v1/backup/:id/files/*path",
        method = "get",
        operation_id = "get_file",
        tag = "Tag::Backup"
    )]
    #[allow(
        clippy::too_many_arguments,
        reason = "each is a parameter of the endpoint"
    )]
    async fn file(
        &self,
        _admin: Admin,
        shared: Data<&Arc<Shared>>,
        request: &Request,
        /// The backup's id.
        id: Path<String>,
        /// The target that holds it; default: the first that answers.
        target: Query<Option<String>>,
        /// The bytes to send: `bytes=0-1023`, `bytes=1024-` or `bytes=-8`. Of several ranges, all
        /// of the file is sent.
        #[oai(name = "Range")]
        range: Header<Option<String>>,
        /// The ETag that the range is of; with another one, all of the file is sent.
        #[oai(name = "If-Range")]
        if_range: Header<Option<String>>,
        /// ETags that the client has: with one of them, nothing is sent.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<FileAnswer, ApiError> {
        let path = file_path(request)?;
        let id = BackupId::parse(&id)?;
        let backup = shared.engine.open(&id, target.as_deref()).await?;
        let file = tokio::task::spawn_blocking(move || backup.file(&path));
        let file = file.await.map_err(crate::Error::from)??;
        let tag = file.sha256().map(|digest| format!("\"{digest}\""));
        if (if_none_match.0.as_deref()).is_some_and(|tags| has_tag(tags, tag.as_deref())) {
            return Ok(FileAnswer::NotModified(tag));
        }
        let is_current = if_range.0.is_none() || if_range.0 == tag;
        let wanted = wanted(range.0.as_deref().filter(|_| is_current), file.size());
        let is_head = is_head(request);
        let size = file.size();
        let accepts = BYTES.to_owned();
        match wanted {
            Wanted::Whole => {
                let body = body(&file, None, is_head).await?;
                Ok(FileAnswer::Whole(body, tag, size, accepts))
            }
            Wanted::Part(part) => {
                let named = format!("bytes {}-{}/{size}", part.start, part.end - 1);
                let length = part.end - part.start;
                let body = body(&file, Some(part), is_head).await?;
                Ok(FileAnswer::Part(body, tag, length, accepts, named))
            }
            Wanted::Nothing => Err(ApiError::NotInRange(
                Json(error_body(format!("the file has {size} bytes"))),
                format!("bytes */{size}"),
            )),
        }
    }
}

/// The bytes of a file. A fault while they are sent cuts the connection.
async fn body(
    file: &BackupFile,
    range: Option<std::ops::Range<u64>>,
    is_head: bool,
) -> Result<Binary<Body>, ApiError> {
    if is_head {
        return Ok(Binary(Body::empty()));
    }
    let mut pieces = file.open(range).await?.into_stream();
    // A fault that shows at once is an answer of its own.
    let first = pieces.try_next().await?;
    let pieces = stream::iter(first.map(Ok)).chain(pieces);
    let pieces = pieces.map_err(|error| {
        tracing::error!(%error, "a file of a backup was not sent whole");
        std::io::Error::other(error)
    });
    Ok(Binary(Body::from_bytes_stream(pieces)))
}

/// Which files a request asks for.
struct FilesRequest {
    path: String,
    prefix: String,
    start_after: Option<String>,
    limit: u64,
}

impl FilesRequest {
    fn is_after(&self, path: &str) -> bool {
        self.start_after.as_deref().is_none_or(|after| path > after)
    }

    /// The files in the folder, at any depth.
    fn files(&self, backup: &OpenedBackup) -> crate::Result<FilesBody> {
        let mut page = FilesBody::default();
        let mut is_empty = !self.path.is_empty();
        for record in backup.files(&self.path)? {
            let record = record?;
            is_empty = false;
            if !(record.path.starts_with(&self.prefix) && self.is_after(&record.path)) {
                continue;
            }
            if page.count == self.limit {
                page.next = page.files.last().map(|file: &FileBody| file.path.clone());
                break;
            }
            page.files.push(record.into());
            page.count += 1;
        }
        match is_empty {
            true => Err(backup.lacks(&self.path)),
            false => Ok(page),
        }
    }

    /// What is right in the folder.
    fn children(&self, backup: &OpenedBackup) -> crate::Result<FilesBody> {
        let mut page = FilesBody {
            folders: Some(Vec::new()),
            ..FilesBody::default()
        };
        let (mut last, mut has_more) = (None, false);
        let totals = backup.children(&self.path, |child| {
            if !self.is_after(&child.path) {
                return Ok(());
            }
            has_more = page.count == self.limit;
            if !has_more {
                last = Some(child.path.clone());
                page.add(child);
            }
            Ok(())
        })?;
        page.total_files = Some(totals.files);
        page.total_bytes = Some(totals.bytes);
        page.next = last.filter(|_| has_more);
        Ok(page)
    }
}
