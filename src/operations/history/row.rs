//! An operation as a row of the history.

use crate::operations::{Operation, OperationKind, Status};

/// The columns that [`Row::read`] expects, in this order.
pub(crate) const COLUMNS: &str = "operation_id, started_at, status, body";

/// An operation as it is stored in the database.
pub(crate) struct Row {
    operation_id: String,
    started_at: String,
    status: String,
    body: String,
}

impl Row {
    pub(crate) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            operation_id: row.get(0)?,
            started_at: row.get(1)?,
            status: row.get(2)?,
            body: row.get(3)?,
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.operation_id
    }

    pub(crate) fn parse(&self) -> serde_json::Result<Operation> {
        serde_json::from_str(&self.body)
    }

    /// Returns the operation. If the row cannot be parsed, the operation's error says so.
    pub(crate) fn operation(&self) -> Operation {
        self.parse().unwrap_or_else(|error| Operation {
            operation: OperationKind::Unknown,
            operation_id: self.operation_id.clone(),
            started_at: self.started_at.clone(),
            status: Status::from_name(&self.status.to_lowercase()).unwrap_or(Status::Failed),
            error: Some(format!(
                "the history's row for this operation cannot be read: {error}"
            )),
            ..Operation::default()
        })
    }
}

/// Returns the operations for a list, without their problems.
pub(crate) fn listed(rows: &[Row]) -> Vec<Operation> {
    (rows.iter().map(Row::operation))
        .map(|operation| Operation {
            problems: Vec::new(),
            ..operation
        })
        .collect()
}
