//! When a schedule runs.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Cron, latest_until, next_after};

/// When a schedule runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// The schedule's name, which its delays depend on.
    pub name: String,
    /// The expression.
    pub cron: Cron,
    /// The name of its time zone.
    pub timezone: String,
    /// Its time zone.
    pub zone: TimeZone,
    /// A run begins up to this long after its time.
    pub jitter: Duration,
    /// Whether a run that was missed is made up.
    pub run_missed: bool,
    /// Whether it is paused, unless somebody resumed it.
    pub paused: bool,
}

impl Timing {
    /// The first scheduled time after `after`; `None`: never.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        next_after(&self.cron, &self.zone, after)
    }

    /// The next `count` scheduled times after `after`.
    #[must_use]
    pub fn next_runs(&self, after: Timestamp, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(after), |at| self.next_after(*at))
            .take(count)
            .collect()
    }

    /// The last scheduled time after `after` and not after `until`.
    #[must_use]
    pub fn latest_until(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        latest_until(&self.cron, &self.zone, after, until)
    }

    /// When the run of the scheduled time `at` begins. The delay is always the same for a run, and
    /// ends before the next one.
    #[must_use]
    pub fn begins_at(&self, at: Timestamp) -> Timestamp {
        let mut limit = self.jitter.as_secs();
        if let Some(next) = self.next_after(at).filter(|_| limit > 0) {
            let interval = next.as_second() - at.as_second();
            limit = limit.min(u64::try_from(interval - 1).unwrap_or(0));
        }
        let delay = match limit {
            0 => 0,
            limit => hash(&self.name, at) % (limit + 1),
        };
        let delay = SignedDuration::from_secs(i64::try_from(delay).unwrap_or(0));
        at.checked_add(delay).unwrap_or(at)
    }

    /// The last scheduled time after `after` whose run has begun or must begin by `now`.
    #[must_use]
    pub fn latest_begun(&self, after: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let last = self.latest_until(after, now)?;
        if self.begins_at(last) <= now {
            return Some(last);
        }
        let before = last.checked_sub(SignedDuration::from_secs(1)).ok()?;
        self.latest_until(after, before)
    }
}

/// FNV-1a: the same on every machine and in every version, unlike the standard library's.
fn hash(name: &str, at: Timestamp) -> u64 {
    let bytes = name.bytes().chain(at.as_second().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    /// Guards against: a delay that reaches into the next run, or that is another one after a
    /// restart.
    #[test]
    fn a_delay_is_fixed_and_ends_before_the_next_run() {
        let timing = Timing {
            name: "hourly".to_owned(),
            cron: Cron::from_str("@hourly").expect("valid"),
            timezone: "UTC".to_owned(),
            zone: TimeZone::UTC,
            jitter: Duration::from_secs(24 * 3600),
            run_missed: true,
            paused: false,
        };
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let runs = timing.next_runs(start, 500);
        let begins: Vec<_> = runs.iter().map(|at| timing.begins_at(*at)).collect();
        for (at, begin) in runs.iter().zip(&begins) {
            assert!(
                begin >= at && begin.as_second() - at.as_second() < 3600,
                "{at}"
            );
            assert_eq!(timing.latest_begun(start, *begin), Some(*at));
        }
        let seconds: std::collections::BTreeSet<_> = (begins.iter())
            .map(|begin| begin.as_second() % 3600)
            .collect();
        assert!(seconds.len() > 300, "{} different delays", seconds.len());
        let other = Timing {
            name: "other".to_owned(),
            ..timing.clone()
        };
        assert_ne!(other.begins_at(runs[0]), begins[0]);
    }
}
