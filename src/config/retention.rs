//! Retention rules, by target and by schedule, and the time zone that they count in.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde_json::Value as Json;
use toml::Value;

use super::targets::TargetSettings;
use super::values::Values;
use crate::retention::{Policies, Policy, Rules};
use crate::{Error, Result};

/// The table of the rules for all targets.
const RETENTION: &str = "arc_backup.retention";
/// The key of the time zone.
const TIMEZONE: &str = "arc_backup.timezone";

/// Which rules apply to which backup.
#[derive(Debug, Clone)]
pub struct RetentionSettings {
    /// `arc_backup.timezone`, default `UTC`: whose days, weeks, months and years are counted.
    pub zone: TimeZone,
    /// `[arc_backup.retention]`, for targets without rules of their own.
    pub rules: Rules,
    /// `[arc_backup.targets.<name>.retention]`, by target.
    pub of_targets: BTreeMap<String, Rules>,
    /// Those of schedules that have some, by the schedule's name.
    pub of_schedules: BTreeMap<String, Policy>,
    /// All schedules, once they were read.
    pub schedules: Option<BTreeSet<String>>,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self {
            zone: TimeZone::UTC,
            rules: Rules::default(),
            of_targets: BTreeMap::new(),
            of_schedules: BTreeMap::new(),
            schedules: None,
        }
    }
}

impl RetentionSettings {
    /// Reads the rules.
    ///
    /// # Errors
    /// [`Error::Config`] names the key, the value and what is allowed.
    pub(super) fn read(values: &Values, targets: &[TargetSettings]) -> Result<Self> {
        // Where Arc reads, it may refuse the key; and rules that are ignored delete nothing.
        for key in ["backup.retention", "backup.timezone"] {
            if values.in_file(key).is_some() {
                return Err(Error::Config(format!(
                    "`{key}` is not read there: move it to `arc_{key}`"
                )));
            }
        }
        let mut of_targets = BTreeMap::new();
        for table in ["backup.targets", "arc_backup.targets"] {
            for name in values.keys(table) {
                let key = format!("{table}.{name}.retention");
                let Some(found) = values.in_file(&key) else {
                    continue;
                };
                if table == "backup.targets" {
                    return Err(Error::Config(format!(
                        "`{key}` is not read there: move it to `[arc_{key}]`"
                    )));
                }
                let target = (targets.iter()).find(|one| one.name.eq_ignore_ascii_case(&name));
                let target = target.ok_or_else(|| {
                    let known: Vec<_> = targets.iter().map(|one| &*one.name).collect();
                    let known = known.join(", ");
                    Error::Config(format!(
                        "`{key}`: there is no target {name:?}; known: {known}"
                    ))
                })?;
                of_targets.insert(target.name.clone(), rules(&key, found)?);
            }
        }
        let rules = match values.in_file(RETENTION) {
            Some(found) => rules(RETENTION, found)?,
            None => Rules::default(),
        };
        Ok(Self {
            zone: zone(values)?,
            rules: with_variables(values, rules)?,
            of_targets,
            of_schedules: BTreeMap::new(),
            schedules: None,
        })
    }

    /// The rules for the backups in a target.
    #[must_use]
    pub fn policies(&self, target: &str) -> Policies {
        let rules = self.of_targets.get(target).unwrap_or(&self.rules);
        Policies {
            of_target: Policy {
                rules: *rules,
                zone: self.zone.clone(),
            },
            of_schedules: self.of_schedules.clone(),
            schedules: self.schedules.clone(),
        }
    }
}

/// The rules of a table.
///
/// # Errors
/// [`Error::Config`] names the key and the value.
pub(crate) fn rules(table: &str, value: &Value) -> Result<Rules> {
    let Value::Table(found) = value else {
        return Err(Error::Config(format!(
            "`{table}` must be a table (`[{table}]`), not a value of type {}",
            value.type_str()
        )));
    };
    let mut rules = Rules::default();
    for (key, value) in found {
        set(&mut rules, table, key, value)?;
    }
    Ok(rules)
}

