//! Storages beside Arc's own that a restore may write to: `[arc_backup.storages.<name>]`, each with
//! the keys of Arc's `[storage]`.

use std::path::Path;

use toml::Value;

use super::backends::Backends;
use super::settings::Settings;
use super::values::Values;
use crate::nearest::{hint, nearest};
use crate::{Error, Result};

/// The table of the storages.
const TABLE: &str = "arc_backup.storages";
/// The key that each has beside those of its kind.
const KIND: &str = "backend";

impl Settings {
    /// The settings of an instance that has its data in the storage of this name, and nothing else.
    /// The program's own files of it are in the folder `state`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no such storage; [`Error::Config`] names what is wrong
    /// with its table.
    pub(crate) fn of_other_storage(&self, name: &str, state: &Path) -> Result<Self> {
        let names = self.values.keys(TABLE);
        if !names.iter().any(|known| known == name) {
            let known: Vec<_> = names.iter().map(String::as_str).collect();
            return Err(Error::Invalid(match known[..] {
                [] => format!(
                    "no storage {name:?}: none is configured (`[{TABLE}.{name}]`, with the keys of `[storage]`)"
                ),
                _ => format!("no storage {name:?}: {}", hint(name, &known)),
            }));
        }
        let table = format!("{TABLE}.{name}");
        let keys = keys(&self.values, &self.backends, &table)?;
        let values = as_storage(&self.values, &table, &keys, state)?;
        let mut settings =
            Self::from_values(values, self.backends.clone(), state.join("arc.toml"), false)
                .map_err(|error| match error {
                    Error::Config(text) => {
                        Error::Config(text.replace("`storage.", &format!("`{table}.")))
                    }
                    other => other,
                })?;
        settings.databases.clear();
        Ok(settings)
    }
}

/// The keys of the table's kind.
fn keys(values: &Values, backends: &Backends, table: &str) -> Result<Vec<&'static str>> {
    let kind = values.text(&format!("{table}.{KIND}"))?;
    let Some(kind) = kind else {
        return Err(Error::Config(format!(
            "`{table}.{KIND}` is missing: it says what kind of storage it is ({})",
            backends.names()
        )));
    };
    let Some(backend) = backends.find(&kind) else {
        return Err(Error::Config(format!(
            "`{table}.{KIND}` must be one of {}, not {kind:?}",
            backends.names()
        )));
    };
    let known: Vec<_> = [KIND]
        .into_iter()
        .chain(backend.keys.iter().copied())
        .collect();
    if let Some(key) = (values.keys(table).into_iter()).find(|key| !known.contains(&&**key)) {
        let meant = nearest(&key, known.iter().copied());
        let meant = meant.map_or_else(String::new, |meant| format!(", did you mean {meant:?}?"));
        return Err(Error::Config(format!(
            "`{table}.{key}` is not a known key{meant}; known: {}",
            known.join(", ")
        )));
    }
    if (backend.store)(values, table)?.is_none() {
        let place = backend.place.first().map_or("place", |(key, _)| key);
        return Err(Error::Config(format!(
            "`{table}.{place}` is missing: it says where the storage is"
        )));
    }
    Ok(known)
}

/// A configuration that has these keys of `table` as its `[storage]`, and that no variable changes.
/// The program's own files are in the folder `state`.
fn as_storage(values: &Values, table: &str, keys: &[&str], state: &Path) -> Result<Values> {
    let mut text = "[storage]\n".to_owned();
    for key in keys {
        let path = format!("{table}.{key}");
        let value = match values.get(&path) {
            None => continue,
            Some(Value::String(text)) => quoted(&text),
            Some(Value::Boolean(value)) => value.to_string(),
            Some(_) => return Err(values.wrong(&path, "a string, or true or false")),
        };
        text.push_str(&format!("{key} = {value}\n"));
    }
    let path = |name: &str| quoted(&state.join(name).to_string_lossy());
    text.push_str(&format!(
        "[backup]\nstate_path = {}\nlocal_path = {}\n[auth]\ndb_path = {}\n",
        path("history.db"),
        path("backups"),
        path("arc.db")
    ));
    Values::parse(&text, table, [])
}

/// A basic string of TOML, which is escaped as one of JSON is.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
