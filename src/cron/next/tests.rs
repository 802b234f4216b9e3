//! Worked out by hand with a calendar; the reason is in each case's line.

use std::str::FromStr;

use super::*;

fn cron(text: &str) -> Cron {
    Cron::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn moment(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// The runs of a schedule from `from` on.
fn runs(text: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let (cron, zone) = (cron(text), TimeZone::get(zone).expect("a zone"));
    let mut at = moment(from);
    let mut found = Vec::new();
    while found.len() < count {
        at = next_after(&cron, &zone, at).expect("a run");
        found.push(at.to_string());
    }
    found
}

/// Guards against: a run that is lost or doubled where the clock changes.
#[test]
fn a_skipped_time_runs_after_the_gap_and_a_doubled_one_once() {
    const BERLIN: &str = "Europe/Berlin";
    for (text, zone, from, expected) in [
        // 29 March 2026: 02:00 becomes 03:00 at 01:00Z. 02:30 is skipped: 03:00 instead.
        (
            "30 2 * * *",
            BERLIN,
            "2026-03-28T00:00:00Z",
            vec![
                "2026-03-28T01:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-30T00:30:00Z",
            ],
        ),
        // All four times of the skipped hour are one run, and 03:00 itself is the same moment.
        (
            "*/15 2,3 * * *",
            BERLIN,
            "2026-03-29T00:00:00Z",
            vec!["2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z"],
        ),
        // 25 October 2026: 03:00 becomes 02:00 at 01:00Z. 02:30 comes at 00:30Z and 01:30Z.
        (
            "30 2 * * *",
            BERLIN,
            "2026-10-24T12:00:00Z",
            vec!["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
        ),
        // Asked in the midst of the second 02:00 hour: 02:45 has run already.
        (
            "45 2,4 * * *",
            BERLIN,
            "2026-10-25T01:10:00Z",
            vec!["2026-10-25T03:45:00Z", "2026-10-26T01:45:00Z"],
        ),
        // 03:00 itself comes once, at 02:00Z.
        (
            "0 2,3 * * *",
            BERLIN,
            "2026-10-24T23:59:00Z",
            vec!["2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"],
        ),
        // Every hour: real hours, 23 and 25 of them.
        (
            "30 * * * *",
            BERLIN,
            "2026-03-29T00:00:00Z",
            vec!["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"],
        ),
        (
            "30 * * * *",
            BERLIN,
            "2026-10-25T00:00:00Z",
            vec![
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-25T02:30:00Z",
            ],
        ),
        // São Paulo skipped midnight itself: 4 November 2018, 00:00 became 01:00 at 03:00Z.
        (
            "@daily",
            "America/Sao_Paulo",
            "2018-11-03T12:00:00Z",
            vec!["2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"],
        ),
        // Lord Howe changes by half an hour: 4 October 2026, 02:00 becomes 02:30 at 15:30Z.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00:00Z",
            vec!["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"],
        ),
        // Samoa had no 30 December 2011: it runs once, when the 31st begins.
        (
            "0 12 30 12 *",
            "Pacific/Apia",
            "2011-12-01T00:00:00Z",
            vec!["2011-12-30T10:00:00Z", "2012-12-29T22:00:00Z"],
        ),
    ] {
        assert_eq!(
            runs(text, zone, from, expected.len()),
            expected,
            "{text} {zone}"
        );
    }
}

/// Guards against: a leap day, a week or a year's edge that is counted wrong.
#[test]
fn calendars_are_counted_as_people_count_them() {
    for (text, from, expected) in [
        // 2100 is no leap year.
        (
            "0 0 29 2 *",
            "2096-03-01T00:00:00Z",
            vec!["2104-02-29T00:00:00Z"],
        ),
        (
            "0 0 29 2 *",
            "2026-01-01T00:00:00Z",
            vec!["2028-02-29T00:00:00Z"],
        ),
        // Months without a 31st are left out.
        (
            "0 3 31 * *",
            "2026-01-31T03:00:00Z",
            vec!["2026-03-31T03:00:00Z", "2026-05-31T03:00:00Z"],
        ),
        // Day of month or day of week, as in every cron: the 1st, and Mondays.
        (
            "0 0 1 * MON",
            "2026-11-29T00:00:00Z",
            vec!["2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z"],
        ),
        // 7 is Sunday too.
        (
            "0 0 * * 7",
            "2026-11-24T00:00:00Z",
            vec!["2026-11-29T00:00:00Z"],
        ),
        (
            "@yearly",
            "2026-01-01T00:00:00Z",
            vec!["2027-01-01T00:00:00Z"],
        ),
        (
            "@weekly",
            "2026-11-29T00:00:00Z",
            vec!["2026-12-06T00:00:00Z"],
        ),
        (
            "@monthly",
            "2026-12-31T23:59:59Z",
            vec!["2027-01-01T00:00:00Z"],
        ),
        (
            "@hourly",
            "2026-12-31T23:00:00.5Z",
            vec!["2027-01-01T00:00:00Z"],
        ),
        // Seconds first, where there are six fields.
        (
            "*/20 0 0 * * *",
            "2026-01-01T00:00:20Z",
            vec!["2026-01-01T00:00:40Z", "2026-01-02T00:00:00Z"],
        ),
    ] {
        assert_eq!(runs(text, "UTC", from, expected.len()), expected, "{text}");
    }
}

/// Guards against: an expression that is accepted and never runs, or is read otherwise than meant.
#[test]
fn what_is_no_expression_is_refused() {
    for wrong in [
        "",
        "* * * *",
        "* * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 32 * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "@reboot",
        "@often",
        "every hour",
        "0 0 30 2 *",
        "0 0 31 4 *",
        "-1 * * * *",
        "*/0 * * * *",
    ] {
        assert!(Cron::from_str(wrong).is_err(), "{wrong}");
    }
    let never = Cron::from_str("0 0 30 2 *").expect_err("never").to_string();
    assert!(never.contains("never"), "{never}");
}

/// Guards against: a search for the last run that goes through years of minutes, or misses it.
#[test]
fn the_latest_run_is_the_last_of_all() {
    let zone = TimeZone::get("Europe/Berlin").expect("a zone");
    for text in ["* * * * *", "30 2 * * *", "0 0 24 * *", "*/7 3 * * 1"] {
        let cron = cron(text);
        let (after, until) = (
            moment("2026-10-01T00:00:00Z"),
            moment("2026-10-25T01:10:00Z"),
        );
        let all = std::iter::successors(Some(after), |at| next_after(&cron, &zone, *at));
        let last = all.skip(1).take_while(|at| *at <= until).last();
        assert_eq!(latest_until(&cron, &zone, after, until), last, "{text}");
    }
}

/// Guards against: a run that lies in the past, or one that the next question finds again.
#[test]
fn each_run_is_later_than_the_one_before() {
    let mut random = fastrand::Rng::with_seed(17);
    for zone in [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
    ] {
        let zone = TimeZone::get(zone).expect("a zone");
        for _ in 0..40 {
            let hour = match random.bool() {
                true => "*".to_owned(),
                false => random.u8(0..24).to_string(),
            };
            let cron = cron(&format!("{} {hour} * * *", random.u8(0..60)));
            let start = moment("2026-03-01T00:00:00Z").as_second() + random.i64(0..86_400 * 240);
            let mut at = Timestamp::from_second(start).expect("a time");
            for _ in 0..30 {
                let next = next_after(&cron, &zone, at).expect("a run");
                assert!(next > at, "{cron}");
                // Asked from any moment between, it is the same.
                let between = at.as_second() + random.i64(0..next.as_second() - at.as_second());
                let between = Timestamp::from_second(between).expect("a time");
                assert_eq!(
                    next_after(&cron, &zone, between),
                    Some(next),
                    "{cron} {between}"
                );
                at = next;
            }
        }
    }
}
