//! Raw configuration: a TOML table under environment variables.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use toml::{Table, Value};

use super::variables::{separate_variable, variable};
use crate::{Error, Result, times};

/// A configuration as it was read, with typed look-ups whose errors name the key.
#[derive(Clone, Default)]
pub struct Values {
    table: Table,
    environment: BTreeMap<String, String>,
    /// Secrets, by their keys, from files that variables name.
    from_files: BTreeMap<String, String>,
    /// The keys that were looked up, for a test that each accepted key is read.
    #[cfg(test)]
    looked_up: std::sync::Arc<std::sync::Mutex<std::collections::BTreeSet<String>>>,
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets.
        f.debug_struct("Values")
            .field("tables", &self.table.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl Values {
    /// The text of an `arc.toml`, under variables by name.
    ///
    /// # Errors
    /// [`Error::Config`] names `path` and the line where the text is not valid TOML.
    pub fn parse(
        text: &str,
        path: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let table = text.parse().map_err(|e: toml::de::Error| {
            let line = e
                .span()
                .map_or(0, |span| text[..span.start].lines().count().max(1));
            // Only the message: the error's own text quotes the line, which may hold a secret.
            Error::Config(format!(
                "{path} is not valid TOML: line {line}: {}",
                e.message()
            ))
        })?;
        Ok(Self {
            table,
            // As in Arc, an empty variable counts as absent.
            environment: environment
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .collect(),
            from_files: BTreeMap::new(),
            #[cfg(test)]
            looked_up: std::sync::Arc::default(),
        })
    }

    /// Whether a key was looked up, or its table listed.
    #[cfg(test)]
    pub(crate) fn was_read(&self, key: &str) -> bool {
        self.looked_up.lock().expect("not poisoned").contains(key)
    }

    #[cfg(test)]
    fn record_look_up(&self, key: &str) {
        let mut keys = self.looked_up.lock().expect("not poisoned");
        keys.insert(key.to_owned());
    }

    /// Another `arc.toml` under the same variables.
    ///
    /// # Errors
    /// As [`Values::parse`].
    pub(crate) fn with_file(&self, text: &str, path: &str) -> Result<Self> {
        Self::parse(text, path, self.environment.clone())
    }

    /// The raw value of a dotted key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value> {
        #[cfg(test)]
        self.record_look_up(key);
        let over =
            (self.override_of(key).map(|(_, text)| text)).or_else(|| self.from_files.get(key));
        if let Some(text) = over {
            return Some(Value::String(text.clone()));
        }
        self.in_file(key).cloned()
    }

    /// The raw value of a dotted key in the file.
    pub(super) fn in_file(&self, key: &str) -> Option<&Value> {
        let mut segments = key.split('.');
        let mut value = self.table.get(segments.next()?)?;
        for segment in segments {
            value = value.get(segment)?;
        }
        Some(value)
    }

    /// Whether a variable, or a file that one names, is in force over the file.
    pub(super) fn is_overridden(&self, key: &str) -> bool {
        self.override_of(key).is_some() || self.from_files.contains_key(key)
    }

    /// The texts of the file, each with the names that lead to it; an element of an array has its
    /// number.
    pub(super) fn texts(&self) -> Vec<(Vec<String>, String)> {
        fn walk(value: &Value, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, String)>) {
            let mut enter = |name: String, value: &Value| {
                path.push(name);
                walk(value, path, found);
                path.pop();
            };
            match value {
                Value::Table(table) => (table.iter()).for_each(|(k, v)| enter(k.clone(), v)),
                Value::Array(items) => {
                    (items.iter().enumerate()).for_each(|(at, v)| enter(at.to_string(), v));
                }
                Value::String(text) => found.push((path.clone(), text.clone())),
                _ => {}
            }
        }
        let mut found = Vec::new();
        for (name, value) in &self.table {
            walk(value, &mut vec![name.clone()], &mut found);
        }
        found
    }

    /// The variable that is set in place of a key, and its value.
    fn override_of(&self, key: &str) -> Option<(String, &String)> {
        std::iter::once(variable(key))
            .chain(separate_variable(key))
            .find_map(|name| Some((name.clone(), self.environment.get(&name)?)))
    }

