//! `cancel`.

use std::sync::Arc;
use std::time::Duration;

use poem_openapi::types::ToJSON;
use serde_json::json;

use super::DONE;
use super::common::{or_interrupted, who};
use super::output::{line, note};
use super::signals::Signals;
use crate::operations::{AfterCancel, ArcBackup};
use crate::{Error, Result};

/// What an operation may take beyond `backup.stop_timeout`: half a second to hear of the cancel,
/// and its last words.
const GRACE: Duration = Duration::from_secs(2);

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    wait: Option<Duration>,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    let cancelling = or_interrupted(signals, engine.cancel(&who())).await?;
    let Some(cancelling) = cancelling else {
        return Err(Error::Failed("no operation is running".to_owned()));
    };
    let wait = wait.unwrap_or(engine.settings().backup.stop_timeout + GRACE);
    let ended = or_interrupted(signals, engine.ended(&cancelling, wait)).await?;
    let name = match &cancelling.backup_id {
        Some(backup_id) => format!("{} {backup_id}", cancelling.operation),
        None => cancelling.operation.clone(),
    };
    let AfterCancel::Ended(entry) = ended else {
        return Err(Error::Failed(format!(
            "{name} was asked to end, and still runs after {} s: see `arc-backup status`",
            wait.as_secs()
        )));
    };
    match (entry, json) {
        (Some(operation), true) => line(&operation.to_json_string()),
        (None, true) => line(
            &json!({
                "operation": cancelling.operation,
                "operation_id": cancelling.operation_id,
                "status": "cancelled",
            })
            .to_string(),
        ),
        (Some(operation), false) => {
            let error = (operation.error.as_ref()).map(|error| format!(": {error}"));
            note!(
                "{name} {}{}",
                operation.status.as_str(),
                error.unwrap_or_default()
            );
        }
        (None, false) => note!("{name} has ended"),
    }
    Ok(DONE)
}
