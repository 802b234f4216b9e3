//! What the runner does for a run: the backup, and all that follows it.

use std::sync::Arc;

use jiff::Timestamp;

use super::follow_up::{fault, finish, held_by, prune, with_copies};
use super::kept::{After, PendingCopy};
use super::scheduler::Scheduler;
use crate::Error;
use crate::config::ScheduleSettings;
use crate::operations::{Running, Status};

impl Scheduler {
    pub(super) async fn run_one(&self, name: String, scheduled_at: Timestamp) {
        let Some(schedule) = self.schedule(&name) else {
            return;
        };
        let running = match self.work.backup(&schedule).await {
            Ok(running) => running,
            Err(error) if may_begin_later(&error, self.engine.is_closing()) => {
                let reason = error.to_string();
                self.machine().has_to_wait(&name, self.clock.now(), &reason);
                return;
            }
            Err(error) => {
                tracing::error!(schedule = name, %error, "a scheduled backup failed before it began");
                let (now, reason) = (self.clock.now(), error.to_string());
                self.machine().has_failed(&name, now, &reason);
                return;
            }
        };
        let operation_id = running.snapshot().operation_id;
        tracing::info!(schedule = name, %scheduled_at, operation_id, "a scheduled run begins");
        self.machine()
            .has_begun(&name, self.clock.now(), &operation_id);
        self.keep().await;
        self.follow(schedule, running).await;
    }

    /// Waits for a backup, and does what follows it.
    pub(super) async fn follow(&self, schedule: Arc<ScheduleSettings>, running: Arc<Running>) {
        let ended = running.wait().await;
        let name = &schedule.timing.name;
        // One that the end of the service cut off is made up after the next start.
        if ended.status == Status::Completed || !self.engine.is_closing() {
            let mut machine = self.machine();
            machine.backup_has_ended(name, &ended.operation_id);
        }
        if ended.status != Status::Completed {
            let error = ended.error.as_deref().unwrap_or_default();
            tracing::error!(
                schedule = name,
                error,
                "a scheduled backup failed: nothing is pruned"
            );
            return;
        }
        let (id, from, now) = (&*ended.backup_id, held_by(&ended), self.clock.now());
        let given_up = self
            .machine()
            .add_copies(name, (id, from), &schedule.copy_to, now);
        let targets = match from {
            Some(from) => vec![from.to_owned()],
            None => ended.targets.clone(),
        };
        let after = After {
            backup_id: id.to_owned(),
            from: from.map(str::to_owned),
            targets,
        };
        self.machine().set_following(name, Some(after));
        for PendingCopy {
            backup_id,
            to,
            error,
            ..
        } in given_up
        {
            let error = error.unwrap_or_default();
            tracing::warn!(
                schedule = name,
                backup_id,
                to,
                error,
                "a copy that failed until now is given up: a newer backup takes its place"
            );
        }
        self.keep().await;
        let copied = |to: &str, error: Option<String>| {
            let copy = PendingCopy {
                backup_id: id.to_owned(),
                from: from.map(str::to_owned),
                to: to.to_owned(),
                attempts: 0,
                retry_at: now,
                error: None,
            };
            let mut machine = self.machine();
            machine.copy_has_ended(name, &copy, error, self.clock.now());
        };
        with_copies(&*self.work, &*self.clock, &schedule, &ended, &copied).await;
        self.followed(name);
    }

    /// All that follows the last backup was tried: a service that ends does the rest when it is
    /// started again.
    fn followed(&self, name: &str) {
        if !self.engine.is_closing() {
            self.machine().set_following(name, None);
        }
    }

    /// Verifies a backup and prunes its targets: the service ended before.
    pub(super) async fn finish(&self, name: String, after: After) {
        let Some(schedule) = self.schedule(&name) else {
            self.followed(&name);
            return;
        };
        tracing::info!(
            schedule = name,
            backup_id = after.backup_id,
            "the service ended before this backup was verified or rehearsed, and its target pruned: that is done now"
        );
        let (work, clock) = (&*self.work, &*self.clock);
        let held = (&*after.backup_id, after.from.as_deref());
        finish(work, clock, &schedule, held, &after.targets).await;
        self.followed(&name);
    }

    /// Tries a copy that failed before.
    pub(super) async fn copy_again(&self, name: String, copy: PendingCopy) {
        let Some(schedule) = self.schedule(&name) else {
            return;
        };
        if !schedule.copy_to.contains(&copy.to) {
            tracing::warn!(
                schedule = name,
                backup_id = copy.backup_id,
                to = copy.to,
                "a copy is given up: the schedule no longer copies to this target"
            );
            let now = self.clock.now();
            self.machine().copy_has_ended(&name, &copy, None, now);
            return;
        }
        let from = copy.from.as_deref();
        let copied = self.work.copy(&schedule, &copy.backup_id, from, &copy.to);
        let done = copied.await;
        if let Err(error) = &done
            && matches!(error.root(), Error::Busy(_))
        {
            let (reason, now) = (error.to_string(), self.clock.now());
            self.machine().copy_has_to_wait(&name, &copy, &reason, now);
            return;
        }
        let is_gone = matches!(&done, Err(error) if matches!(error.root(), Error::NotFound(_)));
        let error = fault(&done);
        match &error {
            _ if is_gone => tracing::warn!(
                schedule = name,
                backup_id = copy.backup_id,
                to = copy.to,
                "a copy is given up: its backup no longer exists"
            ),
            Some(error) => tracing::warn!(
                schedule = name,
                backup_id = copy.backup_id,
                to = copy.to,
                error,
                attempts = copy.attempts + 1,
                "a copy failed again, and is tried later"
            ),
            None => tracing::info!(
                schedule = name,
                backup_id = copy.backup_id,
                to = copy.to,
                "a copy that failed before is made"
            ),
        }
        let is_made = error.is_none();
        let error = error.filter(|_| !is_gone);
        let now = self.clock.now();
        self.machine().copy_has_ended(&name, &copy, error, now);
        if is_made {
            self.keep().await;
            prune(&*self.work, &*self.clock, &schedule, &copy.to).await;
        }
    }
}

/// Whether a run that could not begin waits: for others, or for the next start of the service.
fn may_begin_later(error: &Error, is_closing: bool) -> bool {
    matches!(error.root(), Error::Busy(_)) || (is_closing && error.is_cancelled())
}