    /// The key that is in force of one of ours, by its name: that under `[arc_backup]`, if it is
    /// set there; else that under `[backup]`.
    pub(super) fn own(&self, name: &str) -> String {
        let (own, shared) = (format!("arc_backup.{name}"), format!("backup.{name}"));
        #[cfg(test)]
        for key in [&own, &shared] {
            self.record_look_up(key);
        }
        let is_set = self.in_file(&own).is_some()
            || separate_variable(&own).is_some_and(|name| self.environment.contains_key(&name));
        if is_set { own } else { shared }
    }

    /// The table of a target: under `[arc_backup.targets]`, which Arc does not read, if it is
    /// there; else under `[backup.targets]`.
    pub(super) fn target_table(&self, name: &str) -> String {
        match self.describes_target(name) {
            true => format!("arc_backup.targets.{name}"),
            false => format!("backup.targets.{name}"),
        }
    }

    /// Whether there is a table under `[arc_backup.targets]` that describes this target. One with
    /// nothing but retention rules adds them to a target that is described elsewhere.
    pub(super) fn describes_target(&self, name: &str) -> bool {
        match self.in_file(&format!("arc_backup.targets.{name}")) {
            Some(Value::Table(table)) => {
                table.is_empty() || table.keys().any(|key| key != "retention")
            }
            found => found.is_some(),
        }
    }

    pub(super) fn wrong(&self, key: &str, allowed: &str) -> Error {
        let from = if let Some((name, _)) = self.override_of(key) {
            format!("`{name}`")
        } else if self.from_files.contains_key(key) {
            format!("the file that `{}_FILE` names", variable(key))
        } else {
            format!("`{key}`")
        };
        let found = match self.get(key) {
            // A value is shown only where it cannot be a secret.
            Some(Value::String(text)) if !is_secret(key) => format!(", not {text:?}"),
            Some(Value::Integer(value)) if !is_secret(key) => format!(", not {value}"),
            Some(Value::Float(value)) if !is_secret(key) => format!(", not {value}"),
            Some(Value::Boolean(value)) if !is_secret(key) => format!(", not {value}"),
            Some(value) if !value.is_str() => format!(", not a value of type {}", value.type_str()),
            _ => String::new(),
        };
        Error::Config(format!("{from} must be {allowed}{found}"))
    }

