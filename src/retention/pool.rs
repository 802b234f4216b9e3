//! The rules over backups that are counted together.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::candidate::{Candidate, CandidateState};
use super::policies::Policy;
use super::rules::Rules;

/// The periods, in the order of the rules' keys, with the reasons for which they keep a backup.
const PERIODS: [(Period, &str); 6] = [
    (Period::None, "last snapshot"),
    (Period::Hour, "hourly snapshot"),
    (Period::Day, "daily snapshot"),
    (Period::Week, "weekly snapshot"),
    (Period::Month, "monthly snapshot"),
    (Period::Year, "yearly snapshot"),
];

#[derive(Debug, Clone, Copy)]
enum Period {
    /// Each backup is one of its own.
    None,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Period {
    /// A number for the period of a local time: a later period has a larger one.
    fn number(self, local: DateTime) -> i64 {
        let date = local.date();
        let day =
            i64::from(date.year()) * 10_000 + i64::from(date.month()) * 100 + i64::from(date.day());
        match self {
            Self::None => 0,
            Self::Hour => day * 100 + i64::from(local.hour()),
            Self::Day => day,
            Self::Week => {
                // The week of a year's edge belongs to the year that has most of its days.
                let week = date.iso_week_date();
                i64::from(week.year()) * 100 + i64::from(week.week())
            }
            Self::Month => day / 100,
            Self::Year => i64::from(date.year()),
        }
    }
}

/// A rule while the backups are gone through.
struct Slots {
    period: Period,
    reason: &'static str,
    left: u64,
    /// The period of the last backup that it kept.
    last: Option<i64>,
}

impl Slots {
    /// Whether the rule keeps a backup of this local time.
    fn wants(&self, local: DateTime) -> bool {
        let number = self.period.number(local);
        // Where clocks are set back over midnight, a day comes twice.
        let is_new =
            matches!(self.period, Period::None) || self.last.is_none_or(|last| number < last);
        self.left > 0 && is_new
    }

    fn take(&mut self, local: DateTime) {
        self.left -= 1;
        self.last = Some(self.period.number(local));
    }
}

/// Gives each of the backups, newest first, the reasons for which the rules keep it: none where
/// they do not. Only good ones are counted. Another one has the reasons for which it would be kept
/// if it were good: it takes no place, so that nothing goes that a rule was to keep.
pub(super) fn reasons(backups: &[&Candidate], policy: &Policy) -> Vec<Vec<String>> {
    let Policy { rules, zone } = policy;
    let is_counted =
        |one: &&Candidate| matches!(one.state, CandidateState::Good | CandidateState::Empty);
    let newest = backups.iter().copied().find(is_counted);
    let oldest = backups.iter().rposition(is_counted);
    let within = rules
        .within()
        .zip(newest)
        .map(|(within, newest)| (format!("within {within}"), within.before(newest.time, zone)));
    let mut slots = slots(rules);
    let mut all = Vec::with_capacity(backups.len());
    for (at, one) in backups.iter().enumerate() {
        let mut reasons = Vec::new();
        if let Some((reason, after)) = &within
            && one.time > *after
        {
            reasons.push(reason.clone());
        }
        let local = local(one.time, zone);
        for slots in &mut slots {
            if slots.wants(local) {
                reasons.push(slots.reason.to_owned());
                if is_counted(one) {
                    slots.take(local);
                }
            } else if slots.left > 0 && oldest == Some(at) {
                // The history is as long as it can be while a rule is not filled.
                reasons.push(format!("oldest {}", slots.reason));
                slots.take(local);
            }
        }
        all.push(reasons);
    }
    all
}

fn local(time: Timestamp, zone: &TimeZone) -> DateTime {
    zone.to_datetime(time)
}

/// The rules that are switched on.
fn slots(rules: &Rules) -> Vec<Slots> {
    let on = (PERIODS.iter().zip(rules.counts())).filter(|(_, count)| *count > 0);
    let slots = on.map(|((period, reason), left)| Slots {
        period: *period,
        reason,
        left,
        last: None,
    });
    slots.collect()
}
