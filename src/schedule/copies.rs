//! What follows a backup: copies that are still to be made, of which a failed one is tried again in
//! growing pauses, and what is left when the service ended before its time.

use jiff::{SignedDuration, Timestamp};

use super::decision::Action;
use super::kept::{After, PendingCopy};
use super::machine::{Entry, Machine, backoff};

/// The first pause before a copy that failed is tried again.
const FIRST_BACKOFF: SignedDuration = SignedDuration::from_mins(1);
/// The longest one.
const LONGEST_BACKOFF: SignedDuration = SignedDuration::from_hours(1);

impl Machine {
    /// The first copy that is due.
    pub(super) fn begin_copy(&mut self, now: Timestamp) -> Option<Action> {
        for entry in &mut self.entries {
            if entry.is_paused() {
                continue;
            }
            for copy in &mut entry.kept.copies {
                if copy.retry_at > now + LONGEST_BACKOFF {
                    copy.retry_at = now;
                }
            }
            let due = entry.kept.copies.iter().find(|copy| copy.retry_at <= now);
            if let Some(copy) = due.cloned() {
                let name = entry.timing.name.clone();
                self.at_work = Some(name.clone());
                return Some(Action::Copy { name, copy });
            }
        }
        None
    }

    /// A backup is to be copied to these targets. Copies of earlier ones that are still to be made
    /// to the same targets are given up: their backups are returned.
    pub(crate) fn add_copies(
        &mut self,
        name: &str,
        (backup_id, from): (&str, Option<&str>),
        to: &[String],
        now: Timestamp,
    ) -> Vec<PendingCopy> {
        let Some(Entry { kept, .. }) = self.entry(name) else {
            return Vec::new();
        };
        let (given_up, left) = (kept.copies.drain(..)).partition(|copy| to.contains(&copy.to));
        kept.copies = left;
        kept.copies.extend(to.iter().map(|to| PendingCopy {
            backup_id: backup_id.to_owned(),
            from: from.map(str::to_owned),
            to: to.clone(),
            attempts: 0,
            retry_at: now,
            error: None,
        }));
        given_up
    }

    /// A copy was tried. `error` says why there is none; `None`: there is, or it is not needed.
    pub(crate) fn copy_has_ended(
        &mut self,
        name: &str,
        copy: &PendingCopy,
        error: Option<String>,
        now: Timestamp,
    ) {
        let Some(Entry { kept, .. }) = self.entry(name) else {
            return;
        };
        let is_it = |one: &PendingCopy| one.backup_id == copy.backup_id && one.to == copy.to;
        match error {
            None => {
                kept.copies.retain(|one| !is_it(one));
                // Should the service end now, the next start prunes that target too.
                let after = kept.after.as_mut();
                if let Some(after) = after.filter(|after| after.backup_id == copy.backup_id)
                    && !after.targets.contains(&copy.to)
                {
                    after.targets.push(copy.to.clone());
                }
            }
            Some(error) => {
                for one in kept.copies.iter_mut().filter(|one| is_it(one)) {
                    one.attempts += 1;
                    one.retry_at = now + backoff(one.attempts, FIRST_BACKOFF, LONGEST_BACKOFF);
                    one.error = Some(error.clone());
                }
            }
        }
    }

    /// A copy did not begin, as something else was at work in a target: that is no failure, and the
    /// pauses do not grow.
    pub(crate) fn copy_has_to_wait(
        &mut self,
        name: &str,
        copy: &PendingCopy,
        reason: &str,
        now: Timestamp,
    ) {
        let Some(Entry { kept, .. }) = self.entry(name) else {
            return;
        };
        let is_it = |one: &&mut PendingCopy| one.backup_id == copy.backup_id && one.to == copy.to;
        for one in kept.copies.iter_mut().filter(is_it) {
            one.retry_at = now + FIRST_BACKOFF;
            one.error = Some(reason.to_owned());
        }
    }

    /// What was to follow a backup when the service ended.
    pub(super) fn begin_rest(&mut self) -> Option<Action> {
        let mut entries = self.entries.iter().filter(|entry| !entry.is_paused());
        let (name, after) = entries.find_map(|entry| {
            let after = entry.kept.after.clone()?;
            Some((entry.timing.name.clone(), after))
        })?;
        self.at_work = Some(name.clone());
        Some(Action::Finish { name, after })
    }

    /// The service has seen the end of the backup of a run.
    pub(crate) fn backup_has_ended(&mut self, name: &str, operation_id: &str) {
        if let Some(entry) = self.entry(name)
            && let Some(run) = &mut entry.kept.last_run
            && run.operation_id == operation_id
        {
            run.has_ended = true;
        }
    }

    /// This is to follow the backup; `None`: all of it is done.
    pub(crate) fn set_following(&mut self, name: &str, after: Option<After>) {
        if let Some(entry) = self.entry(name) {
            entry.kept.after = after;
        }
    }
}
