//! The moments at which a schedule runs.
//!
//! A time zone is a sequence of spans with one offset each, and within a span the wall clock runs
//! as any other. Only two rules are about the changes between them:
//!
//! - A time that the clock skips in spring runs once, right after the gap.
//! - A time that comes twice in autumn runs once, the first time.
//!
//! An expression that runs in each hour counts real hours instead: the skipped hour never was, and
//! the doubled one is two hours.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::Cron;

/// How many changes of the clock a search may cross.
const CHANGES: usize = 200;

/// Returns the first moment after `after` at which `cron` runs in `zone`. `None`: never.
#[must_use]
pub fn next_after(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let after =
        Timestamp::from_second(after.as_second() - i64::from(after.subsec_nanosecond() < 0))
            .unwrap_or(after);
    let mut offset = zone.to_offset(after);
    // What a span that begins with a clock set back shows for the second time.
    let mut from = offset.to_datetime(after);
    let mut inclusive = false;
    if !cron.is_every_hour()
        && let Some(shown_until) = shown_before(zone, after, offset)
        && shown_until > from
    {
        (from, inclusive) = (shown_until, true);
    }
    let mut changes = zone.following(after);
    for _ in 0..CHANGES {
        let wall = cron.next_on_the_wall(from, inclusive)?;
        let moment = offset.to_timestamp(wall).ok()?;
        let Some(change) = changes.next() else {
            return Some(moment);
        };
        let (at, next) = (change.timestamp(), change.offset());
        if moment < at {
            return Some(moment);
        }
        let (old, new) = (offset.to_datetime(at), next.to_datetime(at));
        if wall < new && !cron.is_every_hour() {
            // Skipped.
            return Some(at);
        }
        from = match cron.is_every_hour() {
            true => new,
            false => old.max(new),
        };
        (offset, inclusive) = (next, true);
    }
    None
}

/// Where the clock was set back before `after`: the time that it showed by then.
fn shown_before(zone: &TimeZone, after: Timestamp, offset: Offset) -> Option<DateTime> {
    let just_after = after.checked_add(SignedDuration::from_secs(1)).ok()?;
    let change = zone.preceding(just_after).next()?.timestamp();
    let before = zone.to_offset(change.checked_sub(SignedDuration::from_secs(1)).ok()?);
    (before > offset).then(|| before.to_datetime(change))
}

/// Returns the last moment at which `cron` runs in `zone`, after `after` and not after `until`.
#[must_use]
pub fn latest_until(
    cron: &Cron,
    zone: &TimeZone,
    after: Timestamp,
    until: Timestamp,
) -> Option<Timestamp> {
    let within = |from: Timestamp| next_after(cron, zone, from).filter(|at| *at <= until);
    // Backwards in growing steps until there is one, then forwards from there.
    let mut step = SignedDuration::from_mins(1);
    let mut found = loop {
        let from = until
            .checked_sub(step)
            .map_or(after, |from| from.max(after));
        match within(from) {
            Some(found) => break found,
            None if from == after => return None,
            None => step = step.saturating_mul(4),
        }
    };
    while let Some(later) = within(found) {
        found = later;
    }
    Some(found)
}

#[cfg(test)]
mod tests;
