//! What holds of any history.

use jiff::Timestamp;

use super::{BERLIN, DAMAGED, NOW, decided, kept_of, time};
use crate::retention::{Candidate, CandidateState, Fault, Pinned, Unknown};

/// Numbers without a pattern, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A history of some weeks around a change of the clocks, with everything that may be wrong.
fn history(random: &mut Random, now: Timestamp) -> Vec<Candidate> {
    let count = random.below(60);
    let one = |number: u64| {
        let hours = i64::try_from(random.below(2000)).expect("small") - 20;
        let moment = now - jiff::SignedDuration::from_hours(hours);
        let state = match random.below(12) {
            0 => DAMAGED,
            1 => CandidateState::NotGood(Fault::Incomplete),
            2 => CandidateState::Unknown(Unknown::Archived),
            3 => CandidateState::Empty,
            _ => CandidateState::Good,
        };
        let pin = (random.below(10) == 0).then(|| Pinned {
            reason: None,
            until: (random.below(2) == 0).then(|| now + jiff::SignedDuration::from_hours(hours)),
        });
        Candidate {
            state,
            pin,
            is_ours: random.below(10) > 0,
            scope: match random.below(6) {
                0 => vec!["iot".to_owned()],
                _ => Vec::new(),
            },
            schedule: (random.below(3) == 0).then(|| "nightly".to_owned()),
            ..Candidate::new(format!("{number:03}"), moment)
        }
    };
    (0..count).map(one).collect()
}

/// Guards against, over random histories: a last good backup that goes, a removal of what must
/// never be removed, an order of the list that matters, a second run that removes more than the
/// first, and rules that together keep other backups than each by itself.
#[test]
fn whatever_the_history_nothing_that_must_stay_goes() {
    let mut random = Random(0x2026_0211_1430_2217);
    let now = time("2026-11-10T12:00:00Z");
    let sets = [
        "keep_last = 2",
        "keep_hourly = 5",
        "keep_daily = 4",
        "keep_weekly = 3",
        "keep_monthly = 30",
        "keep_yearly = 1",
        "keep_within = \"9d7h\"",
    ];
    for _ in 0..400 {
        let mut backups = history(&mut random, now);
        let chosen: Vec<_> = sets
            .iter()
            .filter(|_| random.below(3) == 0)
            .copied()
            .collect();
        let with = chosen.join(", ");
        let decisions = decided(&backups, &with, BERLIN, "2026-11-10T12:00:00Z");
        let kept = kept_of(&decisions);
        let is_kept = |one: &&Candidate| kept.contains(&one.id);
        for one in &backups {
            let is_safe = !one.is_ours
                || one.time > now
                || one.live_pin(now).is_some()
                || matches!(one.state, CandidateState::Unknown(_))
                || chosen.is_empty();
            assert!(!is_safe || is_kept(&one), "{one:?} by {with}");
        }
        for scope in [vec![], vec!["iot".to_owned()]] {
            let good = (backups.iter())
                .filter(|one| one.is_ours && one.time <= now && one.scope == scope)
                .filter(|one| one.state == CandidateState::Good);
            let newest = good.max_by_key(|one| (one.time, one.id.clone()));
            assert!(
                newest.is_none_or(|one| kept.contains(&one.id)),
                "{newest:?} by {with}"
            );
        }
        if !chosen.is_empty() {
            let each = chosen
                .iter()
                .map(|rule| kept_of(&decided(&backups, rule, BERLIN, "2026-11-10T12:00:00Z")));
            assert_eq!(kept, each.flatten().collect(), "{with}");
        }
        backups.reverse();
        let other = decided(&backups, &with, BERLIN, "2026-11-10T12:00:00Z");
        assert_eq!(other, decisions, "{with}");
        backups.retain(|one| kept.contains(&one.id));
        let again = decided(&backups, &with, BERLIN, "2026-11-10T12:00:00Z");
        assert!(again.values().all(|one| one.keep), "{with}: {again:#?}");
    }
}

/// Guards against: a decision over years that takes time by the square of their number.
#[test]
fn years_of_hourly_backups_are_decided_at_once() {
    let first = time("2020-01-01T00:30:00Z");
    let backups: Vec<_> = (0..26_280)
        .map(|hour| {
            let moment = first + jiff::SignedDuration::from_hours(hour);
            Candidate::new(format!("{hour:06}"), moment)
        })
        .collect();
    let with =
        "keep_hourly = 24, keep_daily = 7, keep_weekly = 5, keep_monthly = 12, keep_yearly = 10";
    // The last day is Friday, 30 December 2022. 24 hours; 6 days more; of 5 weeks those that end
    // on 18, 11 and 4 December (25 December is one of the days); 11 months more; the ends of 2021
    // and 2020; and the oldest of all, as ten years are not filled.
    let kept = kept_of(&decided(&backups, with, "UTC", NOW));
    assert_eq!(kept.len(), 24 + 6 + 3 + 11 + 2 + 1, "{kept:?}");
}
