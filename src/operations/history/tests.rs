//! Tests of what the history records, and how.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use super::{History, HistoryFile};
use crate::config::HistoryLimits;
use crate::operations::{Operation, OperationFilter, OperationKind, Status};
use crate::operations::{Problem, ProblemKind};

fn operation(number: u64, started: Timestamp) -> Operation {
    Operation {
        operation_id: format!("operation-{number}"),
        started_at: started.to_string(),
        completed_at: Some(started.to_string()),
        status: Status::Failed,
        problems: vec![Problem {
            path: "data/a".to_owned(),
            kind: ProblemKind::Missing,
            detail: "it is gone".to_owned(),
        }],
        problem_count: 1,
        ..Operation::default()
    }
}

fn history(folder: &Path, operations: u64) -> History {
    let limits = HistoryLimits {
        operations,
        age: Duration::from_secs(86_400),
    };
    History::new(folder.join("history.db"), limits)
}

/// Guards against a history that fills the disk, and a list of gigabytes of problems.
#[tokio::test]
async fn old_operations_go_and_lists_come_without_problems() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = history(folder.path(), 3);
    let now = Timestamp::now();
    let long_ago = now - SignedDuration::from_hours(48);
    for number in 0..6 {
        let started = if number == 4 { long_ago } else { now };
        let written = history.write(operation(number, started)).await;
        written.expect("written");
    }
    let listed = history.list(0, 100).await.expect("listed");
    let ids: Vec<_> = (listed.iter())
        .map(|operation| &*operation.operation_id)
        .collect();
    assert_eq!(ids, ["operation-5", "operation-3"]);
    assert!(listed.iter().all(|operation| operation.problems.is_empty()));
    assert!(listed.iter().all(|operation| operation.problem_count == 1));
    let one = history.get("operation-5".to_owned()).await.expect("read");
    assert_eq!(one.expect("it is there").problems.len(), 1);
}

/// Guards against hiding an operation whose row is damaged, or written by another version.
#[tokio::test]
async fn a_row_that_cannot_be_parsed_is_shown_as_such() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = history(folder.path(), 9);
    for number in 0..3 {
        let written = history.write(operation(number, Timestamp::now())).await;
        written.expect("written");
    }
    let file = Connection::open(folder.path().join("history.db")).expect("opened");
    for (id, body) in [
        ("operation-0", r#"{"operation": "teleport"}"#),
        ("operation-1", "half a r"),
    ] {
        let change = "UPDATE operations SET body = ?2 WHERE operation_id = ?1";
        file.execute(change, [id, body]).expect("changed");
    }
    let found = history.find(OperationFilter::default(), 0, 9).await;
    let found = found.expect("read");
    let listed = history.list(0, 9).await.expect("read");
    assert_eq!((found.total, &found.operations), (3, &listed));
    let one = |id: &str| history.get(id.to_owned());
    for (place, id) in [(2, "operation-0"), (1, "operation-1")] {
        let shown = one(id).await.expect("read").expect("it is there");
        for shown in [&listed[place], &shown] {
            assert_eq!((&*shown.operation_id, shown.status), (id, Status::Failed));
            let error = shown.error.as_deref().unwrap_or_default();
            assert!(error.contains("cannot be read"), "{error}");
        }
    }
    assert_eq!(listed[0].error, None);
    // It is not taken for a backup that failed, and one that nobody runs does not run for ever.
    assert_eq!(listed[1].operation, OperationKind::Unknown);
    let running = "UPDATE operations SET status = 'Running'";
    file.execute(running, []).expect("changed");
    let settled = history.with(HistoryFile::fail_unreadable).await;
    settled.expect("changed");
    let listed = history.list(0, 9).await.expect("read");
    let statuses: Vec<_> = listed.iter().skip(1).map(|one| one.status).collect();
    assert_eq!(statuses, [Status::Failed; 2]);
    let failed = OperationFilter {
        statuses: vec![Status::Failed],
        ..OperationFilter::default()
    };
    let failed = history.find(failed, 0, 9).await.expect("read");
    assert_eq!(failed.operations, listed[1..]);
    let running = history.running_ids().await.expect("read");
    assert_eq!(running.len(), 1, "the readable one: {running:?}");
}

/// Guards against an empty file of a killed process that prevents every operation.
#[tokio::test]
async fn an_empty_file_is_a_history_of_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("history.db"), "").expect("written");
    let history = history(folder.path(), 3);
    assert_eq!(history.list(0, 9).await.expect("listed"), []);
    assert_eq!(history.get("x".to_owned()).await.expect("read"), None);
    let written = history.write(operation(1, Timestamp::now())).await;
    written.expect("written");
    assert_eq!(history.list(0, 9).await.expect("listed").len(), 1);
}

/// Guards against a reader of the history that blocks the service and the renewal of its lock.
#[tokio::test(flavor = "current_thread")]
async fn a_reader_that_holds_the_file_blocks_no_task() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = history(folder.path(), 3);
    let written = history.write(operation(1, Timestamp::now())).await;
    written.expect("written");
    let reader = Connection::open(folder.path().join("history.db")).expect("opened");
    reader
        .execute_batch("BEGIN; SELECT * FROM operations")
        .expect("read");
    let writing = history.write(operation(2, Timestamp::now()));
    let mut writing = std::pin::pin!(writing);
    let waits = tokio::time::timeout(Duration::from_millis(200), &mut writing).await;
    assert!(waits.is_err(), "the reader is in the way");
    // The only async thread is free: the wait is on a blocking thread.
    tokio::task::yield_now().await;
    drop(reader);
    writing.await.expect("written when the reader is gone");
}
