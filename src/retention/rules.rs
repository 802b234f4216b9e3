//! The rules that keep backups.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::within::Within;

/// How many backups are kept, and of which periods. A backup that one of the rules keeps is kept.
/// 0, or `None`, switches a rule off. The default has no rule: then everything is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// The newest of all.
    pub keep_last: u64,
    /// The newest of each hour, of this many hours that have a backup.
    pub keep_hourly: u64,
    /// The same of days.
    pub keep_daily: u64,
    /// The same of weeks, Monday to Sunday.
    pub keep_weekly: u64,
    /// The same of months.
    pub keep_monthly: u64,
    /// The same of years.
    pub keep_yearly: u64,
    /// All that are this much older than the newest good one, or less.
    pub keep_within: Option<Within>,
}

/// The key of the rule that is a span.
const WITHIN: &str = "keep_within";

impl Rules {
    /// The keys of the rules, in configuration and JSON.
    pub const KEYS: [&str; 7] = [
        "keep_last",
        "keep_hourly",
        "keep_daily",
        "keep_weekly",
        "keep_monthly",
        "keep_yearly",
        WITHIN,
    ];

    /// Whether no rule is set. Everything is kept then.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts().iter().all(|count| *count == 0) && self.within().is_none()
    }

    /// `keep_within`, where it is set and not 0.
    pub(super) fn within(&self) -> Option<Within> {
        self.keep_within.filter(|within| !within.is_zero())
    }

    /// The numbers, in the order of their keys.
    pub(super) fn counts(&self) -> [u64; 6] {
        [
            self.keep_last,
            self.keep_hourly,
            self.keep_daily,
            self.keep_weekly,
            self.keep_monthly,
            self.keep_yearly,
        ]
    }

    /// Sets the rule `key`. A number may be a text too, as variables have it.
    ///
    /// # Errors
    /// Names the key and the value, and what is allowed; a text for people.
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        if key == WITHIN {
            let within = match value {
                Value::Null => Some(Within::default()),
                Value::Number(number) if number.as_u64() == Some(0) => Some(Within::default()),
                Value::String(text) => Within::parse(text),
                _ => None,
            };
            let within = within.ok_or_else(|| {
                format!(
                    "`{key}` must be {}, not {value}; 0 switches the rule off",
                    Within::FORM
                )
            })?;
            self.keep_within = Some(within).filter(|within| !within.is_zero());
            return Ok(());
        }
        let place = match key {
            "keep_last" => &mut self.keep_last,
            "keep_hourly" => &mut self.keep_hourly,
            "keep_daily" => &mut self.keep_daily,
            "keep_weekly" => &mut self.keep_weekly,
            "keep_monthly" => &mut self.keep_monthly,
            "keep_yearly" => &mut self.keep_yearly,
            _ => {
                let known = Self::KEYS.join(", ");
                return Err(format!("`{key}` is not a known key; known: {known}"));
            }
        };
        let number = match value {
            Value::Null => Some(0),
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_u64(),
        };
        *place = number.ok_or_else(|| {
            format!("`{key}` must be a whole number, not {value}; 0 switches the rule off")
        })?;
        Ok(())
    }

    /// The rules that are set, by their keys.
    #[must_use]
    pub fn to_map(&self) -> Map<String, Value> {
        let numbers = (Self::KEYS.iter().zip(self.counts()))
            .filter(|(_, count)| *count > 0)
            .map(|(key, count)| ((*key).to_owned(), Value::from(count)));
        let within = (self.within()).map(|within| (WITHIN.to_owned(), within.to_string().into()));
        numbers.chain(within).collect()
    }
}

impl Serialize for Rules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rules = self.to_map();
        let mut map = serializer.serialize_map(Some(rules.len()))?;
        for (key, value) in &rules {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// An unknown key is an error: a rule that is ignored in silence would delete what it was to keep.
impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut rules = Self::default();
        for (key, value) in Map::deserialize(deserializer)? {
            rules.set(&key, &value).map_err(D::Error::custom)?;
        }
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: rules that are ignored in silence, and a 0 that deletes everything.
    #[test]
    fn wrong_rules_are_errors_that_name_key_and_value() {
        for (text, named) in [
            ("keep_last = -1", &["`keep_last`", "-1"][..]),
            ("keep_daily = 1.5", &["`keep_daily`", "1.5"]),
            ("keep_daily = \"many\"", &["`keep_daily`", "many"]),
            ("keep_daily = \"-1\"", &["`keep_daily`", "-1"]),
            ("keep_daily = true", &["`keep_daily`", "true"]),
            (
                "keep_dayly = 1",
                &["`keep_dayly`", "keep_daily", "keep_within"],
            ),
            ("keep_within = \"7w\"", &["`keep_within`", "7w", "2y5m7d3h"]),
            ("keep_within = 7", &["`keep_within`", "7", "2y5m7d3h"]),
            ("keep_within = \"-7d\"", &["`keep_within`", "-7d"]),
        ] {
            let error = toml::from_str::<Rules>(text).expect_err(text).to_string();
            for one in named {
                assert!(error.contains(one), "{text}: {error}");
            }
        }
        for (text, is_empty) in [
            ("", true),
            ("keep_last = 0", true),
            ("keep_within = 0\nkeep_yearly = 0", true),
            ("keep_within = \"0d\"", true),
            ("keep_last = 1", false),
            ("keep_last = \"1\"", false),
            ("keep_within = \"1h\"", false),
        ] {
            let rules: Rules = toml::from_str(text).expect(text);
            assert_eq!(rules.is_empty(), is_empty, "{text}");
        }
    }

    /// Guards against: a plan that says other rules than those that it follows.
    #[test]
    fn rules_are_written_as_they_are_read() {
        let text = r#"{"keep_last":3,"keep_weekly":5,"keep_within":"1y2d"}"#;
        let rules: Rules = serde_json::from_str(text).expect("rules");
        let written = serde_json::to_value(rules).expect("plain data");
        assert_eq!(written, serde_json::from_str::<Value>(text).expect("JSON"));
    }
}
