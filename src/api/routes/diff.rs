//! What is different between two backups, or a backup and the live data.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;

use super::super::error::ApiError;
use super::super::extract::Admin;
use super::super::parameters::page;
use super::super::shared::Shared;
use super::super::tag::Tag;
use super::super::types::DiffBody;
use crate::manifest::BackupId;
use crate::operations::{DataSelection, DiffOptions};

/// The endpoint that compares.
pub(in crate::api) struct DiffRoutes;

#[OpenApi]
impl DiffRoutes {
    /// Compare two backups
    ///
    /// Says what is different in `b`, or with `live=true` in the live data: files and bytes that
    /// were added, removed and changed, by database and measurement. Backups are compared by the
    /// SHA-256 of their files. The live data is listed and not read: a file counts as unchanged
    /// where an incremental backup would reuse it.
    #[oai(
        path = "/api/v1/backup/diff",
        method = "get",
        operation_id = "diff_backups",
        tag = "Tag::Backup"
    )]
    #[allow(
        clippy::too_many_arguments,
        reason = "each is a parameter of the endpoint"
    )]
    async fn diff(
        &self,
        _admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// The backup.
        a: Query<String>,
        /// The backup that it is compared with.
        b: Query<Option<String>>,
        /// Compare it with the live data.
        live: Query<Option<bool>>,
        /// The target that holds the backups; default: the first that answers.
        target: Query<Option<String>>,
        /// How many files of each change to name; default 100, at most 10,000.
        limit: Query<Option<u64>>,
        /// Only this database (`iot`), measurement (`iot.cpu`) or glob over paths
        /// (`iot/cpu/2026/**`); may be given several times.
        include: Query<Vec<String>>,
        /// All but this, written in the same way; may be given several times.
        exclude: Query<Vec<String>>,
        /// Only data from this time on: a date, RFC 3339, or an age such as `2d`.
        from: Query<Option<String>>,
        /// Only data before this time.
        until: Query<Option<String>>,
    ) -> Result<Json<DiffBody>, ApiError> {
        let sample = page(&shared.schema, limit.0)?;
        let a = BackupId::parse(&a)?;
        let b = match (b.0, live.0.unwrap_or(false)) {
            (Some(b), false) => Some(BackupId::parse(&b)?),
            (None, true) => None,
            (Some(_), true) => {
                return Err(ApiError::bad("give b or live=true, not both", None));
            }
            (None, false) => {
                return Err(ApiError::bad("give b, a backup, or live=true", None));
            }
        };
        let selection = DataSelection {
            include: include.0,
            exclude: exclude.0,
            from: from.0,
            until: until.0,
        };
        let options = DiffOptions {
            a,
            b,
            target: target.0,
            scope: selection.to_data_scope()?,
            sample: usize::try_from(sample).unwrap_or(usize::MAX),
        };
        let diff = shared.engine.diff(&options, |_, _| Ok(())).await?;
        Ok(Json(diff.into()))
    }
}
