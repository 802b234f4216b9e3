//! `check`.

use std::sync::Arc;

use poem_openapi::types::ToJSON;

use super::arguments::CheckArguments;
use super::exit_code::{DONE, FAILED};
use super::output::print_line;
use crate::Result;
use crate::api::types;
use crate::check::{CheckOptions, check};
use crate::operations::ArcBackup;

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    arguments: CheckArguments,
    json: bool,
) -> Result<u8> {
    let default = engine.settings().backup.check_max_age;
    let options = CheckOptions {
        target: arguments.target,
        max_age: arguments.max_age.unwrap_or(default),
        verified_within: arguments.verified_within,
        min_backups: arguments.min_backups,
    };
    let report = check(engine, &options).await?;
    let code = if report.ok { DONE } else { FAILED };
    match json {
        true => print_line(&types::CheckReport::from(report).to_json_string()),
        false => print_line(&report.line),
    }
    Ok(code)
}
