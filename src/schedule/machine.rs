//! When what begins: a state machine over the schedules, what is kept of them, and the time. It
//! reads no clock and does nothing itself, so that years run in milliseconds.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::decision::{Action, Begun, Decided, Decision};
use super::kept::{Beginning, Kept, KeptSchedules, LastRun, MissedRun, MissedRuns, Waiting};
use super::restart::{settle_beginning, settle_cut_off};
use crate::cron::Timing;

/// A run that begins later than this was missed.
pub(crate) const LATE: SignedDuration = SignedDuration::from_mins(1);
/// The clock may be set back by this much without a run being repeated. Where it is set back by
/// more, it was wrong before, and waiting for it to come back could mean years of silence.
const SET_BACK: SignedDuration = SignedDuration::from_hours(25);
/// The first pause before a run that met a busy instance or target is tried again.
const FIRST_BACKOFF: SignedDuration = SignedDuration::from_secs(5);
/// The longest one.
const LONGEST_BACKOFF: SignedDuration = SignedDuration::from_mins(1);
/// Why runs did not begin.
pub(super) const PAUSED: &str = "it was paused";
const REMOVED: &str = "the schedule was removed before it ran";
const AT_WORK: &str = "another run was at work";
const NOT_RUNNING: &str = "the service did not run then, or its clock was set forward";
/// How long a removed schedule is remembered: its name may return.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Missed runs are counted up to this number at once.
const COUNTED: usize = 10_000;

/// A schedule in the machine.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) timing: Arc<Timing>,
    pub(crate) kept: Kept,
    /// Whether somebody has paused or resumed it, which wins over the file.
    pub(crate) switched: Option<bool>,
    /// When the next run begins, with the moment after which it was looked for.
    next: Option<(Timestamp, Option<Timestamp>)>,
}

impl Entry {
    pub(crate) fn is_paused(&self) -> bool {
        self.switched.unwrap_or(self.timing.paused)
    }

    /// When the next run begins that was not looked at; `None`: never.
    fn next_begin(&mut self) -> Option<Timestamp> {
        let after = considered_until(&self.kept);
        match self.next {
            Some((looked_after, next)) if looked_after == after => next,
            _ => {
                let next = self.timing.next_after(after);
                let next = next.map(|at| self.timing.begins_at(at));
                self.next = Some((after, next));
                next
            }
        }
    }
}

/// The state of all schedules.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    pub(crate) entries: Vec<Entry>,
    /// What is kept of schedules that were removed, by their names.
    removed: BTreeMap<String, Kept>,
    /// The schedule that is at work.
    pub(super) at_work: Option<String>,
    decisions: Vec<Decision>,
    is_dirty: bool,
}

impl Machine {
    /// Takes up schedules at the moment `now`, with what was kept of them. `of_history` is the last
    /// backup that each began by itself, as the history has it.
    pub(crate) fn new(
        timings: Vec<Arc<Timing>>,
        kept: &KeptSchedules,
        of_history: impl Fn(&str) -> Option<Begun>,
        now: Timestamp,
    ) -> Self {
        let entries = timings.into_iter().map(|timing| {
            let last = of_history(&timing.name);
            let mut kept = match (kept.schedules.get(&timing.name), &last) {
                (Some(kept), _) => kept.clone(),
                // What was kept is lost, or damaged.
                (None, Some(last)) => begin(&timing, last.at.min(now)),
                (None, None) => begin(&timing, now),
            };
            kept.waiting = None;
            settle_beginning(&mut kept, last.as_ref());
            settle_cut_off(&mut kept, last.as_ref());
            Entry {
                timing,
                kept,
                switched: None,
                next: None,
            }
        });
        let mut machine = Self {
            entries: entries.collect(),
            is_dirty: true,
            ..Self::default()
        };
        for at in 0..machine.entries.len() {
            machine.take_back(at, now);
            machine.take_up_change(at, now);
        }
        let is_known = |name: &String| machine.entries.iter().any(|one| one.timing.name == *name);
        let gone = kept.schedules.iter().filter(|(name, _)| !is_known(name));
        let removed = gone.map(|(name, kept)| (name.clone(), kept.clone()));
        machine.removed = removed.collect();
        for kept in machine.removed.values_mut() {
            kept.removed_at.get_or_insert(now);
        }
        machine.forget(now);
        machine
    }

