//! `history` and `status`.

use std::sync::Arc;

use poem_openapi::types::ToJSON;
use serde_json::json;

use super::DONE;
use super::common::{or_interrupted, pretty};
use super::output::{complain, line};
use super::signals::Signals;
use crate::Result;
use crate::operations::{ArcBackup, Operation};

pub(super) async fn status(engine: &Arc<ArcBackup>, json: bool, signals: &Signals) -> Result<u8> {
    let status = or_interrupted(signals, engine.status()).await?;
    match (json, status) {
        (true, Some(operation)) => line(&operation.to_json_string()),
        (true, None) => line(&crate::api::idle_answer(engine).await.to_json_string()),
        (false, None) => line("idle"),
        (false, Some(operation)) => line(&row(&operation)),
    }
    if let Some(marker) = engine.restore_in_progress().await {
        complain!("{}: {}", marker.words(), marker.remedy());
    }
    Ok(DONE)
}

pub(super) async fn history(
    engine: &Arc<ArcBackup>,
    limit: u64,
    as_json: bool,
    signals: &Signals,
) -> Result<u8> {
    let operations = or_interrupted(signals, engine.operations(0, limit)).await?;
    if as_json {
        let rows: Vec<_> = operations.iter().filter_map(ToJSON::to_json).collect();
        line(&pretty(&json!({"count": rows.len(), "operations": rows})));
    } else {
        operations
            .iter()
            .for_each(|operation| line(&row(operation)));
    }
    Ok(DONE)
}

fn row(operation: &Operation) -> String {
    let what = operation.status.as_str();
    let error = operation
        .error
        .as_ref()
        .map(|error| format!("  {error}"))
        .unwrap_or_default();
    format!(
        "{}  {:8} {}  {:9} {}/{} files, {} by {}{error}",
        operation.started_at,
        operation.operation,
        operation.backup_id,
        what,
        operation.processed_files,
        operation.total_files,
        operation.origin,
        operation.actor,
    )
}
