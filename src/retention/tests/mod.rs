//! The rules over years of backups. Expected reasons were worked out by hand.

mod periods;
mod properties;
mod restic;
mod states;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Candidate, CandidateState, Decision, Fault, Pinned, Rules, evaluate};

const BERLIN: &str = "Europe/Berlin";
const DAMAGED: CandidateState = CandidateState::NotGood(Fault::Damaged);

fn time(text: &str) -> Timestamp {
    text.parse().expect(text)
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect(name)
}

fn rules(text: &str) -> Rules {
    toml::from_str(&text.replace(", ", "\n")).expect(text)
}

/// A backup whose id is its time.
fn at(text: &str) -> Candidate {
    Candidate::new(text, time(text))
}

fn of_state(text: &str, state: CandidateState) -> Candidate {
    Candidate { state, ..at(text) }
}

fn pinned(text: &str, until: Option<&str>) -> Candidate {
    Candidate {
        pin: Some(Pinned {
            reason: Some("audit".to_owned()),
            until: until.map(time),
        }),
        ..at(text)
    }
}

/// Backups of before this moment.
const NOW: &str = "2030-01-01T00:00:00Z";

fn decided(of: &[Candidate], with: &str, zone_name: &str, now: &str) -> BTreeMap<String, Decision> {
    let decisions = evaluate(of, &rules(with), &zone(zone_name), time(now));
    assert_eq!(decisions.len(), of.len());
    decisions
        .into_iter()
        .map(|one| (one.id.clone(), one))
        .collect()
}

/// Each backup with the reasons for which it stays; an empty text for one that goes.
#[track_caller]
fn check(zone_name: &str, with: &str, now: &str, cases: &[(Candidate, &str)]) {
    let backups: Vec<_> = cases.iter().map(|(one, _)| one.clone()).collect();
    let decisions = decided(&backups, with, zone_name, now);
    for (one, expected) in cases {
        let decision = &decisions[&one.id];
        let found = match decision.keep {
            true => decision.reasons.join(", "),
            false => String::new(),
        };
        assert!(!decision.reasons.is_empty(), "{} has no reason", one.id);
        assert_eq!(found, *expected, "{} by {with} in {zone_name}", one.id);
    }
}

impl Candidate {
    fn named(self, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ..self
        }
    }
}

fn kept_of(decisions: &BTreeMap<String, Decision>) -> BTreeSet<String> {
    (decisions.values().filter(|one| one.keep))
        .map(|one| one.id.clone())
        .collect()
}
