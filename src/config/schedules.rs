//! `[[arc_backup.schedule]]`: when backups are made by themselves, and what follows each.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use toml::{Table, Value};

use super::keys::unknown_target;
use super::retention::{RetentionSettings, rules as retention_rules};
use super::settings::Settings;
use crate::backup_type::BackupType;
use crate::cron::{Cron, Timing};
use crate::nearest::hint;
use crate::retention::{Policy, Rules};
use crate::times;
use crate::{Error, Result};

/// The array of tables.
const TABLES: &str = "arc_backup.schedule";
/// The keys of a schedule.
const KEYS: [&str; 14] = [
    "name",
    "cron",
    "timezone",
    "type",
    "target",
    "databases",
    "retention",
    "copy_to",
    "verify",
    "rehearse",
    "jitter",
    "run_missed",
    "paused",
    "labels",
];
/// The longest name.
const LONGEST_NAME: usize = 64;
/// How many runs are looked at for the shortest interval between two.
const INTERVALS: usize = 50;

/// A schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleSettings {
    /// When it runs; its name too.
    pub timing: Arc<Timing>,
    /// The type of its backups; `None`: as `arc_backup.mode` says.
    pub backup_type: Option<BackupType>,
    /// The target of its backups: the one that it names, or the default one.
    pub target: String,
    /// Whether it names that. Otherwise databases that have a target of their own go there.
    pub names_target: bool,
    /// The databases that its backups are limited to; empty: all.
    pub databases: Vec<String>,
    /// The rules by which its backups are kept; `None`: those of the target.
    pub retention: Option<Rules>,
    /// The targets that each backup is copied to.
    pub copy_to: Vec<String>,
    /// How each backup is verified; `None`: not at all.
    pub verify: Option<ScheduledVerification>,
    /// How much of each backup is rehearsed; `None`: nothing.
    pub rehearse: Option<ScheduledRehearsal>,
    /// The labels of its backups.
    pub labels: Vec<String>,
}

impl ScheduleSettings {
    /// The target that is asked for; `None`: each database goes where the configuration says.
    #[must_use]
    pub fn wanted_target(&self) -> Option<&str> {
        self.names_target.then_some(&*self.target)
    }
}

/// How a schedule verifies its backups.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScheduledVerification {
    /// That every file exists with its size.
    Quick,
    /// Every byte.
    Full,
    /// A share of the files: 0.05 for a twentieth.
    Sample(f64),
}

impl ScheduledVerification {
    const FORM: &'static str = "\"quick\", \"full\" or a sample such as \"sample:5%\"";

    fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "quick" => Some(Self::Quick),
            "full" => Some(Self::Full),
            text => share(text.strip_prefix("sample:")?).map(Self::Sample),
        }
    }
}

/// The share that is written as `5%`: 0.05.
fn share(text: &str) -> Option<f64> {
    let percent: f64 = text.trim().strip_suffix('%')?.trim().parse().ok()?;
    (percent > 0.0 && percent <= 100.0).then_some(percent / 100.0)
}

/// A share as the percent that was written: 7, and not 7.000000000000001.
fn percent(share: f64) -> f64 {
    (share * 1e8).round() / 1e6
}

/// How much of its backups a schedule rehearses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScheduledRehearsal {
    /// All files.
    Full,
    /// A share of the data files: 0.1 for a tenth.
    Share(f64),
}

impl ScheduledRehearsal {
    const FORM: &'static str = "\"full\" or a share such as \"10%\"";

    fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "full" => Some(Self::Full),
            text => share(text).map(Self::Share),
        }
    }
}

impl std::fmt::Display for ScheduledRehearsal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Share(share) => write!(f, "{}%", percent(*share)),
        }
    }
}

impl std::fmt::Display for ScheduledVerification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Quick => f.write_str("quick"),
            Self::Full => f.write_str("full"),
            Self::Sample(share) => write!(f, "sample:{}%", percent(*share)),
        }
    }
}

