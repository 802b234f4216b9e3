//! The backups of a target, as the rules see them.

use std::collections::HashMap;

use futures::{StreamExt, stream};
use jiff::Timestamp;

use crate::Result;
use crate::manifest::BackupId;
use crate::operations::ListAnswer;
use crate::repository::{BackupState, Pin, Repository, Summary, UnreadableState};
use crate::retention::{Candidate, CandidateState, Fault, Pinned, Unknown};

/// How many notes are read at once.
const NOTES_AT_ONCE: usize = 16;

/// A backup, with what the rules do not ask for.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) candidate: Candidate,
    pub(super) state: BackupState,
    /// All targets that hold it, or a leg of it.
    pub(super) targets: Vec<String>,
    pub(super) is_pinned: bool,
}

/// Whose backups are to be decided on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose<'a> {
    /// This instance; `None` where it has no name yet.
    pub(super) own: Option<&'a str>,
    /// Whether those of others are too.
    pub(super) include_foreign: bool,
}

/// Everything that the list of `repository` shows, whatever its state.
pub(super) async fn find(
    repository: &Repository,
    answer: &ListAnswer,
    whose: Whose<'_>,
    now: Timestamp,
) -> Result<Vec<Found>> {
    let target = repository.name();
    let mut later = details(repository, &answer.backups).await?;
    let mut all = Vec::new();
    for one in &answer.backups {
        let later = later.remove(&one.backup_id).unwrap_or_default();
        let mut found = of_summary(one, later, whose, now);
        // The default target of a run decides over all of it.
        if one.target != target {
            found.candidate.is_ours = false;
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
    };
    let damaged = (answer.damaged.iter())
        .map(|one| odd(&one.backup_id, BackupState::Damaged, Unknown::Broken));
    all.extend(damaged);
    all.extend(answer.unreadable.iter().map(|one| {
        let unknown = match one.state {
            UnreadableState::Archived => Unknown::Archived,
            UnreadableState::Denied => Unknown::Denied,
        };
        odd(&one.backup_id, one.state.into(), unknown)
    }));
    let runs = (answer.incomplete_runs.iter())
        .map(|one| odd(&one.backup_id, BackupState::Incomplete, Unknown::Partial));
    all.extend(runs);
    Ok(all)
}

fn of_summary(one: &Summary, later: Later, whose: Whose<'_>, now: Timestamp) -> Found {
    let by_id = moment_of(&one.backup_id);
    let time = one.created_at.parse().ok().or(by_id);
    let state = match one.state {
        _ if one.partial_view => CandidateState::Unknown(Unknown::Unreachable),
        // Without a time there is no place among the others.
        _ if time.is_none() => CandidateState::Unknown(Unknown::Broken),
        BackupState::Ok | BackupState::Unverified if one.total_files == 0 => CandidateState::Empty,
        BackupState::Ok | BackupState::Unverified => CandidateState::Good,
        BackupState::Damaged => CandidateState::NotGood(Fault::Damaged),
        BackupState::Incomplete => CandidateState::NotGood(Fault::Incomplete),
        BackupState::Archived => CandidateState::Unknown(Unknown::Archived),
        BackupState::Denied => CandidateState::Unknown(Unknown::Denied),
    };
    let pin = later.pin.map(|pin| Pinned {
        // One that is no time is for ever.
        until: pin.until.as_ref().and_then(|until| until.parse().ok()),
        reason: pin.reason,
    });
    Found {
        is_pinned: pin.as_ref().is_some_and(|pin| pin.is_live(now)),
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
            schedule: later.schedule,
            ..Candidate::new(&*one.backup_id, time.unwrap_or(Timestamp::MIN))
        },
        state: one.state,
        targets: one.targets.clone(),
    }
}

/// When a backup was made, by its id.
fn moment_of(id: &str) -> Option<Timestamp> {
    BackupId::parse(id).ok()?.moment()
}

/// What note and manifest say, and the list does not.
#[derive(Debug, Clone, Default)]
struct Later {
    pin: Option<Pin>,
    schedule: Option<String>,
}

async fn details(repository: &Repository, backups: &[Summary]) -> Result<HashMap<String, Later>> {
    let ids: Result<Vec<_>> = (backups.iter())
        .map(|one| BackupId::parse(&one.backup_id))
        .collect();
    let asked = stream::iter(ids?).map(async |id| {
        let note = repository.note_to_show(&id).await;
        let loaded = repository.load(&id).await;
        let later = Later {
            pin: note.pin,
            schedule: loaded.ok().and_then(|loaded| loaded.manifest.schedule),
        };
        (id.to_string(), later)
    });
    Ok(asked.buffer_unordered(NOTES_AT_ONCE).collect().await)
}
