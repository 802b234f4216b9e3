//! The rules of `docs/retention.md`, over years, under a clock of the test's own.

use std::collections::BTreeMap;

use arc_backup::{Candidate, Policies, Rules, evaluate_all};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use toml::{Table, Value};

const PAGE: &str = include_str!("../../../docs/retention.md");

/// The configuration under a heading of the page.
fn recipe(heading: &str) -> Table {
    let (_, section) = PAGE
        .split_once(&format!("### {heading}\n"))
        .unwrap_or_else(|| panic!("the page has no {heading:?}"));
    let (_, block) = section.split_once("```toml\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    block.parse().unwrap_or_else(|e| panic!("{heading}: {e}"))
}

fn rules(of: &Table, path: &[&str]) -> Rules {
    let mut value = Value::Table(of.clone());
    for name in path {
        value = value
            .get(name)
            .unwrap_or_else(|| panic!("there is no {path:?}"))
            .clone();
    }
    value.try_into().unwrap_or_else(|e| panic!("{path:?}: {e}"))
}

fn zone(of: &Table) -> TimeZone {
    let name = of["arc_backup"].get("timezone").and_then(Value::as_str);
    TimeZone::get(name.unwrap_or("UTC")).unwrap()
}

/// A target in which a backup is made every so many hours, with a prune after the last of each day,
/// to the end of so many days.
fn live(rules: Rules, zone: TimeZone, every_hours: i64, days: i64) -> Vec<Candidate> {
    let policies = Policies::of(rules, zone);
    let begin: Timestamp = "2024-01-01T00:05:00Z".parse().unwrap();
    let mut target = BTreeMap::new();
    for number in 0..days * 24 / every_hours {
        let now = begin + SignedDuration::from_hours(number * every_hours);
        target.insert(now, Candidate::new(now.to_string(), now));
        if (number + 1) * every_hours % 24 != 0 {
            continue;
        }
        let backups: Vec<_> = target.values().cloned().collect();
        for gone in evaluate_all(&backups, &policies, now) {
            assert!(gone.id != now.to_string() || gone.keep, "the newest goes");
            if !gone.keep {
                target.remove(&gone.id.parse().unwrap());
            }
        }
    }
    target.into_values().collect()
}

/// The age in days of the oldest.
fn oldest(backups: &[Candidate]) -> i64 {
    let (first, last) = (backups.first().unwrap(), backups.last().unwrap());
    last.time.duration_since(first.time).as_hours() / 24
}

/// Guards against: a page that promises another history than its rules keep.
#[test]
fn a_single_disk_keeps_a_week_and_some_weeks() {
    let page = recipe("Single disk");
    let kept = live(
        rules(&page, &["arc_backup", "retention"]),
        zone(&page),
        24,
        400,
    );
    // The last is of Monday, 3 February 2025. Seven days back is 28 January. The week before ends
    // on one of them, the others on 26, 19 and 12 January.
    assert_eq!((kept.len(), oldest(&kept)), (7 + 3, 22), "{kept:#?}");
}

/// Guards against: the same for hourly backups, of which most go within days.
#[test]
fn s3_keeps_hours_days_and_months() {
    let page = recipe("S3, every hour");
    let kept = live(
        rules(&page, &["arc_backup", "retention"]),
        zone(&page),
        1,
        500,
    );
    // The last is of 14 May 2025, 23:05. 48 hours; of 30 days two end within them; of 12 months May
    // ends there, and April is one of the days. The oldest is the end of June 2024.
    assert_eq!((kept.len(), oldest(&kept)), (48 + 28 + 10, 318));
}

/// Guards against: rules of one target that are followed in the other.
#[test]
fn two_targets_have_rules_of_their_own() {
    let page = recipe("Two targets");
    let near = rules(&page, &["arc_backup", "retention"]);
    let far = rules(&page, &["arc_backup", "targets", "offsite", "retention"]);
    let near = live(near, zone(&page), 24, 1200);
    let far = live(far, zone(&page), 24, 1200);
    assert_eq!((near.len(), oldest(&near)), (14, 13), "{near:#?}");
    // The last is of 14 April 2027. 30 days; of 12 months April and March end within them; of the
    // years 2027 does, and 2026 is one of the months. The very first stays: there are no 7 years.
    assert_eq!((far.len(), oldest(&far)), (30 + 10 + 2 + 1, 1199));
}
