//! `cancel`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::actor::who;
use super::exit_code::DONE;
use super::json;
use super::output::{print_line, print_note};
use super::signals::Signals;
use crate::operations::{AfterCancel, ArcBackup};
use crate::{Error, Result};

/// What an operation may take beyond `backup.stop_timeout`: half a second until its process sees
/// the cancel, and the time to record how it ended.
const GRACE: Duration = Duration::from_secs(2);

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    operation_id: Option<&str>,
    wait: Option<Duration>,
    as_json: bool,
    signals: &Signals,
) -> Result<u8> {
    let cancelling = signals
        .or_interrupted(engine.cancel(&who(), operation_id))
        .await?;
    let Some(cancelling) = cancelling else {
        return Err(Error::Failed(match operation_id {
            Some(id) => format!("operation {id} is not running"),
            None => "no operation is running".to_owned(),
        }));
    };
    let wait = wait.unwrap_or(engine.settings().backup.stop_timeout + GRACE);
    let ended = signals
        .or_interrupted(engine.ended(&cancelling, wait))
        .await?;
    let name = match &cancelling.backup_id {
        Some(backup_id) => format!("{} {backup_id}", cancelling.operation),
        None => cancelling.operation.clone(),
    };
    let AfterCancel::Ended(entry) = ended else {
        return Err(Error::Failed(format!(
            "{name} was asked to end and still runs after {} s; see `arc-backup status`",
            wait.as_secs()
        )));
    };
    match (entry, as_json) {
        (Some(operation), true) => print_line(&json::operation(*operation)),
        (None, true) => print_line(
            &json!({
                "operation": cancelling.operation,
                "operation_id": cancelling.operation_id,
                "status": "cancelled",
            })
            .to_string(),
        ),
        (Some(operation), false) => {
            let error = (operation.error.as_ref()).map(|error| format!(": {error}"));
            print_note!(
                "{name} {}{}",
                operation.status.as_str(),
                error.unwrap_or_default()
            );
        }
        (None, false) => print_note!("{name} has ended"),
    }
    Ok(DONE)
}