impl Settings {
    /// Reads the schedules, in the order of the file.
    ///
    /// Not a part of `Settings::load`: a mistake in a schedule must not stand in the way of a
    /// restore.
    ///
    /// # Errors
    /// [`Error::Config`] names the schedule, the key, the value and what is allowed.
    pub fn schedules(&self) -> Result<Vec<ScheduleSettings>> {
        let found = match self.values.get(TABLES) {
            None => return Ok(Vec::new()),
            Some(Value::Array(found)) => found,
            Some(_) => {
                return Err(Error::Config(format!(
                    "`{TABLES}` must be tables in double brackets (`[[{TABLES}]]`), one for each schedule"
                )));
            }
        };
        let mut schedules: Vec<ScheduleSettings> = Vec::new();
        for (at, value) in found.into_iter().enumerate() {
            let Value::Table(table) = value else {
                return Err(Error::Config(format!(
                    "`{TABLES}` must be tables (`[[{TABLES}]]`), and number {} is a value of type {}",
                    at + 1,
                    value.type_str()
                )));
            };
            let schedule = Reader::new(table, at)?.read(self)?;
            let name = &schedule.timing.name;
            if schedules.iter().any(|one| one.timing.name == *name) {
                return Err(Error::Config(format!(
                    "`[[{TABLES}]]` has the name {name:?} twice: each schedule needs a name of its own"
                )));
            }
            schedules.push(schedule);
        }
        Ok(schedules)
    }
}

impl Settings {
    /// The rules of retention, with those of the schedules.
    ///
    /// # Errors
    /// As [`Settings::schedules`].
    pub(crate) fn retention_of_all(&self) -> Result<RetentionSettings> {
        let mut retention = self.retention.clone();
        let schedules = self.schedules()?;
        let names = (schedules.iter()).map(|schedule| schedule.timing.name.clone());
        retention.schedules = Some(names.collect());
        for schedule in schedules {
            if let Some(rules) = schedule.retention {
                let (name, zone) = (schedule.timing.name.clone(), schedule.timing.zone.clone());
                (retention.of_schedules).insert(name, Policy { rules, zone });
            }
        }
        Ok(retention)
    }
}

/// One table.
struct Reader {
    name: String,
    table: Table,
}

impl Reader {
    fn new(table: Table, at: usize) -> Result<Self> {
        let number = at + 1;
        let allowed = format!(
            "1 to {LONGEST_NAME} lower-case letters, digits, `_` and `-`, such as \"nightly\""
        );
        let name = match table.get("name") {
            Some(Value::String(name)) => name.clone(),
            Some(value) => {
                return Err(Error::Config(format!(
                    "`name` of schedule number {number} (`[[{TABLES}]]`) must be {allowed}, not {}",
                    shown(value)
                )));
            }
            None => {
                return Err(Error::Config(format!(
                    "schedule number {number} (`[[{TABLES}]]`) has no `name`: {allowed}"
                )));
            }
        };
        let is_odd =
            |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains(is_odd) {
            return Err(Error::Config(format!(
                "`name` of schedule number {number} (`[[{TABLES}]]`) must be {allowed}, not {name:?}"
            )));
        }
        Ok(Self { name, table })
    }

    fn wrong(&self, key: &str, allowed: &str) -> Error {
        let found = match self.table.get(key) {
            Some(value) => format!("must be {allowed}, not {}", shown(value)),
            None => format!("is missing: {allowed}"),
        };
        Error::Config(format!("`{key}` of schedule {:?} {found}", self.name))
    }

    fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.table.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim())),
            Some(_) => Err(self.wrong(key, "a text")),
        }
    }

    fn bool(&self, key: &str, default: bool) -> Result<bool> {
        match self.table.get(key) {
            None => Ok(default),
            Some(Value::Boolean(value)) => Ok(*value),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    fn names(&self, key: &str, allowed: &str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.table.get(key) else {
            return Ok(None);
        };
        let names = value.as_array().and_then(|items| {
            let names = items.iter().map(|item| item.as_str().map(str::trim));
            let names = names.collect::<Option<Vec<_>>>()?;
            names.iter().all(|name| !name.is_empty()).then_some(names)
        });
        let names = names.ok_or_else(|| self.wrong(key, allowed))?;
        let mut known: Vec<String> = Vec::new();
        for name in names {
            if !known.iter().any(|one| one == name) {
                known.push(name.to_owned());
            }
        }
        Ok(Some(known))
    }

    fn read(&self, settings: &Settings) -> Result<ScheduleSettings> {
        for key in self.table.keys() {
            if !KEYS.contains(&key.as_str()) {
                return Err(Error::Config(format!(
                    "`{key}` of schedule {:?} is not a known key: {}",
                    self.name,
                    hint(key, &KEYS)
                )));
            }
        }
        let target = self.target(settings)?;
        let databases = self.names("databases", "an array of names of databases")?;
        if databases.as_ref().is_some_and(Vec::is_empty) {
            return Err(self.wrong("databases", "an array of one name or more; without it, all"));
        }
        let backup_type = match self.text("type")? {
            None => None,
            Some(word) => Some(
                BackupType::parse(word)
                    .ok_or_else(|| self.wrong("type", "\"full\" or \"incremental\""))?,
            ),
        };
        let verify = match self.text("verify")? {
            None => None,
            Some(text) => Some(
                ScheduledVerification::parse(text)
                    .ok_or_else(|| self.wrong("verify", ScheduledVerification::FORM))?,
            ),
        };
        let rehearse = match self.text("rehearse")? {
            None => None,
            Some(text) => Some(
                ScheduledRehearsal::parse(text)
                    .ok_or_else(|| self.wrong("rehearse", ScheduledRehearsal::FORM))?,
            ),
        };
        let retention = match self.table.get("retention") {
            None => None,
            Some(value @ Value::Table(_)) => {
                let rules = retention_rules("retention", value);
                let error =
                    |error: Error| Error::Config(format!("schedule {:?}: {error}", self.name));
                Some(rules.map_err(error)?)
            }
            Some(_) => {
                let allowed = "a table of rules, such as { keep_daily = 7, keep_monthly = 12 }";
                return Err(self.wrong("retention", allowed));
            }
        };
        Ok(ScheduleSettings {
            timing: Arc::new(self.timing()?),
            backup_type,
            copy_to: self.copy_to(settings, &target)?,
            target,
            names_target: self.table.contains_key("target"),
            databases: databases.unwrap_or_default(),
            retention,
            verify,
            rehearse,
            labels: (self.names("labels", "an array of texts")?).unwrap_or_default(),
        })
    }

    fn timing(&self) -> Result<Timing> {
        let cron = self
            .text("cron")?
            .ok_or_else(|| self.wrong("cron", Cron::FORM))?;
        let cron = Cron::from_str(cron).map_err(|fault| {
            Error::Config(format!("{} ({fault})", self.wrong("cron", Cron::FORM)))
        })?;
        let timezone = self.text("timezone")?.unwrap_or("UTC").to_owned();
        let zone = TimeZone::get(&timezone).map_err(|_| {
            self.wrong(
                "timezone",
                "the name of a time zone, such as UTC or Europe/Berlin",
            )
        })?;
        let mut timing = Timing {
            name: self.name.clone(),
            cron,
            timezone,
            zone,
            jitter: Duration::ZERO,
            run_missed: self.bool("run_missed", true)?,
            paused: self.bool("paused", false)?,
        };
        if let Some(text) = self.text("jitter")? {
            timing.jitter = times::parse_duration(text)
                .ok_or_else(|| self.wrong("jitter", times::DURATION_FORM))?;
            let shortest = shortest_interval(&timing);
            if timing.jitter >= shortest {
                let allowed = format!(
                    "shorter than the time between two runs, which is {}",
                    times::setting(shortest)
                );
                return Err(self.wrong("jitter", &allowed));
            }
        }
        Ok(timing)
    }

    fn target(&self, settings: &Settings) -> Result<String> {
        let target = self.text("target")?;
        let target = target.unwrap_or(&settings.backup.default_target).to_owned();
        self.check_target("target", &target, settings)?;
        Ok(target)
    }

    fn check_target(&self, key: &str, target: &str, settings: &Settings) -> Result<()> {
        let known: Vec<_> = settings
            .targets
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        if known.contains(&target) {
            return Ok(());
        }
        let unknown = unknown_target(&settings.values, &settings.backends, target, &known);
        Err(Error::Config(format!(
            "`{key}` of schedule {:?} names an {unknown}",
            self.name
        )))
    }

    fn copy_to(&self, settings: &Settings, target: &str) -> Result<Vec<String>> {
        match self.names("copy_to", "an array of names of targets")? {
            Some(names) => {
                if names.iter().any(|name| name == target) {
                    let allowed = "names of other targets than the one of its backups";
                    return Err(self.wrong("copy_to", allowed));
                }
                for name in &names {
                    self.check_target("copy_to", name, settings)?;
                }
                Ok(names)
            }
            None => {
                // A backup that is made there needs no copy there.
                let mut names = settings.backup.copy_to.clone();
                names.retain(|name| name != target);
                Ok(names)
            }
        }
    }
}

/// A value in a message.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        other => format!("a value of type {}", other.type_str()),
    }
}

fn shortest_interval(timing: &Timing) -> Duration {
    // Any moment would do: a message must not depend on the day.
    let from = Timestamp::from_second(1_767_225_600).unwrap_or_default();
    let runs = timing.next_runs(from, INTERVALS);
    let seconds = runs
        .windows(2)
        .map(|two| two[1].as_second() - two[0].as_second());
    let seconds = seconds
        .min()
        .and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(Duration::MAX, Duration::from_secs)
}
