//! What a restart of the service makes of what was under way when it ended.

use jiff::SignedDuration;

use super::decision::Begun;
use super::kept::{Kept, LastRun};

/// An operation that began earlier than this before the run is another one.
const SLACK: SignedDuration = SignedDuration::from_secs(1);

/// Whether a run has begun whose begin the service did not live to see: then the history has its
/// operation.
pub(super) fn settle_beginning(kept: &mut Kept, last: Option<&Begun>) {
    let Some(beginning) = kept.beginning.take() else {
        return;
    };
    let known = kept.last_run.as_ref().map(|run| &run.operation_id);
    let is_new =
        |last: &&Begun| Some(&last.operation_id) != known && last.at >= beginning.at - SLACK;
    match last.filter(is_new) {
        Some(last) => {
            kept.last_run = Some(LastRun {
                scheduled_at: beginning.scheduled_at,
                started_at: last.at,
                operation_id: last.operation_id.clone(),
                error: None,
                has_ended: false,
            });
        }
        None => kept.decided_until = beginning.decided_before,
    }
}

/// A run whose backup the end of the service cut off counts as missed: it is made up, once.
pub(super) fn settle_cut_off(kept: &mut Kept, last: Option<&Begun>) {
    let Some(run) = kept.last_run.as_mut().filter(|run| !run.has_ended) else {
        return;
    };
    run.has_ended = true;
    let is_made = |last: &Begun| last.operation_id == run.operation_id && last.is_completed;
    let at = run.scheduled_at;
    if last.is_some_and(is_made) || kept.cut_off == Some(at) || kept.decided_until > at {
        return;
    }
    kept.cut_off = Some(at);
    kept.decided_until = at - SLACK;
}
