//! Periods, and backups that are all good.

use super::{BERLIN, DAMAGED, NOW, at, check, of_state};

/// Guards against: days without a backup that use up a rule, and the oldest of a day in place of
/// the newest.
#[test]
fn only_periods_with_a_backup_count_and_the_newest_of_each_is_kept() {
    check(
        "UTC",
        "keep_daily = 3",
        NOW,
        &[
            (at("2026-01-10T03:00:00Z"), "daily snapshot"),
            // Eight days without one.
            (at("2026-01-02T20:00:00Z"), "daily snapshot"),
            (at("2026-01-02T08:00:00Z"), ""),
            (at("2026-01-01T23:59:59Z"), "daily snapshot"),
            (at("2026-01-01T00:00:00Z"), ""),
            (at("2025-12-31T23:59:59Z"), ""),
        ],
    );
}

/// Guards against: a short history where a longer one was asked for.
#[test]
fn the_oldest_is_kept_while_a_rule_is_not_filled() {
    let backups = [
        "2026-03-05T03:00:00Z",
        "2026-03-02T03:00:00Z",
        "2026-02-10T03:00:00Z",
        "2026-02-03T03:00:00Z",
    ];
    // Two of twelve months are there: the oldest of February stays too.
    let monthly = [
        "monthly snapshot",
        "",
        "monthly snapshot",
        "oldest monthly snapshot",
    ];
    // Filled by March and February: the oldest has no place.
    let filled = ["monthly snapshot", "", "monthly snapshot", ""];
    for (with, expected) in [("keep_monthly = 12", monthly), ("keep_monthly = 2", filled)] {
        let cases: Vec<_> = backups.map(at).into_iter().zip(expected).collect();
        check("UTC", with, NOW, &cases);
    }
    // The oldest of all is the newest of its year: it has that reason, and no other.
    check(
        "UTC",
        "keep_yearly = 5",
        NOW,
        &[
            (at("2026-03-05T03:00:00Z"), "yearly snapshot"),
            (at("2025-03-05T03:00:00Z"), "yearly snapshot"),
        ],
    );
}

/// Guards against: weeks that begin on Sunday, and two weeks in place of one at a year's edge.
#[test]
fn weeks_are_from_monday_to_sunday_over_the_edge_of_the_year() {
    check(
        BERLIN,
        "keep_weekly = 3",
        NOW,
        &[
            // A Monday, ten past midnight: week 2 of 2026. It is Sunday still in UTC.
            (at("2026-01-05T00:10:00+01:00"), "weekly snapshot"),
            // Sunday, week 1.
            (at("2026-01-04T23:50:00+01:00"), "weekly snapshot"),
            (at("2026-01-01T12:00:00+01:00"), ""),
            // Monday, still week 1 of 2026.
            (at("2025-12-29T00:00:00+01:00"), ""),
            // Sunday, week 52 of 2025.
            (at("2025-12-28T23:00:00+01:00"), "weekly snapshot"),
        ],
    );
    check(
        "UTC",
        "keep_weekly = 2",
        NOW,
        &[
            (at("2021-01-04T00:00:00Z"), "weekly snapshot"),
            // 2020 has 53 weeks: Sunday of the last one, in January.
            (at("2021-01-03T23:59:59Z"), "weekly snapshot"),
            (at("2020-12-28T00:00:00Z"), ""),
            (at("2020-12-27T23:59:59Z"), ""),
        ],
    );
}

/// Guards against: years and months that are counted in UTC where the operator lives elsewhere.
#[test]
fn periods_are_those_of_the_time_zone() {
    let backups = [
        "2026-05-01T00:00:00Z",
        // Half past midnight of 1 January 2026 in Berlin; 2025 in UTC.
        "2025-12-31T23:30:00Z",
        "2025-12-31T22:30:00Z",
        "2025-02-01T00:00:00Z",
    ];
    let berlin = ["yearly snapshot", "", "yearly snapshot", ""];
    let utc = ["yearly snapshot", "yearly snapshot", "", ""];
    for (zone_name, expected) in [(BERLIN, berlin), ("UTC", utc)] {
        let cases: Vec<_> = backups.map(at).into_iter().zip(expected).collect();
        check(zone_name, "keep_yearly = 2", NOW, &cases);
    }
    // 05:50 and 06:10 in Kolkata, five and a half hours before UTC.
    check(
        "Asia/Kolkata",
        "keep_hourly = 2",
        NOW,
        &[
            (at("2026-01-01T00:40:00Z"), "hourly snapshot"),
            (at("2026-01-01T00:20:00Z"), "hourly snapshot"),
        ],
    );
}

