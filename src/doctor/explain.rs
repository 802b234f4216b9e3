//! The setting to look at, and what to do, for a fault of a storage.

use arc_backup_core::{Error as CoreError, ErrorKind};

use crate::config::Backends;

/// The setting and remedy for a fault of the storage whose settings are in `table`.
pub(super) fn explain(backends: &Backends, table: &str, error: &CoreError) -> (String, String) {
    let setting =
        (error.setting()).map_or_else(|| table.to_owned(), |name| format!("{table}.{name}"));
    if let Some(remedy) = error.remedy() {
        return (setting, in_table(backends, table, remedy));
    }
    let remedy = match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "check the credentials, and grant the right that is missing (the backend's README lists all); see `{setting}`"
        ),
        ErrorKind::NotFound => format!("create it, or correct `{setting}`"),
        ErrorKind::Unavailable | ErrorKind::Throttled => {
            format!("check that the store runs and can be reached from here; see `{setting}`")
        }
        ErrorKind::NoSpace => "free or add room".to_owned(),
        ErrorKind::Corrupt => {
            "something on the way changes bytes: check memory, disk, proxies".to_owned()
        }
        ErrorKind::Unsupported => {
            format!("the store does not support it: use another; see `{setting}`")
        }
        _ => format!("see `{setting}`"),
    };
    (setting, remedy)
}

/// A remedy with the whole names of its settings, and with the variables of those that are secrets.
fn in_table(backends: &Backends, table: &str, remedy: &str) -> String {
    let mut variables = Vec::new();
    // What stands between backticks is a name, or a name with its value.
    let parts = remedy.split('`').enumerate().map(|(number, part)| {
        let name = part.split(' ').next().unwrap_or_default();
        if number % 2 == 0 || !backends.is_storage_key(name) {
            return part.to_owned();
        }
        let variable = backends.secret_variable(&format!("{table}.{name}"));
        variables.extend(variable.map(|variable| format!("`{variable}`")));
        format!("{table}.{part}")
    });
    let text = parts.collect::<Vec<_>>().join("`");
    match &variables[..] {
        [] => text,
        variables => format!(
            "{text}; in the environment: {}, or the same with `_FILE` for the path of a file",
            variables.join(", ")
        ),
    }
}
