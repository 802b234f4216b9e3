//! Storages beside Arc's own that a restore may write to: `[arc_backup.storages.<name>]`, each with
//! the keys of Arc's `[storage]`.

use std::path::Path;

use toml::Value;

use super::backends::Backends;
use super::targets::is_name;
use super::values::Values;
use super::variables::in_variables;
use crate::nearest::{hint, nearest};
use crate::{Error, Result};

/// The table of the storages.
pub(super) const TABLE: &str = "arc_backup.storages";
/// The key that each has beside those of its kind.
const KIND: &str = "backend";
/// How the variables of the storages begin, behind `ARC_BACKUP_`.
const VARIABLES: &str = "STORAGES_";

/// The names of the storages.
pub(super) fn names(values: &Values) -> Vec<String> {
    values.keys(TABLE)
}

/// The configuration of an instance that has its data in the storage of this name, and nothing
/// else, and the table of that storage. The program's own files of it are in the folder `state`.
///
/// # Errors
/// [`Error::Invalid`] where there is no such storage; [`Error::Config`] names what is wrong with
/// its table.
pub(super) fn configuration(
    values: &Values,
    backends: &Backends,
    name: &str,
    state: &Path,
) -> Result<(Values, String)> {
    if !is_name(name) {
        return Err(Error::Invalid(format!(
            "{name:?} can't be the name of a storage: one has letters, digits, `-` and `_` only"
        )));
    }
    let names = names(values);
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
    let keys = keys(values, backends, &table)?;
    Ok((as_storage(values, &table, &keys, state)?, table))
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

/// Whether a variable, by its name behind `ARC_BACKUP_`, sets a key of a storage of the file.
pub(super) fn is_variable(values: &Values, backends: &Backends, name: &str) -> bool {
    let names = values.keys(TABLE).into_iter();
    let of_storage = names.filter_map(|storage| {
        let rest = name.strip_prefix(VARIABLES)?;
        rest.strip_prefix(&format!("{}_", in_variables(&storage)))
    });
    let (keys, secrets) = (backends.storage_keys(), backends.secrets());
    let is_key = |field: &str| {
        let key = field.to_ascii_lowercase();
        let secret = key.strip_suffix("_file").unwrap_or_default();
        key == KIND || keys.contains(&&*key) || secrets.contains(&secret)
    };
    of_storage.into_iter().any(is_key)
}

/// A configuration that has these keys of `table` as its `[storage]`, and that no variable changes.
/// The program's own files are in the folder `state`.
fn as_storage(values: &Values, table: &str, keys: &[&str], state: &Path) -> Result<Values> {
    let mut text = "[storage]\n".to_owned();
    for key in keys {
        let path = format!("{table}.{key}");
        let value = match values.get(&path) {
            None => continue,
            Some(Value::String(text)) => toml_text(&text),
            Some(Value::Boolean(value)) => value.to_string(),
            Some(_) => return Err(values.wrong(&path, "a string, or true or false")),
        };
        text.push_str(&format!("{key} = {value}\n"));
    }
    let path = |name: &str| toml_text(&state.join(name).to_string_lossy());
    text.push_str(&format!(
        "[backup]\nstate_path = {}\nlocal_path = {}\n[auth]\ndb_path = {}\n",
        path("history.db"),
        path("backups"),
        path("arc.db")
    ));
    Values::parse(&text, table, [])
}

/// A basic string of TOML, which is escaped as one of JSON is.
pub(crate) fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
