//! `set-aside`.

use std::sync::Arc;

use jiff::Timestamp;
use poem_openapi::types::ToJSON;

use super::exit_code::{DONE, FAILED};
use super::figures;
use super::output::{print_line, print_stderr};
use super::table::{Table, left, right};
use super::undo_arguments::SetAsideArguments;
use crate::Result;
use crate::api::types;
use crate::operations::{ArcBackup, SetAsideFiles};
use crate::times;

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    arguments: SetAsideArguments,
    as_json: bool,
) -> Result<u8> {
    if let Some(operation) = &arguments.remove {
        let removed = engine.remove_set_aside(operation).await?;
        match as_json {
            true => print_line(&types::RemovedBody::from(removed).to_json_string()),
            false => print_line(&format!(
                "removed what operation {operation} had set aside: {} files, {}",
                removed.files,
                figures::size(removed.bytes)
            )),
        }
        return Ok(DONE);
    }
    let (found, faults) = engine.list_set_aside().await?;
    if as_json {
        print_line(&types::SetAsideBody::new(found, &faults).to_json_string());
    } else {
        print(&found, Timestamp::now());
    }
    for fault in &faults {
        print_stderr!("error: cannot count the files set aside by restores: {fault}");
    }
    Ok(match faults.is_empty() {
        true => DONE,
        false => FAILED,
    })
}

fn print(found: &[SetAsideFiles], now: Timestamp) {
    if found.is_empty() {
        print_line("no files set aside by restores");
        return;
    }
    let mut table = Table::new([
        left("OPERATION"),
        left("RESTORED"),
        right("AGE"),
        right("FILES"),
        right("SIZE"),
        left("EXPIRES"),
        left("PLACE").or_shrink(),
    ]);
    for one in found {
        let unknown = || "unknown".to_owned();
        let mut rows = one
            .places
            .iter()
            .map(|place| (place.files, place.bytes, place.place.clone()));
        let first = rows.next().unwrap_or_default();
        let age = one
            .since
            .map_or_else(String::new, |since| figures::age(&since.to_string(), now));
        let expires = match one.expires_at {
            Some(moment) if moment <= now => "with the next backup".to_owned(),
            Some(moment) => format!(
                "in {}",
                times::age(now, moment).map_or_else(String::new, times::short)
            ),
            None => "never".to_owned(),
        };
        table.row([
            one.operation_id.clone().unwrap_or_else(unknown),
            one.backup_id.clone().unwrap_or_else(unknown),
            age,
            first.0.to_string(),
            figures::size(first.1),
            expires,
            first.2,
        ]);
        for (files, bytes, place) in rows {
            let empty = String::new;
            table.row([
                empty(),
                empty(),
                empty(),
                files.to_string(),
                figures::size(bytes),
                empty(),
                place,
            ]);
        }
    }
    table.print();
}
