//! Backups that are not good, not ours, pinned, empty, or from the future.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use super::{DAMAGED, NOW, at, check, decided, kept_of, of_state, pinned, rules, time};
use crate::retention::{Candidate, CandidateState, Fault, Policies, Policy, Unknown, evaluate_all};

/// Guards against: the last good backups deleted for one that is dated in the future.
#[test]
fn a_backup_from_the_future_is_kept_and_takes_no_place() {
    check(
        "UTC",
        "keep_last = 1, keep_within = \"1d\"",
        "2026-04-02T00:00:00Z",
        &[
            // Made before the clock was set back.
            (at("2026-05-10T00:00:00Z"), "dated in the future"),
            (at("2026-04-02T00:00:00.000000001Z"), "dated in the future"),
            (at("2026-04-02T00:00:00Z"), "within 1d, last snapshot"),
            (at("2026-04-01T12:00:00Z"), "within 1d"),
            (at("2026-03-31T00:00:00Z"), ""),
        ],
    );
}

/// Guards against: a storage that was not mounted, whose empty backups push out all others.
#[test]
fn empty_backups_push_out_none_with_data() {
    let empty = |text| of_state(text, CandidateState::Empty);
    check(
        "UTC",
        "keep_last = 2",
        NOW,
        &[
            (empty("2026-01-09T00:00:00Z"), "last snapshot"),
            (empty("2026-01-08T00:00:00Z"), "last snapshot"),
            (empty("2026-01-07T00:00:00Z"), ""),
            (at("2026-01-06T00:00:00Z"), "last snapshot"),
            (at("2026-01-05T00:00:00Z"), "last snapshot"),
            (at("2026-01-04T00:00:00Z"), ""),
        ],
    );
    // There is data again: they are as others.
    check(
        "UTC",
        "keep_last = 2",
        NOW,
        &[
            (at("2026-01-08T00:00:00Z"), "last snapshot"),
            (empty("2026-01-07T00:00:00Z"), "last snapshot"),
            (at("2026-01-06T00:00:00Z"), ""),
        ],
    );
    // An instance that never had data.
    check(
        "UTC",
        "keep_last = 1",
        NOW,
        &[
            (empty("2026-01-08T00:00:00Z"), "last snapshot"),
            (empty("2026-01-07T00:00:00Z"), ""),
        ],
    );
}

/// Guards against: damaged backups in the place of good ones; and their removal while nothing else
/// has what they may still hold.
#[test]
fn a_damaged_backup_takes_no_place() {
    check(
        "UTC",
        "keep_daily = 2",
        NOW,
        &[
            // Newer than every good one.
            (
                of_state("2026-01-09T00:00:00Z", DAMAGED),
                "daily snapshot (damaged, takes no place)",
            ),
            (at("2026-01-08T01:00:00Z"), "daily snapshot"),
            // A newer good one of the same day is there.
            (of_state("2026-01-08T00:00:00Z", DAMAGED), ""),
            // The only one of its day.
            (
                of_state("2026-01-07T00:00:00Z", DAMAGED),
                "daily snapshot (damaged, takes no place)",
            ),
            (at("2026-01-06T00:00:00Z"), "daily snapshot"),
            (of_state("2026-01-05T00:00:00Z", DAMAGED), ""),
            (
                of_state(
                    "2026-01-04T00:00:00Z",
                    CandidateState::NotGood(Fault::Incomplete),
                ),
                "",
            ),
            (at("2026-01-03T00:00:00Z"), ""),
        ],
    );
    // Where no good one is left, all stay.
    let last = "last snapshot (damaged, takes no place)";
    check(
        "UTC",
        "keep_last = 1",
        NOW,
        &[
            (of_state("2026-01-09T00:00:00Z", DAMAGED), last),
            (of_state("2026-01-08T00:00:00Z", DAMAGED), last),
        ],
    );
}

/// Guards against: the only copy deleted as it could not be read at that moment, or another one
/// deleted for it.
#[test]
fn what_cannot_be_read_is_never_removed_and_takes_no_place() {
    for unknown in [
        Unknown::Archived,
        Unknown::Denied,
        Unknown::Unreachable,
        Unknown::Broken,
        Unknown::Partial,
    ] {
        let one = |text| of_state(text, CandidateState::Unknown(unknown));
        check(
            "UTC",
            "keep_last = 1",
            NOW,
            &[
                (one("2026-01-09T00:00:00Z"), unknown.as_str()),
                (at("2026-01-08T00:00:00Z"), "last snapshot"),
                (at("2026-01-07T00:00:00Z"), ""),
                (one("2020-01-01T00:00:00Z"), unknown.as_str()),
            ],
        );
    }
}

