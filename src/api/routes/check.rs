//! `GET /api/v1/backup/check`, for monitoring.

use std::sync::Arc;
use std::time::Duration;

use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::super::error::ApiError;
use super::super::extract::Reader;
use super::super::shared::Shared;
use super::super::tag::Tag;
use super::super::types::CheckReport;
use crate::check::{CheckOptions, check};
use crate::times;

/// The result of a check. Both have the same body.
#[derive(ApiResponse)]
pub(in crate::api) enum Checked {
    /// The backups are as they should be.
    #[oai(status = 200)]
    Ok(Json<CheckReport>),
    /// Something is wrong: `line` and `faults` say what.
    #[oai(status = 503)]
    Critical(
        Json<CheckReport>,
        /// After how many seconds to ask again.
        #[oai(header = "Retry-After")]
        u64,
    ),
}

/// After how many seconds a monitor asks again: a backup takes longer than that.
const RETRY_AFTER_SECS: u64 = 60;

/// The endpoint of the check.
pub(in crate::api) struct CheckRoutes;

#[OpenApi]
impl CheckRoutes {
    /// Whether the newest backups are as they should be
    ///
    /// For monitoring: 200 if all is well, 503 if not, with the same body. Takes an admin token, a
    /// token with the permission `read`, or the monitoring token (`arc_backup.monitor_token`). Asks
    /// each target for its list; reads no backup.
    #[oai(
        path = "/api/v1/backup/check",
        method = "get",
        operation_id = "check_backups",
        tag = "Tag::Operations"
    )]
    async fn check(
        &self,
        _reader: Reader,
        shared: Data<&Arc<Shared>>,
        /// How old the newest good backup may be: `26h`, `7d`. Default: `backup.check_max_age`,
        /// else 26 h.
        max_age: Query<Option<String>>,
        /// Within how long the last clean verification must be: `7d`. Default: none is required.
        verified_within: Query<Option<String>>,
        /// How many good backups each target must hold. Default 1.
        min_backups: Query<Option<u64>>,
        /// Only this target.
        target: Query<Option<String>>,
    ) -> Result<Checked, ApiError> {
        let settings = &shared.engine.settings().backup;
        let options = CheckOptions {
            target: target.0,
            max_age: duration("max_age", max_age.0)?.unwrap_or(settings.check_max_age),
            verified_within: duration("verified_within", verified_within.0)?,
            min_backups: min_backups.0.unwrap_or(1),
        };
        let report: CheckReport = check(&shared.engine, &options).await?.into();
        Ok(match report.ok {
            true => Checked::Ok(Json(report)),
            false => Checked::Critical(Json(report), RETRY_AFTER_SECS),
        })
    }
}

fn duration(name: &str, text: Option<String>) -> Result<Option<Duration>, ApiError> {
    let Some(text) = text else {
        return Ok(None);
    };
    match times::parse_duration(&text) {
        Some(duration) => Ok(Some(duration)),
        None => Err(ApiError::bad(
            &format!("{name} must be {}", times::DURATION_FORM),
            None,
        )),
    }
}
