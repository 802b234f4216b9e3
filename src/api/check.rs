//! `GET /api/v1/backup/check`, for monitoring.

use std::sync::Arc;
use std::time::Duration;

use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::app::Shared;
use super::extract::Reader;
use super::faults::Fault;
use super::routes::Tag;
use crate::check::{CheckOptions, CheckReport, check};
use crate::times;

/// What the check found: the body is the same, the status says which.
#[derive(ApiResponse)]
pub(super) enum Checked {
    /// All is as demanded.
    #[oai(status = 200)]
    Fine(Json<CheckReport>),
    /// Something is not: `line` and `faults` say what.
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

pub(super) struct CheckApi;

#[OpenApi]
impl CheckApi {
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
        /// For how long no verification may have been clean: `7d`. Default: it is not demanded.
        verified_within: Query<Option<String>>,
        /// How many good backups each target must hold. Default 1.
        min_backups: Query<Option<u64>>,
        /// Only this target.
        target: Query<Option<String>>,
    ) -> Result<Checked, Fault> {
        let settings = &shared.engine.settings().backup;
        let options = CheckOptions {
            target: target.0,
            max_age: duration("max_age", max_age.0)?.unwrap_or(settings.check_max_age),
            verified_within: duration("verified_within", verified_within.0)?,
            min_backups: min_backups.0.unwrap_or(1),
        };
        let report = check(&shared.engine, &options).await?;
        Ok(match report.ok {
            true => Checked::Fine(Json(report)),
            false => Checked::Critical(Json(report), RETRY_AFTER_SECS),
        })
    }
}

fn duration(name: &str, text: Option<String>) -> Result<Option<Duration>, Fault> {
    let Some(text) = text else {
        return Ok(None);
    };
    match times::parse_duration(&text) {
        Some(duration) => Ok(Some(duration)),
        None => Err(Fault::bad(
            &format!("{name} must be {}", times::DURATION_FORM),
            None,
        )),
    }
}
