//! The Arc that is flushed before a backup, or that runs and is not flushed.

use super::check::Check;
use crate::arc::ArcClient;
use crate::config::Settings;
use crate::operations::{SET_URL, without_flush};

const SUBJECT: &str = "Arc";

/// Whether Arc can be reached and accepts the token. Absent where no Arc is configured, required or
/// seen to run.
pub(super) async fn check(settings: &Settings) -> Option<Check> {
    let Some(server) = &settings.backup.arc else {
        return unconfigured(settings);
    };
    Some(match ArcClient::new(server).check().await {
        Ok(access) => Check::good(SUBJECT, "reach", format!("{}: {access}", server.url)),
        Err(error) => {
            Check::bad(SUBJECT, "reach", error.to_string()).look_at(error.setting(), error.remedy())
        }
    })
}

fn unconfigured(settings: &Settings) -> Option<Check> {
    let check = if settings.backup.require_flush {
        let text =
            "`backup.require_flush` is true, and `backup.arc_url` is not set: every backup fails";
        Check::bad(SUBJECT, "flush", text)
    } else {
        let seen = without_flush(settings)?;
        let text = format!("{seen}: backups lack the rows that it holds in memory");
        Check::warn(SUBJECT, "flush", text)
    };
    Some(check.look_at("backup.arc_url", SET_URL))
}
