//! The backups of a target, as the rules see them.

use jiff::Timestamp;

use crate::manifest::BackupId;
use crate::operations::ListAnswer;
use crate::repository::{BackupState, Summary, UnreadableState};
use crate::retention::{Candidate, CandidateState, Fault, Pinned, Unknown};

/// A backup, with what the rules do not ask for.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) candidate: Candidate,
    pub(super) state: BackupState,
    /// All targets that hold it, or a leg of it.
    pub(super) targets: Vec<String>,
    pub(super) is_pinned: bool,
    /// When all of it was last read, and was whole.
    pub(super) last_full: Option<Timestamp>,
}

/// Whose backups are to be decided on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose<'a> {
    /// This instance; `None` where it has no name yet.
    pub(super) own: Option<&'a str>,
    /// Whether those of others are too.
    pub(super) include_foreign: bool,
}

/// Sets those apart that may share the files that were found damaged at `at`: made before,
/// and not read in full since. Returns how many.
pub(super) fn doubt(found: &mut [Found], at: Timestamp) -> usize {
    let mut count = 0;
    for one in found {
        let is_good = matches!(
            one.candidate.state,
            CandidateState::Good | CandidateState::Empty
        );
        let is_read = one.last_full.is_some_and(|read| read > at);
        if is_good && one.candidate.time <= at && !is_read {
            one.candidate.state = CandidateState::NotGood(Fault::InDoubt);
            count += 1;
        }
    }
    count
}

/// Everything that the list of `target` shows, whatever its state.
pub(super) fn find(
    target: &str,
    answer: &ListAnswer,
    whose: Whose<'_>,
    now: Timestamp,
) -> Vec<Found> {
    let mut all = Vec::new();
    for one in &answer.backups {
        let mut found = of_summary(one, whose, now);
        if one.target != target {
            found.candidate.state = CandidateState::Unknown(Unknown::Elsewhere);
        }
        all.push(found);
    }
    // Nothing says whose these are.
    let odd = |id: &str, state, unknown| Found {
        candidate: Candidate {
            state: CandidateState::Unknown(unknown),
            is_ours: true,
            ..Candidate::new(id, moment_of(id).unwrap_or(Timestamp::MIN))
        },
        state,
        targets: vec![target.to_owned()],
        is_pinned: false,
        last_full: None,
    };
    let damaged = (answer.damaged.iter())
        .map(|one| odd(&one.backup_id, BackupState::Damaged, Unknown::Broken));
    let mut odd_ones: Vec<_> = damaged.collect();
    odd_ones.extend(answer.unreadable.iter().map(|one| {
        let unknown = match one.state {
            UnreadableState::Archived => Unknown::Archived,
            UnreadableState::Denied => Unknown::Denied,
        };
        odd(&one.backup_id, one.state.into(), unknown)
    }));
    let runs = (answer.incomplete_runs.iter())
        .map(|one| odd(&one.backup_id, BackupState::Incomplete, Unknown::Partial));
    odd_ones.extend(runs);
    // A leg that can't be read makes the whole run one of which nothing is known.
    let is_odd = |id: &str| odd_ones.iter().any(|one| one.candidate.id == id);
    all.retain(|one| !is_odd(&one.candidate.id));
    all.extend(odd_ones);
    all
}

fn of_summary(one: &Summary, whose: Whose<'_>, now: Timestamp) -> Found {
    let by_id = moment_of(&one.backup_id);
    let time = one.created_at.parse().ok().or(by_id);
    let state = match one.state {
        _ if one.partial_view => CandidateState::Unknown(Unknown::Unreachable),
        _ if one.note_unreadable => CandidateState::Unknown(Unknown::Note),
        // Without a time there is no place among the others.
        _ if time.is_none() => CandidateState::Unknown(Unknown::Broken),
        BackupState::Ok | BackupState::Unverified if one.total_files == 0 => CandidateState::Empty,
        BackupState::Ok | BackupState::Unverified => CandidateState::Good,
        BackupState::Damaged => CandidateState::NotGood(Fault::Damaged),
        BackupState::Incomplete => CandidateState::NotGood(Fault::Incomplete),
        BackupState::Archived => CandidateState::Unknown(Unknown::Archived),
        BackupState::Denied => CandidateState::Unknown(Unknown::Denied),
    };
    let pin = one.pin.as_ref().map(|pin| Pinned {
        // One that is no time is for ever.
        until: pin.until.as_ref().and_then(|until| until.parse().ok()),
        reason: pin.reason.clone(),
    });
    Found {
        is_pinned: one.is_locked(now),
        last_full: whole_at(one),
        candidate: Candidate {
            state,
            pin,
            // Arc's own name no instance.
            is_ours: whose.include_foreign
                || one.instance.is_some() && one.instance.as_deref() == whose.own,
            instance: one
                .instance
                .clone()
                .or_else(|| one.owner_instance_id.clone()),
            scope: one.scope.clone(),
            omitted: one.omitted,
            schedule: one.schedule.clone(),
            ..Candidate::new(&*one.backup_id, time.unwrap_or(Timestamp::MIN))
        },
        state: one.state,
        targets: one.targets.clone(),
    }
}

/// When all of it was last read, and was whole.
fn whole_at(one: &Summary) -> Option<Timestamp> {
    let done = [&one.last_full, &one.last_verified].into_iter().flatten();
    let full = done.filter(|done| done.ok && done.mode == "full");
    full.filter_map(|done| done.at.parse().ok()).max()
}

/// When a backup was made, by its id.
fn moment_of(id: &str) -> Option<Timestamp> {
    BackupId::parse(id).ok()?.moment()
}