/// Guards against: an hour or a day too many, or too few, where clocks change.
#[test]
fn changes_of_the_clock_make_no_period_and_lose_none() {
    // In spring 02:00 is 03:00: there is no hour of 02.
    check(
        BERLIN,
        "keep_hourly = 3",
        NOW,
        &[
            (at("2026-03-29T03:30:00+02:00"), "hourly snapshot"),
            (at("2026-03-29T03:10:00+02:00"), ""),
            (at("2026-03-29T01:30:00+01:00"), "hourly snapshot"),
            (at("2026-03-29T00:30:00+01:00"), "hourly snapshot"),
            (at("2026-03-28T23:30:00+01:00"), ""),
        ],
    );
    // In autumn 03:00 is 02:00 again: the hour of 02 has two hours, and its newest is kept.
    check(
        BERLIN,
        "keep_hourly = 3",
        NOW,
        &[
            (at("2026-10-25T03:30:00+01:00"), "hourly snapshot"),
            (at("2026-10-25T02:10:00+01:00"), "hourly snapshot"),
            (at("2026-10-25T02:50:00+02:00"), ""),
            (at("2026-10-25T01:30:00+02:00"), "hourly snapshot"),
        ],
    );
    // That day has 25 hours, and is one day.
    check(
        BERLIN,
        "keep_daily = 2",
        NOW,
        &[
            (at("2026-10-25T23:50:00+01:00"), "daily snapshot"),
            (at("2026-10-25T00:10:00+02:00"), ""),
            (at("2026-10-24T23:50:00+02:00"), "daily snapshot"),
        ],
    );
    // In Newfoundland clocks went from 00:01 back to 23:01: 6 November 2010 came twice, 7 November
    // had begun in between. Two days are kept, not four.
    check(
        "America/St_Johns",
        "keep_daily = 2",
        NOW,
        &[
            (at("2010-11-07T12:00:00-03:30"), "daily snapshot"),
            (at("2010-11-06T23:30:00-03:30"), "daily snapshot"),
            (at("2010-11-07T00:00:30-02:30"), ""),
            (at("2010-11-06T23:30:00-02:30"), ""),
            (at("2010-11-05T23:30:00-02:30"), ""),
        ],
    );
}

/// Guards against: a leap day that is no day, or a year that begins or ends with it.
#[test]
fn a_leap_day_is_a_day() {
    check(
        "UTC",
        "keep_daily = 2, keep_monthly = 2",
        NOW,
        &[
            (
                at("2028-03-01T00:00:00Z"),
                "daily snapshot, monthly snapshot",
            ),
            (
                at("2028-02-29T23:59:59Z"),
                "daily snapshot, monthly snapshot",
            ),
            (at("2028-02-29T00:00:00Z"), ""),
            (at("2028-02-28T12:00:00Z"), ""),
        ],
    );
    // A year before 29 February is 28 February at the same time of day.
    check(
        "UTC",
        "keep_within = \"1y\"",
        NOW,
        &[
            (at("2028-02-29T12:00:00Z"), "within 1y"),
            (at("2027-02-28T12:00:01Z"), "within 1y"),
            (at("2027-02-28T12:00:00Z"), ""),
        ],
    );
    // A month before 31 March is 28 February, never a day of March.
    check(
        "UTC",
        "keep_within = \"1m\"",
        NOW,
        &[
            (at("2027-03-31T12:00:00Z"), "within 1m"),
            (at("2027-03-01T12:00:00Z"), "within 1m"),
            (at("2027-02-28T11:59:59Z"), ""),
        ],
    );
}

/// Guards against: backups that go because none was made for a while; days of 24 hours where
/// clocks change.
#[test]
fn within_counts_from_the_newest_good_backup() {
    check(
        "UTC",
        "keep_within = \"7d\"",
        NOW,
        &[
            // Damaged: nothing is counted from it, and it stays.
            (
                of_state("2026-02-01T00:00:00Z", DAMAGED),
                "within 7d (damaged, takes no place)",
            ),
            (at("2026-01-10T00:00:00Z"), "within 7d"),
            (at("2026-01-03T00:00:01Z"), "within 7d"),
            (at("2026-01-03T00:00:00Z"), ""),
        ],
    );
    // From noon to noon of the day before, which is 23 hours.
    check(
        BERLIN,
        "keep_within = \"1d\"",
        NOW,
        &[
            (at("2026-03-29T12:00:00+02:00"), "within 1d"),
            (at("2026-03-28T12:30:00+01:00"), "within 1d"),
            (at("2026-03-28T11:30:00+01:00"), ""),
        ],
    );
}
