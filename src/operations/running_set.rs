//! The operations of this process: those that run, and the last one that ended.

use std::sync::{Arc, Mutex, PoisonError};

use crate::operations::Running;

/// The operations that run in this process: one that writes, and several that only read backups.
///
/// Of those that have ended, the last of either sort stays: this process knows how it ended even if
/// the history could not be written.
#[derive(Debug, Default)]
pub(crate) struct RunningSet(Mutex<Vec<Arc<Running>>>);

impl RunningSet {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<Arc<Running>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds an operation. It takes the place of those of its sort that have ended.
    pub(crate) fn add(&self, running: Arc<Running>) {
        self.with(|all| add(all, running));
    }

    /// Adds an operation that ended before it ran, unless another one that writes has begun since.
    pub(crate) fn add_ended(&self, ended: Arc<Running>) {
        self.with(|all| {
            let is_superseded = |one: &Arc<Running>| {
                !one.is_done() && !one.kind().is_reader() && !ended.kind().is_reader()
            };
            if !all.iter().any(is_superseded) {
                add(all, ended);
            }
        });
    }

    /// Returns the operations that run: that which writes first, then the others, that which began
    /// last first.
    pub(crate) fn under_way(&self) -> Vec<Arc<Running>> {
        let mut all = self.with(|all| all.clone());
        all.retain(|one| !one.is_done());
        all.sort_by_key(|one| (one.kind().is_reader(), std::cmp::Reverse(one.started())));
        all
    }

    /// Returns the operation that writes, if one runs.
    pub(crate) fn writer(&self) -> Option<Arc<Running>> {
        let first = self.under_way().into_iter().next();
        first.filter(|one| !one.kind().is_reader())
    }

    /// Returns the first operation that runs, or that which ended last.
    pub(crate) fn current(&self) -> Option<Arc<Running>> {
        let first = self.under_way().into_iter().next();
        first.or_else(|| self.with(|all| all.iter().max_by_key(|one| one.started()).cloned()))
    }

    /// Returns an operation that runs, or is one of the last that ended.
    pub(crate) fn get(&self, operation_id: &str) -> Option<Arc<Running>> {
        let has_id = |one: &&Arc<Running>| one.operation_id() == operation_id;
        self.with(|all| all.iter().find(has_id).cloned())
    }

    /// Returns the operation that writes, or was the last that did.
    pub(crate) fn last_writer(&self) -> Option<Arc<Running>> {
        let writes = |one: &&Arc<Running>| !one.kind().is_reader();
        self.with(|all| all.iter().rfind(writes).cloned())
    }

    /// Whether somebody with this token started one of them.
    pub(crate) fn has_token(&self, fingerprint: [u8; 32]) -> bool {
        let is_of = |one: &Arc<Running>| one.who.fingerprint == Some(fingerprint);
        self.with(|all| all.iter().any(is_of))
    }
}

fn add(all: &mut Vec<Arc<Running>>, running: Arc<Running>) {
    let is_reader = running.kind().is_reader();
    all.retain(|one| !one.is_done() || one.kind().is_reader() != is_reader);
    all.push(running);
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::operations::{Operation, OperationKind, Origin, Who};

    fn running(operation: OperationKind, id: &str, second: i64) -> Arc<Running> {
        let who = Who {
            actor: "test".to_owned(),
            origin: Origin::Cli,
            fingerprint: None,
            token: None,
        };
        let operation = Operation {
            operation,
            operation_id: id.to_owned(),
            ..Operation::default()
        };
        let started = Timestamp::from_second(second).expect("a time");
        Running::new(operation, started, who)
    }

    /// Guards against a status that shows a verification and hides the backup beside it, and
    /// against a set that grows for as long as the service runs.
    #[test]
    fn what_writes_is_first_and_the_last_that_ended_stays() {
        let set = RunningSet::default();
        assert!(set.current().is_none());
        let (first, second) = (
            running(OperationKind::Verify, "v1", 1),
            running(OperationKind::Verify, "v2", 3),
        );
        let backup = running(OperationKind::Backup, "b", 2);
        for one in [&first, &second] {
            set.add(one.clone());
        }
        assert_eq!(set.current().expect("one").operation_id(), "v2");
        assert!(set.writer().is_none());
        set.add(backup.clone());
        let ids = |all: Vec<Arc<Running>>| -> Vec<String> {
            all.iter()
                .map(|one| one.operation_id().to_owned())
                .collect()
        };
        assert_eq!(ids(set.under_way()), ["b", "v2", "v1"]);
        let refused = running(OperationKind::Delete, "d", 4);
        refused.finish();
        set.add_ended(refused);
        assert_eq!(set.current().expect("one").operation_id(), "b");
        for one in [&first, &second, &backup] {
            one.finish();
        }
        assert_eq!(set.current().expect("one").operation_id(), "v2");
        assert!(set.writer().is_none() && set.get("b").is_some());
        for number in 0..10 {
            let next = running(OperationKind::Verify, &number.to_string(), 10 + number);
            set.add(next.clone());
            next.finish();
        }
        assert_eq!(set.with(|all| all.len()), 2);
        assert_eq!(set.last_writer().expect("one").operation_id(), "b");
    }
}
