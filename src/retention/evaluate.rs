//! Which backups are kept, and why.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::candidate::{Candidate, CandidateState};
use super::policies::Policies;
use super::pool;
use super::rules::Rules;
use crate::omitted::Omitted;

/// Whether a backup is kept, and why, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The backup.
    pub id: String,
    /// Whether it stays.
    pub keep: bool,
    /// Why: `daily snapshot`, `oldest monthly snapshot`, `within 7d`, `pinned: audit`.
    pub reasons: Vec<String>,
}

/// Decides over the backups of one target by one set of rules, newest first.
///
/// See [`evaluate_all`], which takes rules of schedules too.
#[must_use]
pub fn evaluate(
    backups: &[Candidate],
    rules: &Rules,
    zone: &TimeZone,
    now: Timestamp,
) -> Vec<Decision> {
    evaluate_all(backups, &Policies::of(*rules, zone.clone()), now)
}

/// Decides over the backups of one target, newest first; of the same moment, the larger id first.
///
/// - Backups of an instance, of the same databases and sections, and by the same rules are counted
///   together.
/// - Pinned ones, those of others, those that can't be read and those from the future are kept.
///   Of these only a good pinned one is counted.
/// - A damaged one takes no place. It goes when the rules would not keep it if it were good, and a
///   newer good one is there.
/// - The newest good backup of all databases, and of each set of databases, is kept.
/// - The backups of a schedule that was removed are kept, and take no place.
/// - Without any rule everything is kept.
#[must_use]
pub fn evaluate_all(backups: &[Candidate], policies: &Policies, now: Timestamp) -> Vec<Decision> {
    let mut sorted: Vec<&Candidate> = backups.iter().collect();
    sorted.sort_by(|a, b| (b.time, &b.id).cmp(&(a.time, &a.id)));
    let last_good = last_good(&sorted, now);
    let is_newest = |at: usize, one: &Candidate| {
        let last = last_good.get(&Whose::of(one));
        last.is_none_or(|last| at < *last)
    };
    let mut pools: HashMap<_, (Vec<usize>, _)> = HashMap::new();
    for (at, one) in sorted
        .iter()
        .enumerate()
        .filter(|(_, one)| is_ruled(one, now) && removed_schedule(one, policies).is_none())
    {
        let (schedule, policy) = policies.find(one.schedule.as_deref());
        // Empty backups of a storage that went away must not push out those with data.
        let is_empty = one.state == CandidateState::Empty && is_newest(at, one);
        let key = (Whose::of(one), schedule, is_empty);
        pools
            .entry(key)
            .or_insert_with(|| (Vec::new(), policy))
            .0
            .push(at);
    }
    let mut decisions: Vec<Decision> = (sorted.iter())
        .map(|one| Decision {
            id: one.id.clone(),
            keep: false,
            reasons: Vec::new(),
        })
        .collect();
    for (places, policy) in pools.into_values() {
        if policy.rules.is_empty() {
            for at in places {
                decisions[at].reasons.push("no retention rule".to_owned());
            }
            continue;
        }
        let pool: Vec<_> = places.iter().map(|at| sorted[*at]).collect();
        for (at, reasons) in places.into_iter().zip(pool::reasons(&pool, policy)) {
            decisions[at].reasons = reasons;
        }
    }
    let last: HashSet<usize> = last_good.values().copied().collect();
    for (at, (one, decision)) in sorted.iter().zip(&mut decisions).enumerate() {
        let by_rules = std::mem::take(&mut decision.reasons);
        let mut reasons = forced(one, policies, now);
        if let CandidateState::NotGood(fault) = one.state
            && is_ruled(one, now)
        {
            let fault = fault.as_str();
            let (_, policy) = policies.find(one.schedule.as_deref());
            let has_rules = !policy.rules.is_empty();
            reasons.extend(by_rules.into_iter().map(|reason| match has_rules {
                true => format!("{reason} ({fault}, takes no place)"),
                false => reason,
            }));
            if is_newest(at, one) && reasons.is_empty() {
                reasons.push(format!("{fault}, and there is no newer good backup"));
            }
        } else {
            reasons.extend(by_rules);
        }
        if reasons.is_empty() && last.contains(&at) {
            reasons.push("last good backup".to_owned());
        }
        decision.keep = !reasons.is_empty();
        if reasons.is_empty() {
            reasons.push(match one.state {
                CandidateState::NotGood(fault) => {
                    format!("{}, and no rule keeps it", fault.as_str())
                }
                _ => "no rule keeps it".to_owned(),
            });
        }
        decision.reasons = reasons;
    }
    decisions
}

/// Whose backups, and of what: these are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Whose<'a> {
    instance: Option<&'a str>,
    scope: &'a [String],
    omitted: Omitted,
}

impl<'a> Whose<'a> {
    fn of(one: &'a Candidate) -> Self {
        Self {
            instance: one.instance.as_deref(),
            scope: &one.scope,
            omitted: one.omitted,
        }
    }
}

/// Whether rules decide over it.
fn is_ruled(one: &Candidate, now: Timestamp) -> bool {
    one.is_ours && one.time <= now && !matches!(one.state, CandidateState::Unknown(_))
}

/// The schedule that it was made for, if there is none of that name any more.
fn removed_schedule<'a>(one: &'a Candidate, policies: &Policies) -> Option<&'a str> {
    let name = one.schedule.as_deref()?;
    (!policies.knows(name)).then_some(name)
}

/// The places of the newest good backups. An empty one is the last good one only where no other is
/// there.
fn last_good<'a>(sorted: &[&'a Candidate], now: Timestamp) -> HashMap<Whose<'a>, usize> {
    let mut last = HashMap::new();
    for state in [CandidateState::Good, CandidateState::Empty] {
        let of_state = |(_, one): &(usize, &&Candidate)| one.state == state && is_ruled(one, now);
        for (at, one) in sorted.iter().enumerate().filter(of_state) {
            last.entry(Whose::of(one)).or_insert(at);
        }
    }
    last
}

/// The reasons for which it is kept whatever the rules say.
fn forced(one: &Candidate, policies: &Policies, now: Timestamp) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(pin) = one.live_pin(now) {
        reasons.push(match &pin.reason {
            Some(reason) => format!("pinned: {reason}"),
            None => "pinned".to_owned(),
        });
    }
    if !one.is_ours {
        reasons.push("not made by this instance".to_owned());
    } else if let CandidateState::Unknown(unknown) = one.state {
        reasons.push(unknown.as_str().to_owned());
    } else if one.time > now {
        reasons.push("dated in the future".to_owned());
    } else if let Some(name) = removed_schedule(one, policies) {
        reasons.push(format!("of schedule `{name}`, which is not configured"));
    }
    reasons
}