fn set(rules: &mut Rules, table: &str, key: &str, value: &Value) -> Result<()> {
    let value = match value {
        Value::Integer(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::Boolean(value) => Json::from(*value),
        Value::String(text) => Json::from(text.as_str()),
        other => Json::from(format!("a value of type {}", other.type_str())),
    };
    rules
        .set(key, &value)
        .map_err(|error| Error::Config(format!("in `[{table}]`: {error}")))
}

/// The same rules, with those that variables set: `ARC_BACKUP_RETENTION_KEEP_DAILY`.
fn with_variables(values: &Values, mut rules: Rules) -> Result<Rules> {
    for key in Rules::KEYS {
        let path = format!("{RETENTION}.{key}");
        if values.is_overridden(&path)
            && let Some(value) = values.get(&path)
        {
            set(&mut rules, RETENTION, key, &value)?;
        }
    }
    Ok(rules)
}

fn zone(values: &Values) -> Result<TimeZone> {
    let name = values.text(TIMEZONE)?;
    let name = name.as_deref().map_or("UTC", str::trim);
    TimeZone::get(name).map_err(|_| {
        values.wrong(
            TIMEZONE,
            "the name of a time zone, such as UTC or Europe/Berlin",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::backends::samples;
    use crate::config::environment::target_names;
    use crate::config::targets::targets;

    fn read(text: &str, environment: &[(&str, &str)]) -> Result<RetentionSettings> {
        let environment = (environment.iter()).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let values = Values::parse(text, "arc.toml", environment)?;
        let targets = targets(&values, &target_names(&values)?, &samples::backends())?;
        RetentionSettings::read(&values, &targets)
    }

    /// Guards against: rules of a target that are another's, or make it another target.
    #[test]
    fn a_target_has_its_own_rules_or_those_of_all() {
        let text = "[arc_backup]\ntimezone = \"Europe/Berlin\"\n\
                    [arc_backup.retention]\nkeep_last = 1\n\
                    [backup.targets.near]\ntype = \"s3\"\n\
                    [arc_backup.targets.near.retention]\nkeep_last = 2\n\
                    [arc_backup.targets.far]\ntype = \"s3\"\nretention = {keep_last = 3}\n\
                    [arc_backup.targets.other]\ntype = \"s3\"\n\
                    [arc_backup.targets.local.retention]\nkeep_last = 4\n";
        let found = read(text, &[]).expect("valid");
        assert_eq!(found.zone.iana_name(), Some("Europe/Berlin"));
        for (target, last) in [("near", 2), ("far", 3), ("other", 1), ("local", 4)] {
            let policies = found.policies(target);
            assert_eq!(policies.of_target.rules.keep_last, last, "{target}");
        }
        let variables = [
            ("ARC_BACKUP_RETENTION_KEEP_LAST", "9"),
            ("ARC_BACKUP_TIMEZONE", "Asia/Kolkata"),
        ];
        let found = read(text, &variables).expect("valid");
        assert_eq!(found.policies("other").of_target.rules.keep_last, 9);
        assert_eq!(found.policies("near").of_target.rules.keep_last, 2);
        assert_eq!(found.zone.iana_name(), Some("Asia/Kolkata"));
        assert!(read("", &[]).expect("valid").rules.is_empty());
    }

    /// Guards against: rules that an operator wrote and nobody follows.
    #[test]
    fn wrong_rules_are_errors_that_name_them() {
        for (text, named) in [
            (
                "[arc_backup.retention]\nkeep_last = -1\n",
                &["arc_backup.retention", "keep_last", "-1"][..],
            ),
            (
                "[arc_backup.retention]\nkeep_dayly = 1\n",
                &["keep_dayly", "keep_daily"],
            ),
            (
                "[arc_backup]\nretention = 7\n",
                &["`arc_backup.retention`", "table"],
            ),
            (
                "[arc_backup.targets.moon.retention]\nkeep_last = 1\n",
                &["moon", "known: local"],
            ),
            (
                "[arc_backup.targets.local.retention]\nkeep_within = \"x\"\n",
                &["arc_backup.targets.local.retention", "keep_within"],
            ),
            (
                "[backup.retention]\nkeep_last = 1\n",
                &["`backup.retention`", "`arc_backup.retention`"],
            ),
            (
                "[backup.targets.a]\ntype = \"s3\"\n[backup.targets.a.retention]\nkeep_last = 1\n",
                &["`[arc_backup.targets.a.retention]`"],
            ),
            (
                "[arc_backup]\ntimezone = \"Mars\"\n",
                &["`arc_backup.timezone`", "Mars"],
            ),
        ] {
            let error = read(text, &[]).expect_err(text).to_string();
            for one in named {
                assert!(error.contains(one), "{text}: {error}");
            }
        }
    }
}
