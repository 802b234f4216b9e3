//! The filter for operations of the history.

use jiff::Timestamp;
use rusqlite::types::Value as SqlValue;

use crate::operations::{Operation, OperationKind, Status};

/// Selects operations. An empty field excludes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationFilter {
    /// Of one of these targets.
    pub targets: Vec<String>,
    /// With one of these statuses.
    pub statuses: Vec<Status>,
    /// Of one of these kinds.
    pub operations: Vec<OperationKind>,
    /// Of this backup.
    pub backup_id: Option<String>,
    /// For this schedule.
    pub schedule: Option<String>,
    /// Begun at this moment or later.
    pub since: Option<Timestamp>,
    /// Begun before this moment.
    pub until: Option<Timestamp>,
}

/// One page of the selected operations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OperationPage {
    /// The operations, newest first, without their problems.
    pub operations: Vec<Operation>,
    /// The number of selected operations on all pages.
    pub total: u64,
}

impl OperationFilter {
    /// Returns the SQL condition on the rows of the history, with its parameters.
    ///
    /// The fields are read from the row's JSON document, so that files of earlier versions work. A
    /// row that is not JSON has no fields: only a filter without conditions on fields selects it.
    pub(crate) fn condition(&self) -> (String, Vec<SqlValue>) {
        let mut parts = vec!["TRUE".to_owned()];
        let mut values = Vec::new();
        let mut one_of = |field: &str, texts: Vec<String>| {
            if texts.is_empty() {
                return;
            }
            let marks = vec!["?"; texts.len()].join(", ");
            parts.push(format!("{} IN ({marks})", field_of_body(field)));
            values.extend(texts.into_iter().map(SqlValue::Text));
        };
        one_of("target", self.targets.clone());
        let kinds = self.operations.iter().map(ToString::to_string);
        one_of("operation", kinds.collect());
        one_of("backup_id", self.backup_id.iter().cloned().collect());
        one_of("schedule", self.schedule.iter().cloned().collect());
        if !self.statuses.is_empty() {
            // The column: that of a row which cannot be parsed is corrected there alone.
            let marks = vec!["?"; self.statuses.len()].join(", ");
            parts.push(format!("lower(status) IN ({marks})"));
            let statuses = self.statuses.iter().map(ToString::to_string);
            values.extend(statuses.map(SqlValue::Text));
        }
        // `…:05Z` is before `…:05.1Z`, but `Z` sorts after `.`.
        for (moment, comparison) in [(self.since, ">="), (self.until, "<")] {
            if let Some(moment) = moment {
                parts.push(format!("rtrim(started_at, 'Z') {comparison} rtrim(?, 'Z')"));
                values.push(SqlValue::Text(moment.to_string()));
            }
        }
        (parts.join(" AND "), values)
    }
}

/// Returns the SQL for a field of the row's JSON document; NULL for a row that is not JSON.
fn field_of_body(name: &str) -> String {
    format!("CASE WHEN json_valid(body) THEN json_extract(body, '$.{name}') END")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::HistoryLimits;
    use crate::operations::history::History;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    /// Guards against a failure that cannot be found among thousands of nights.
    #[tokio::test]
    async fn each_condition_lets_through_what_fits_and_counts_all_pages() {
        let folder = tempfile::tempdir().expect("a folder");
        let limits = HistoryLimits {
            operations: 100,
            age: Duration::from_secs(400 * 86_400 * 365),
        };
        let path = folder.path().join("history.db");
        let history = History::new(path.clone(), limits);
        for (name, operation, target, status, started_at) in [
            (
                "a",
                OperationKind::Backup,
                "local",
                Status::Completed,
                "2026-11-01T03:00:00Z",
            ),
            (
                "b",
                OperationKind::Backup,
                "offsite",
                Status::Failed,
                "2026-11-02T03:00:00Z",
            ),
            (
                "c",
                OperationKind::Verify,
                "offsite",
                Status::Completed,
                "2026-11-02T03:00:00.25Z",
            ),
            (
                "d",
                OperationKind::Restore,
                "local",
                Status::Failed,
                "2026-11-03T03:00:00Z",
            ),
        ] {
            let written = history.write(Operation {
                operation_id: name.to_owned(),
                operation,
                backup_id: format!("of-{name}"),
                target: Some(target.to_owned()),
                status,
                started_at: started_at.to_owned(),
                completed_at: Some(started_at.to_owned()),
                ..Operation::default()
            });
            written.await.expect("written");
        }
        let broken = rusqlite::Connection::open(path).expect("opened");
        broken
            .execute_batch(
                "INSERT INTO operations VALUES (99, 'x', '2026-11-05T00:00:00Z', '', '{', NULL)",
            )
            .expect("written");
        drop(broken);
        let some = OperationFilter::default;
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        for (filter, names) in [
            // A row that cannot be parsed is shown if the filter has no condition on its fields.
            (some(), "xdcba"),
            (
                OperationFilter {
                    targets: texts(&["offsite"]),
                    ..some()
                },
                "cb",
            ),
            (
                OperationFilter {
                    targets: texts(&["offsite", "local"]),
                    ..some()
                },
                "dcba",
            ),
            (
                OperationFilter {
                    targets: texts(&["moon"]),
                    ..some()
                },
                "",
            ),
            (
                OperationFilter {
                    statuses: vec![Status::Failed],
                    ..some()
                },
                "db",
            ),
            (
                OperationFilter {
                    operations: vec![OperationKind::Verify, OperationKind::Restore],
                    ..some()
                },
                "dc",
            ),
            (
                OperationFilter {
                    backup_id: Some("of-a".to_owned()),
                    ..some()
                },
                "a",
            ),
            (
                OperationFilter {
                    since: Some(time("2026-11-02T03:00:00.25Z")),
                    ..some()
                },
                "xdc",
            ),
            (
                OperationFilter {
                    since: Some(time("2026-11-02T03:00:00Z")),
                    ..some()
                },
                "xdcb",
            ),
            (
                OperationFilter {
                    until: Some(time("2026-11-02T03:00:00.25Z")),
                    ..some()
                },
                "ba",
            ),
            (
                OperationFilter {
                    targets: texts(&["local"]),
                    statuses: vec![Status::Failed],
                    since: Some(time("2026-11-03T02:00:00Z")),
                    ..some()
                },
                "d",
            ),
        ] {
            let mut found = String::new();
            for offset in 0..5 {
                let page = history.find(filter.clone(), offset, 1).await.expect("read");
                assert_eq!(page.total, names.len() as u64, "{filter:?}");
                found.extend(page.operations.into_iter().map(|one| one.operation_id));
            }
            assert_eq!(found, names, "{filter:?}");
        }
    }
}