    /// Takes up another list of schedules.
    pub(crate) fn configure(&mut self, timings: Vec<Arc<Timing>>, now: Timestamp) {
        let mut old = std::mem::take(&mut self.entries);
        for timing in timings {
            let known = old.iter().position(|one| one.timing.name == timing.name);
            let mut entry = match known.map(|at| old.swap_remove(at)) {
                Some(entry) => entry,
                None => Entry {
                    kept: (self.removed.remove(&timing.name))
                        .unwrap_or_else(|| begin(&timing, now)),
                    timing: timing.clone(),
                    switched: None,
                    next: None,
                },
            };
            (entry.timing, entry.next) = (timing, None);
            self.entries.push(entry);
            self.take_back(self.entries.len() - 1, now);
            self.take_up_change(self.entries.len() - 1, now);
        }
        for mut entry in old {
            self.give_up(&entry, now, REMOVED);
            entry.kept.removed_at = Some(now);
            self.removed.insert(entry.timing.name.clone(), entry.kept);
        }
        self.forget(now);
        self.is_dirty = true;
    }

    /// A schedule that was removed is there again: what fell into that time is no run.
    fn take_back(&mut self, at: usize, now: Timestamp) {
        if self.entries[at].kept.removed_at.take().is_some() {
            // Whether its run began was answered, if at all, while nobody knew the schedule.
            self.entries[at].kept.beginning = None;
            self.decide_until(at, now, REMOVED);
            self.is_dirty = true;
        }
    }

    /// Forgets schedules that were removed long ago.
    fn forget(&mut self, now: Timestamp) {
        let is_recent = |at: Timestamp| now.duration_since(at) < REMEMBERED;
        self.removed
            .retain(|_, kept| kept.removed_at.is_none_or(is_recent));
    }

    /// Another expression or zone counts from now on: what it would have named before is no run
    /// that was missed.
    fn take_up_change(&mut self, at: usize, now: Timestamp) {
        let Entry { timing, kept, .. } = &self.entries[at];
        if kept.cron == timing.cron.to_string() && kept.timezone == timing.timezone {
            return;
        }
        let is_later = now > kept.decided_until;
        if is_later {
            self.decide_until(at, now, "the schedule was changed before it ran");
        }
        let Entry { timing, kept, .. } = &mut self.entries[at];
        (kept.cron, kept.timezone) = (timing.cron.to_string(), timing.timezone.clone());
        (kept.decided_until, kept.since) = (now, now);
        kept.waiting = None;
        if let Some(beginning) = &mut kept.beginning {
            beginning.decided_before = now;
        }
        self.is_dirty = true;
    }

    /// Pauses or resumes a schedule. Runs that were due while it was paused are not made up.
    pub(crate) fn switch(&mut self, name: &str, switched: Option<bool>, at: Timestamp) {
        let Some(index) = self.entries.iter().position(|one| one.timing.name == name) else {
            return;
        };
        if self.entries[index].switched == switched {
            return;
        }
        let was_paused = self.entries[index].is_paused() || self.entries[index].kept.paused;
        self.entries[index].switched = switched;
        if was_paused && !self.entries[index].is_paused() {
            self.decide_until(index, at, PAUSED);
            self.entries[index].kept.paused = false;
        }
        self.is_dirty = true;
    }

