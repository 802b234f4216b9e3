//! `backup` with copies to other targets behind it.

use std::sync::Arc;
use std::time::Duration;

use poem_openapi::types::ToJSON;
use serde_json::{Value, json};

use super::exit_code::{DONE, FAILED};
use super::json as documents;
use super::operation::run;
use super::output::{print_line, print_stderr};
use super::signals::Signals;
use super::summary;
use super::wait_arguments::WaitArguments;
use crate::Result;
use crate::api::types;
use crate::manifest::BackupId;
use crate::operations::{ArcBackup, CopyOptions, Request, TimedRequest};

/// How long a copy waits for another operation, where `--wait` does not say.
const BUSY_TIMEOUT: Duration = Duration::from_secs(600);

/// Makes a backup and copies it to each target, also where the copy to another one failed. The exit
/// code is 0 where all was done.
pub(super) async fn back_up(
    engine: &Arc<ArcBackup>,
    request: TimedRequest,
    targets: &[String],
    busy: WaitArguments,
    as_json: bool,
    signals: &Signals,
) -> Result<u8> {
    let limit = request.limit;
    let ended = run(engine, request, busy, signals).await?;
    let is_made = ended.error.is_none();
    if !as_json {
        if is_made {
            print_line(&ended.backup_id);
        }
        summary::print(&ended);
    }
    let busy = WaitArguments {
        wait: busy.wait.or(Some(BUSY_TIMEOUT)),
    };
    let (mut copies, mut left) = (Vec::new(), Vec::new());
    if is_made {
        let id = BackupId::parse(&ended.backup_id)?;
        // The legs of a backup over several targets are found together.
        let from = ended.target.clone().filter(|_| ended.targets.is_empty());
        for target in targets {
            if signals.were_received() {
                left.push(target.as_str());
                continue;
            }
            let options = CopyOptions::new(id.clone(), target).from(from.clone());
            let copied = run(engine, Request::Copy(options).within(limit), busy, signals).await;
            let document = match copied {
                Ok(copy) => {
                    if copy.error.is_some() {
                        left.push(target.as_str());
                    }
                    if !as_json {
                        summary::print(&copy);
                    }
                    types::Operation::from(copy).to_json()
                }
                Err(error) => {
                    left.push(target.as_str());
                    print_stderr!("error: {error}");
                    Some(
                        json!({"to_target": target, "status": "failed", "error": error.to_string()}),
                    )
                }
            };
            copies.extend(document);
        }
    }
    if !left.is_empty() {
        let commands: Vec<_> = (left.iter())
            .map(|target| format!("`arc-backup copy {} --to {target}`", ended.backup_id))
            .collect();
        print_stderr!(
            "backup {} was made in target {}, and not copied to {}: run {}",
            ended.backup_id,
            ended.target.as_deref().unwrap_or("?"),
            left.join(", "),
            commands.join(" and ")
        );
    }
    let code = match is_made && left.is_empty() {
        true => DONE,
        false => FAILED,
    };
    if as_json {
        let mut document = types::Operation::from(ended).to_json().unwrap_or_default();
        document["copies"] = Value::Array(copies);
        print_line(&documents::pretty(&document));
    }
    Ok(code)
}
