//! Which rules apply to which backup.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use super::rules::Rules;

/// Rules, and the time zone whose hours, days, weeks, months and years they count.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The rules.
    pub rules: Rules,
    /// The time zone.
    pub zone: TimeZone,
}

/// The rules of a target: those of its own, and those of schedules that have some. The backups of
/// such a schedule are counted apart from all others.
#[derive(Debug, Clone)]
pub struct Policies {
    /// For backups of no schedule, and of schedules without rules of their own.
    pub of_target: Policy,
    /// By the schedule's name.
    pub of_schedules: BTreeMap<String, Policy>,
    /// All schedules that there are. The backups of another one, which was removed or renamed, are
    /// kept: which rules they had is not known. `None`: the rules are for those too.
    pub schedules: Option<BTreeSet<String>>,
}

impl Policies {
    /// The same rules for every backup.
    #[must_use]
    pub fn of(rules: Rules, zone: TimeZone) -> Self {
        Self {
            of_target: Policy { rules, zone },
            of_schedules: BTreeMap::new(),
            schedules: None,
        }
    }

    /// Whether it is known which rules the backups of this schedule have.
    #[must_use]
    pub fn knows(&self, schedule: &str) -> bool {
        (self.schedules.as_ref()).is_none_or(|all| all.contains(schedule))
    }

    /// The rules for a backup of this schedule, and the schedule whose rules they are.
    #[must_use]
    pub fn find(&self, schedule: Option<&str>) -> (Option<&str>, &Policy) {
        let own = schedule.and_then(|name| self.of_schedules.get_key_value(name));
        match own {
            Some((name, policy)) => (Some(name), policy),
            None => (None, &self.of_target),
        }
    }
}