    /// Decides what is due at `now`, and returns what to do. At most one is at work: the caller
    /// says when that has ended.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Option<Action> {
        for at in 0..self.entries.len() {
            self.tick_one(at, now);
        }
        if self.at_work.is_some() {
            return None;
        }
        (self.begin_run(now))
            .or_else(|| self.begin_copy(now))
            .or_else(|| self.begin_rest())
    }

    fn tick_one(&mut self, at: usize, now: Timestamp) {
        let entry = &mut self.entries[at];
        if entry.kept.beginning.is_some() {
            return;
        }
        if entry.kept.decided_until > now + SET_BACK {
            entry.kept.decided_until = now;
            self.is_dirty = true;
        }
        let is_paused = entry.is_paused();
        if is_paused || entry.kept.paused {
            self.is_dirty |= entry.kept.paused != is_paused;
            entry.kept.paused = is_paused;
            self.decide_until(at, now, PAUSED);
            return;
        }
        let kept = &mut entry.kept;
        if let Some(waiting) = &mut kept.waiting
            && waiting.retry_at > now + LONGEST_BACKOFF
        {
            // The clock was set back.
            waiting.retry_at = now;
        }
        if entry.next_begin().is_none_or(|begin| begin > now) {
            return;
        }
        let (timing, kept) = (entry.timing.clone(), &mut entry.kept);
        let Some(due) = timing.latest_begun(considered_until(kept), now) else {
            return;
        };
        let reason = match &kept.waiting {
            Some(waiting) => {
                let reason = waiting.reason.as_deref().unwrap_or(AT_WORK);
                format!("{reason} until the next run was due")
            }
            None => NOT_RUNNING.to_owned(),
        };
        let is_late = now.duration_since(timing.begins_at(due)) > LATE;
        if kept.waiting.is_none() && is_late && !timing.run_missed {
            self.decide_until(at, due, &format!("{reason}; `run_missed` is false"));
            return;
        }
        kept.waiting = Some(Waiting {
            scheduled_at: due,
            since: now,
            attempts: 0,
            retry_at: now,
            reason: None,
        });
        self.is_dirty = true;
        self.coalesce(at, due, &reason);
    }

    /// Earlier runs that are not decided yet are one with the run of `into`.
    fn coalesce(&mut self, at: usize, into: Timestamp, reason: &str) {
        let Entry { timing, kept, .. } = &self.entries[at];
        let until = into - SignedDuration::from_secs(1);
        if timing.latest_until(kept.decided_until, until).is_some() {
            let reason = reason.to_owned();
            self.decide(at, until, Decided::Coalesced { into, reason });
        }
    }

    /// What was scheduled until `until` never runs.
    fn decide_until(&mut self, at: usize, until: Timestamp, reason: &str) {
        let entry = &mut self.entries[at];
        let decided = entry.kept.decided_until;
        entry.kept.waiting = None;
        if entry.timing.latest_until(decided, until).is_some() {
            let reason = reason.to_owned();
            self.decide(at, until, Decided::Missed { reason });
        }
    }

    fn decide(&mut self, at: usize, until: Timestamp, what: Decided) {
        let Entry { timing, kept, .. } = &mut self.entries[at];
        let after = kept.decided_until;
        let runs = std::iter::successors(Some(after), |at| timing.next_after(*at));
        let count = (runs.skip(1).take(COUNTED))
            .take_while(|at| *at <= until)
            .count();
        let (Decided::Coalesced { reason, .. } | Decided::Missed { reason }) = &what;
        kept.missed.count += count as u64;
        if let Some(last) = timing.latest_until(after, until) {
            kept.missed.last = Some(MissedRun {
                scheduled_at: last,
                reason: reason.clone(),
            });
        }
        kept.decided_until = until;
        self.decisions.push(Decision {
            name: timing.name.clone(),
            after,
            until,
            what,
        });
        self.is_dirty = true;
    }

    fn give_up(&mut self, entry: &Entry, now: Timestamp, reason: &str) {
        let after = entry.kept.decided_until;
        if entry.timing.latest_until(after, now).is_some() {
            self.decisions.push(Decision {
                name: entry.timing.name.clone(),
                after,
                until: now,
                what: Decided::Missed {
                    reason: reason.to_owned(),
                },
            });
        }
    }

    /// The run that waits longest begins first.
    fn begin_run(&mut self, now: Timestamp) -> Option<Action> {
        let waiting = self.entries.iter().enumerate().filter_map(|(at, entry)| {
            let waiting = entry.kept.waiting.as_ref()?;
            (waiting.retry_at <= now).then_some((waiting.scheduled_at, at))
        });
        let (scheduled_at, at) = waiting.min()?;
        self.coalesce(at, scheduled_at, AT_WORK);
        let Entry { timing, kept, .. } = &mut self.entries[at];
        kept.beginning = Some(Beginning {
            scheduled_at,
            at: now,
            decided_before: kept.decided_until,
        });
        kept.decided_until = scheduled_at.max(kept.decided_until);
        let name = timing.name.clone();
        self.at_work = Some(name.clone());
        self.is_dirty = true;
        Some(Action::Run { name, scheduled_at })
    }

    pub(super) fn entry(&mut self, name: &str) -> Option<&mut Entry> {
        self.is_dirty = true;
        self.entries.iter_mut().find(|one| one.timing.name == name)
    }

    /// The engine has begun the run.
    pub(crate) fn has_begun(&mut self, name: &str, now: Timestamp, operation_id: &str) {
        self.settle(name, now, operation_id, None);
    }

    /// The run failed before it began.
    pub(crate) fn has_failed(&mut self, name: &str, now: Timestamp, error: &str) {
        self.settle(name, now, "", Some(error));
    }

    fn settle(&mut self, name: &str, now: Timestamp, operation_id: &str, error: Option<&str>) {
        if let Some(Entry { kept, .. }) = self.entry(name)
            && let Some(beginning) = kept.beginning.take()
        {
            kept.waiting = None;
            kept.last_run = Some(LastRun {
                scheduled_at: beginning.scheduled_at,
                started_at: now,
                operation_id: operation_id.to_owned(),
                error: error.map(str::to_owned),
                has_ended: error.is_some(),
            });
        }
    }

    /// The run did not begin, as something else was at work: it waits.
    pub(crate) fn has_to_wait(&mut self, name: &str, now: Timestamp, reason: &str) {
        if let Some(Entry { kept, .. }) = self.entry(name)
            && let Some(beginning) = kept.beginning.take()
        {
            kept.decided_until = beginning.decided_before;
            if let Some(waiting) = &mut kept.waiting {
                waiting.attempts += 1;
                waiting.retry_at = now + backoff(waiting.attempts, FIRST_BACKOFF, LONGEST_BACKOFF);
                waiting.reason = Some(reason.to_owned());
            }
        }
        self.at_work = None;
    }

    /// What was at work has ended.
    pub(crate) fn has_ended(&mut self) {
        self.at_work = None;
    }

    /// Something else than [`tick`](Self::tick) asked for works for this schedule.
    pub(crate) fn works_for(&mut self, name: &str) {
        self.at_work = Some(name.to_owned());
    }

    /// When there is something to do next, while nothing is at work or changes; `None`: never.
    pub(crate) fn wakes_at(&mut self) -> Option<Timestamp> {
        let is_idle = self.at_work.is_none();
        let entries = (self.entries.iter_mut())
            .filter(|entry| !entry.is_paused() && entry.kept.beginning.is_none());
        let moments = entries.flat_map(|entry| {
            let next = entry.next_begin();
            let kept = &entry.kept;
            let waiting = kept.waiting.as_ref().map(|waiting| waiting.retry_at);
            let copies = kept.copies.iter().map(|copy| copy.retry_at);
            let rest = kept.after.is_some().then_some(Timestamp::MIN);
            let retries = waiting.into_iter().chain(copies).chain(rest);
            let retries = retries.filter(move |_| is_idle);
            next.into_iter().chain(retries).collect::<Vec<_>>()
        });
        moments.min()
    }

    /// What was decided since the last call.
    pub(crate) fn decided(&mut self) -> Vec<Decision> {
        std::mem::take(&mut self.decisions)
    }

    /// What is to be kept, if it has changed since the last call.
    pub(crate) fn take_kept(&mut self) -> Option<KeptSchedules> {
        std::mem::take(&mut self.is_dirty).then(|| self.kept())
    }

    /// What is to be kept.
    pub(crate) fn kept(&self) -> KeptSchedules {
        let each = self.entries.iter();
        let each = each.map(|entry| (entry.timing.name.clone(), entry.kept.clone()));
        let mut schedules = self.removed.clone();
        schedules.extend(each);
        KeptSchedules { schedules }
    }
}

/// Until when runs have been looked at: the one that waits is the last of them.
fn considered_until(kept: &Kept) -> Timestamp {
    let waiting = kept.waiting.as_ref().map(|waiting| waiting.scheduled_at);
    waiting.map_or(kept.decided_until, |at| at.max(kept.decided_until))
}

fn begin(timing: &Timing, from: Timestamp) -> Kept {
    Kept {
        paused: timing.paused,
        since: from,
        cron: timing.cron.to_string(),
        timezone: timing.timezone.clone(),
        decided_until: from,
        beginning: None,
        last_run: None,
        waiting: None,
        missed: MissedRuns::default(),
        copies: Vec::new(),
        after: None,
        cut_off: None,
        removed_at: None,
    }
}

pub(super) fn backoff(
    attempts: u32,
    first: SignedDuration,
    longest: SignedDuration,
) -> SignedDuration {
    let doubled = 1_i32 << attempts.saturating_sub(1).min(16);
    (first.saturating_mul(doubled)).min(longest)
}

#[cfg(test)]
mod tests;