    /// A text.
    ///
    /// # Errors
    /// [`Error::Config`] names the key when it has another type.
    pub fn text(&self, key: &str) -> Result<Option<String>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "a string")),
        }
    }

    /// Names: an array, or a text that is split at commas. Empty ones are omitted.
    ///
    /// # Errors
    /// [`Error::Config`] names the key when it has another type.
    pub fn names(&self, key: &str) -> Result<Vec<String>> {
        let expected = "an array of names, or a text of names with commas between them";
        let names = match self.get(key) {
            None => Vec::new(),
            Some(Value::String(text)) => text.split(',').map(str::to_owned).collect(),
            Some(Value::Array(items)) => (items.into_iter())
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| self.wrong(key, expected))?,
            Some(_) => return Err(self.wrong(key, expected)),
        };
        let names = names.iter().map(|name| name.trim().to_owned());
        Ok(names.filter(|name| !name.is_empty()).collect())
    }

    /// A path, with its default.
    ///
    /// # Errors
    /// As [`Values::text`], and when it is empty.
    pub fn path(&self, key: &str, default: &str) -> Result<PathBuf> {
        let text = self.text(key)?.unwrap_or_else(|| default.to_owned());
        if text.trim().is_empty() {
            return Err(Error::Config(format!("`{key}` must not be empty")));
        }
        Ok(PathBuf::from(text))
    }

    /// A `true` or `false`, with its default.
    ///
    /// # Errors
    /// As [`Values::text`].
    pub fn bool(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Boolean(value)) => Ok(value),
            Some(Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "t" | "yes" | "on" => Ok(true),
                "false" | "0" | "f" | "no" | "off" => Ok(false),
                _ => Err(self.wrong(key, "true or false")),
            },
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    /// A whole number from `least`, with its default.
    ///
    /// # Errors
    /// As [`Values::text`].
    pub fn number(&self, key: &str, default: u64, least: u64, most: u64) -> Result<u64> {
        let number = match self.get(key) {
            None => return Ok(default),
            Some(Value::Integer(number)) => u64::try_from(number).ok(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        match number {
            Some(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(self.wrong(key, &format!("a whole number from {least} to {most}"))),
        }
    }

    /// A duration: seconds as a number, or a text such as `90s`, `30m`, `2h`, `1d`.
    ///
    /// # Errors
    /// As [`Values::text`].
    pub fn duration(&self, key: &str, default: Duration) -> Result<Duration> {
        let seconds = match self.get(key) {
            None => return Ok(default),
            Some(Value::Integer(number)) => u64::try_from(number).ok(),
            Some(Value::String(text)) => times::parse_duration(&text).map(|time| time.as_secs()),
            Some(_) => None,
        };
        match seconds {
            Some(seconds @ 1..=31_536_000) => Ok(Duration::from_secs(seconds)),
            _ => Err(self.wrong(
                key,
                "a duration from 1s to 365d, such as 90s, 30m, 2h or 1d, or a number of seconds",
            )),
        }
    }

    /// A variable's value, if it is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    /// Gives a key the value that was read from a file.
    pub(super) fn set_from_file(&mut self, key: String, value: String) {
        self.from_files.insert(key, value);
    }

    /// The names of the tables at the top of the file.
    pub(super) fn sections(&self) -> Vec<String> {
        let tables = self.table.iter().filter(|(_, value)| value.is_table());
        tables.map(|(name, _)| name.clone()).collect()
    }

    /// The same, where 0 means that there is no limit.
    ///
    /// # Errors
    /// As [`Values::text`].
    pub fn time_limit(&self, key: &str, default: Duration) -> Result<Option<Duration>> {
        let is_none = match self.get(key) {
            Some(Value::Integer(number)) => number == 0,
            Some(Value::String(text)) => times::parse_duration(&text) == Some(Duration::ZERO),
            _ => false,
        };
        match is_none {
            true => Ok(None),
            false => self.duration(key, default).map(Some),
        }
    }

    /// The same as a text in Go's form: `2h`, `1h30m`, `90s`. A number would be one of nanoseconds
    /// to Arc.
    ///
    /// # Errors
    /// As [`Values::text`].
    pub fn go_time_limit(&self, key: &str, default: Duration) -> Result<Option<Duration>> {
        let time = match self.get(key) {
            None => return Ok(Some(default)),
            Some(Value::String(text)) => times::parse_go_duration(&text),
            Some(_) => None,
        };
        match time {
            Some(Duration::ZERO) => Ok(None),
            Some(time) if (1..=31_536_000).contains(&time.as_secs()) => Ok(Some(time)),
            _ => Err(self.wrong(
                key,
                "a duration as Arc reads it, from 1s to 8760h, such as \"2h\", \"1h30m\" or \"90s\"",
            )),
        }
    }

    /// The names of variables with this prefix, without it.
    pub fn variables<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.environment
            .keys()
            .filter_map(move |name| name.strip_prefix(prefix))
    }

    /// Refuses a value that should be a table and is not.
    ///
    /// # Errors
    /// [`Error::Config`] names the key.
    pub fn check_table(&self, key: &str) -> Result<()> {
        let mut value = Some(&self.table);
        for segment in key.split('.') {
            let found = value.and_then(|table| table.get(segment));
            value = found.and_then(Value::as_table);
            if let (Some(found), None) = (found, value) {
                return Err(Error::Config(format!(
                    "`{key}` must be a table (`[{key}]`), not a value of type {}",
                    found.type_str()
                )));
            }
        }
        Ok(())
    }

    /// The keys of a table in the file.
    #[must_use]
    pub fn keys(&self, table: &str) -> Vec<String> {
        #[cfg(test)]
        self.record_look_up(table);
        let mut value = Some(&self.table);
        for segment in table.split('.') {
            value = value.and_then(|t| t.get(segment)).and_then(Value::as_table);
        }
        value
            .map(|t| t.keys().cloned().collect())
            .unwrap_or_default()
    }
}

fn is_secret(key: &str) -> bool {
    ["secret", "key", "token", "password", "connection_string"]
        .iter()
        .any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str, environment: &[(&str, &str)]) -> Values {
        let environment = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Values::parse(text, "arc.toml", environment).expect("valid TOML")
    }

    /// A variable that Arc obeys and we do not would back up another folder than Arc's.
    #[test]
    fn a_variable_overrides_the_file_and_an_empty_one_does_not() {
        let read = values(
            "[storage]\nbackend = \"local\"\n",
            &[
                ("ARC_STORAGE_BACKEND", "s3"),
                ("ARC_STORAGE_LOCAL_PATH", ""),
            ],
        );
        assert_eq!(
            read.text("storage.backend").expect("a text").as_deref(),
            Some("s3")
        );
        assert_eq!(read.text("storage.local_path").expect("absent"), None);
    }

    /// Guards against: a variable that is set for Arc, and moves our backups; a variable of ours
    /// that does nothing because the key is in the other table.
    #[test]
    fn variables_of_ours_count_in_both_tables_and_those_of_arc_in_its_own() {
        let text = "[backup]\ntimeout = 1\ndefault_target = \"a\"\n[arc_backup]\ntimeout = 2\ndefault_target = \"b\"\n";
        let in_force = |name: &str, environment: &[(&str, &str)]| {
            let read = values(text, environment);
            let key = read.own(name);
            (key.clone(), read.get(&key).expect("set"))
        };
        let own = |name: &str, value: Value| (format!("arc_backup.{name}"), value);
        let text_of = |text: &str| Value::String(text.to_owned());
        assert_eq!(in_force("timeout", &[]), own("timeout", Value::Integer(2)));
        let ours = [("ARC_BACKUP_TIMEOUT", "3")];
        assert_eq!(in_force("timeout", &ours), own("timeout", text_of("3")));
        let key = "default_target";
        let of_arc = [("ARC_BACKUP_DEFAULT_TARGET", "c")];
        assert_eq!(in_force(key, &of_arc), own(key, text_of("b")));
        let alone = [("ARC_ARC_BACKUP_DEFAULT_TARGET", "d")];
        assert_eq!(in_force(key, &alone), own(key, text_of("d")));
        let read = values("", &ours);
        assert_eq!(read.own("timeout"), "backup.timeout");
        let read = values("", &[("ARC_ARC_BACKUP_ENABLED", "true")]);
        assert_eq!(read.own("enabled"), "arc_backup.enabled");
    }

    /// An operator must find the line that is wrong, and no secret in a log.
    #[test]
    fn errors_name_the_key_and_what_is_allowed() {
        let read = values(
            "[backup]\ntimeout = \"soon\"\nenabled = 3\n[storage]\ns3_secret_key = 5\n",
            &[],
        );
        let timeout = read
            .duration("backup.timeout", Duration::ZERO)
            .expect_err("no duration")
            .to_string();
        assert!(
            timeout.contains("`backup.timeout`")
                && timeout.contains("2h")
                && timeout.contains("soon"),
            "{timeout}"
        );
        assert!(read.bool("backup.enabled", true).is_err());
        let broken = Values::parse("[a]\nsecret = hush\n", "arc.toml", [])
            .expect_err("no TOML")
            .to_string();
        assert!(
            broken.contains("line 2") && !broken.contains("hush"),
            "{broken}"
        );
    }

    #[test]
    fn durations_have_units() {
        let read = values(
            "[backup]\na = \"2h\"\nb = 90\nc = \"5x\"\nd = \"99999999999999999999h\"\n",
            &[],
        );
        let get = |key: &str| read.duration(key, Duration::ZERO);
        assert_eq!(get("backup.a").expect("hours"), Duration::from_secs(7200));
        assert_eq!(get("backup.b").expect("seconds"), Duration::from_secs(90));
        assert!(get("backup.c").is_err() && get("backup.d").is_err());
        let limits = values("[backup]\na = \"0s\"\nb = 0\nc = \"1m\"\nd = -1\n", &[]);
        let get = |key: &str| limits.time_limit(key, Duration::from_secs(7));
        assert_eq!(get("backup.a").expect("none"), None);
        assert_eq!(get("backup.b").expect("none"), None);
        let (minute, default) = (Duration::from_secs(60), Duration::from_secs(7));
        assert_eq!(get("backup.c").expect("a minute"), Some(minute));
        assert_eq!(get("backup.absent").expect("the default"), Some(default));
        assert!(get("backup.d").is_err());
    }
}
