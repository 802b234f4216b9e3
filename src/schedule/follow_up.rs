//! What follows a backup of a schedule: its copies, its verification, its rehearsal, and the
//! pruning.

use std::time::Duration;

use futures::future::BoxFuture;
use jiff::SignedDuration;

use super::clock::Clock;
use super::work::ScheduleWork;
use crate::config::ScheduleSettings;
use crate::operations::{Operation, Status};
use crate::{Error, Result};

/// How long a step waits while something else is at work, before it is given up until the next run.
const BUSY_LIMIT: SignedDuration = SignedDuration::from_mins(30);
/// How often it asks.
const BUSY_PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// What becomes of a copy.
pub(super) type OnCopyEnd<'a> = &'a (dyn Fn(&str, Option<String>) + Send + Sync);

/// The target that holds the backup of this operation; `None` where several hold a leg of it.
pub(super) fn held_by(backup: &Operation) -> Option<&str> {
    let one = backup.target.as_deref();
    one.filter(|_| backup.targets.is_empty())
}

/// Makes what follows a successful backup: the copies, the verification, the rehearsal, then the
/// pruning of the targets that it was made in, and of those that the copies went to. Each is tried,
/// whatever became of the others, but a target is not pruned whose copy failed. Returns the
/// operations.
pub async fn follow_up(
    work: &dyn ScheduleWork,
    clock: &dyn Clock,
    schedule: &ScheduleSettings,
    backup: &Operation,
) -> Vec<Result<Operation>> {
    with_copies(work, clock, schedule, backup, &|_, _| {}).await
}

/// The same; `copied` gets what became of each copy: why there is none, or `None`.
pub(super) async fn with_copies(
    work: &dyn ScheduleWork,
    clock: &dyn Clock,
    schedule: &ScheduleSettings,
    backup: &Operation,
    copied: OnCopyEnd<'_>,
) -> Vec<Result<Operation>> {
    let (name, backup_id) = (&schedule.timing.name, &*backup.backup_id);
    let from = held_by(backup);
    let mut operations = Vec::new();
    let mut to_prune = match from {
        Some(from) => vec![from.to_owned()],
        None => backup.targets.clone(),
    };
    for to in &schedule.copy_to {
        let done = while_busy(clock, || work.copy(schedule, backup_id, from, to)).await;
        let error = fault(&done);
        if let Some(error) = &error {
            tracing::warn!(schedule = name, backup_id, to, error, "a copy failed");
        } else {
            to_prune.push(to.clone());
        }
        copied(to, error);
        operations.push(done);
    }
    operations.extend(finish(work, clock, schedule, (backup_id, from), &to_prune).await);
    operations
}

/// Verifies a backup, rehearses it, and then prunes these targets.
pub(super) async fn finish(
    work: &dyn ScheduleWork,
    clock: &dyn Clock,
    schedule: &ScheduleSettings,
    (backup_id, from): (&str, Option<&str>),
    to_prune: &[String],
) -> Vec<Result<Operation>> {
    let (name, mut operations) = (&schedule.timing.name, Vec::new());
    if let Some(how) = schedule.verify {
        let done = while_busy(clock, || work.verify(schedule, backup_id, from, how)).await;
        if let Some(error) = fault(&done) {
            tracing::warn!(schedule = name, backup_id, error, "the verification failed");
        }
        operations.push(done);
    }
    if let Some(how) = schedule.rehearse {
        let done = while_busy(clock, || work.rehearse(schedule, backup_id, from, how)).await;
        if let Some(error) = fault(&done) {
            tracing::warn!(schedule = name, backup_id, error, "the rehearsal failed");
        }
        operations.push(done);
    }
    for target in to_prune {
        operations.extend(prune(work, clock, schedule, target).await);
    }
    operations
}

/// Prunes a target, once nothing else is at work there; `None` where no rule is set.
pub(super) async fn prune(
    work: &dyn ScheduleWork,
    clock: &dyn Clock,
    schedule: &ScheduleSettings,
    target: &str,
) -> Option<Result<Operation>> {
    let done = while_busy(clock, || work.prune(schedule, target)).await;
    let done = done.transpose()?;
    if let Some(error) = fault(&done) {
        let name = &schedule.timing.name;
        tracing::warn!(schedule = name, target, error, "the prune failed");
    }
    Some(done)
}

/// Why an operation is not completed.
pub(super) fn fault(done: &Result<Operation>) -> Option<String> {
    match done {
        Ok(operation) if operation.status == Status::Completed => None,
        Ok(operation) => {
            let error = operation.error.clone();
            Some(error.unwrap_or_else(|| operation.status.to_string()))
        }
        Err(error) => Some(error.to_string()),
    }
}

async fn while_busy<'a, T>(
    clock: &dyn Clock,
    attempt: impl Fn() -> BoxFuture<'a, Result<T>>,
) -> Result<T> {
    let limit = clock.now() + BUSY_LIMIT;
    loop {
        let done = attempt().await;
        let is_busy = matches!(&done, Err(error) if matches!(error.root(), Error::Busy(_)));
        if !is_busy || clock.now() >= limit {
            return done;
        }
        clock.sleep_until(clock.now() + BUSY_PAUSE).await;
        // A clock that returns at once must not make this a busy loop.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