/// Guards against: backups of Arc, or of another instance in the same bucket, that are deleted, or
/// in whose favour ours are.
#[test]
fn backups_of_others_are_never_removed_and_take_no_place() {
    let foreign = |text| Candidate {
        is_ours: false,
        instance: Some("other".to_owned()),
        ..at(text)
    };
    check(
        "UTC",
        "keep_last = 1",
        NOW,
        &[
            (foreign("2026-01-09T00:00:00Z"), "not made by this instance"),
            (at("2026-01-08T00:00:00Z"), "last snapshot"),
            (at("2026-01-07T00:00:00Z"), ""),
            (foreign("2026-01-06T00:00:00Z"), "not made by this instance"),
        ],
    );
    // Asked for: each instance has places of its own, and its last good one.
    let included = |text| Candidate {
        is_ours: true,
        ..foreign(text)
    };
    check(
        "UTC",
        "keep_last = 1",
        NOW,
        &[
            (included("2026-01-09T00:00:00Z"), "last snapshot"),
            (at("2026-01-08T00:00:00Z"), "last snapshot"),
            (at("2026-01-07T00:00:00Z"), ""),
            (included("2026-01-06T00:00:00Z"), ""),
        ],
    );
}

/// Guards against: a pinned backup that goes, and one that stays for ever by an expired pin.
#[test]
fn a_live_pin_wins_and_an_expired_one_does_not() {
    let now = "2026-02-01T00:00:00Z";
    check(
        "UTC",
        "keep_last = 1",
        now,
        &[
            // A good pinned one is counted as any other.
            (
                pinned("2026-01-09T00:00:00Z", None),
                "pinned: audit, last snapshot",
            ),
            (at("2026-01-08T00:00:00Z"), ""),
            (
                pinned("2026-01-07T00:00:00Z", Some("2026-02-01T00:00:01Z")),
                "pinned: audit",
            ),
            (pinned("2026-01-06T00:00:00Z", Some(now)), ""),
            (
                Candidate {
                    state: DAMAGED,
                    ..pinned("2026-01-05T00:00:00Z", None)
                },
                "pinned: audit",
            ),
        ],
    );
}

/// Guards against: rules that are not there, and mean "delete all".
#[test]
fn without_a_rule_everything_is_kept() {
    for with in ["", "keep_last = 0", "keep_within = 0"] {
        check(
            "UTC",
            with,
            NOW,
            &[
                (at("2026-01-09T00:00:00Z"), "no retention rule"),
                (at("2026-01-08T00:00:00Z"), "no retention rule"),
                (
                    of_state("2026-01-07T00:00:00Z", DAMAGED),
                    "no retention rule",
                ),
            ],
        );
    }
}

/// Guards against: two backups of one second, of which a run keeps one and the next the other.
#[test]
fn of_the_same_moment_the_larger_id_is_newer() {
    let moment = "2026-01-09T00:00:00Z";
    for names in [["a", "b"], ["b", "a"]] {
        let backups = names.map(|name| at(moment).named(name));
        let decisions = decided(&backups, "keep_last = 1", "UTC", NOW);
        assert_eq!(kept_of(&decisions), BTreeSet::from(["b".to_owned()]));
    }
}

/// Guards against: hourly backups of one database that push out those of the whole instance.
#[test]
fn backups_of_some_databases_are_counted_apart() {
    let of = |text: &str, database: &str| Candidate {
        scope: vec![database.to_owned()],
        ..at(text).named(&format!("{text}{database}"))
    };
    check(
        "UTC",
        "keep_last = 1",
        NOW,
        &[
            (of("2026-01-09T00:00:00Z", "iot"), "last snapshot"),
            (of("2026-01-08T00:00:00Z", "iot"), ""),
            (of("2026-01-07T00:00:00Z", "web"), "last snapshot"),
            (at("2026-01-06T00:00:00Z"), "last snapshot"),
            (at("2026-01-05T00:00:00Z"), ""),
        ],
    );
}

/// Guards against: hourly backups of one schedule that push out the monthly ones of another.
#[test]
fn schedules_with_rules_of_their_own_are_counted_apart() {
    let of = |text: &str, schedule: &str| Candidate {
        schedule: Some(schedule.to_owned()),
        ..at(text)
    };
    let policy = |text| Policy {
        rules: rules(text),
        zone: TimeZone::UTC,
    };
    let mut policies = Policies::of(rules("keep_last = 1"), TimeZone::UTC);
    policies.of_schedules = BTreeMap::from([
        ("hourly".to_owned(), policy("keep_last = 2")),
        ("for-ever".to_owned(), policy("")),
    ]);
    let cases = [
        (of("2026-01-09T00:00:00Z", "hourly"), "last snapshot"),
        (of("2026-01-08T00:00:00Z", "hourly"), "last snapshot"),
        (of("2026-01-07T00:00:00Z", "hourly"), ""),
        // Without rules of their own: with those by hand.
        (of("2026-01-06T00:00:00Z", "nightly"), "last snapshot"),
        (at("2026-01-05T00:00:00Z"), ""),
        (of("2026-01-04T00:00:00Z", "nightly"), ""),
        (of("2026-01-03T00:00:00Z", "for-ever"), "no retention rule"),
    ];
    let backups: Vec<_> = cases.iter().map(|(one, _)| one.clone()).collect();
    let decisions = evaluate_all(&backups, &policies, time(NOW));
    for (decision, (one, expected)) in decisions.iter().zip(&cases) {
        assert_eq!(decision.id, one.id, "newest first");
        assert_eq!(decision.keep, !expected.is_empty(), "{}", one.id);
        assert!(
            !decision.keep || decision.reasons == [*expected],
            "{decision:?}"
        );
    }
}
