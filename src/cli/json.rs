//! The documents that `--json` prints.

use poem_openapi::types::ToJSON;
use serde_json::{Value, json};

use crate::api::types;
use crate::operations::Operation;

/// An operation, as REST answers it.
pub(super) fn operation(operation: Operation) -> String {
    types::Operation::from(operation).to_json_string()
}

/// Operations, with their number.
pub(super) fn operations(operations: Vec<Operation>) -> Value {
    let rows: Vec<_> = (operations.into_iter())
        .filter_map(|operation| types::Operation::from(operation).to_json())
        .collect();
    json!({"count": rows.len(), "operations": rows})
}

/// A document on several lines.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}
