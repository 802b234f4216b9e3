//! `doctor`: whether everything that the configuration names can be reached and used, and what to do where it can't.
//!
//! Each storage is asked for each right that a backup or restore needs, with a small object of its own that is gone
//! afterwards. Nothing else is changed.

mod check;
mod machine;
mod probe;
mod reading;
mod room;
mod set_aside;

use arc_backup_core::{Error as CoreError, ErrorKind};
pub use check::{Check, DoctorStatus, Report};

use crate::config::secret_variable;
use crate::operations::ArcBackup;

/// Arc's data, as checks name it.
const DATA: &str = "data storage";
/// What to do where the program runs in the wrong place.
const OTHER_PLACE: &str =
    "run in Arc's working directory (-C DIR), or name the file (--config FILE)";

/// The setting and remedy for a fault of a storage: the backend's message names the setting where it knows it.
fn explain(table: &str, error: &CoreError) -> (String, String) {
    let text = error.to_string();
    let named = text.split('`').skip(1).step_by(2).find(|word| {
        ["s3_", "azure_", "local_"]
            .iter()
            .any(|start| word.starts_with(start))
    });
    // `s3_path_style = true` is a setting with its value.
    let named = named.and_then(|words| words.split(' ').next());
    let setting = named.map_or_else(|| table.to_owned(), |name| format!("{table}.{name}"));
    if let Some(remedy) = error.remedy() {
        return (setting, in_table(table, remedy));
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
        ErrorKind::Unsupported => format!("the store can't do it: use another; see `{setting}`"),
        _ => format!("see `{setting}`"),
    };
    (setting, remedy)
}

/// A remedy with the names of its settings whole; with their variables, where these are secrets.
fn in_table(table: &str, remedy: &str) -> String {
    let mut variables = Vec::new();
    let words = remedy.split('`').enumerate().map(|(number, words)| {
        let is_setting = number % 2 == 1
            && ["s3_", "azure_"]
                .iter()
                .any(|start| words.starts_with(start));
        if !is_setting {
            return words.to_owned();
        }
        let key = format!("{table}.{words}");
        variables.extend(secret_variable(&key).map(|variable| format!("`{variable}`")));
        key
    });
    let text = words.collect::<Vec<_>>().join("`");
    match &variables[..] {
        [] => text,
        variables => format!(
            "{text}; in the environment: {}, or the same with `_FILE` for the path of a file",
            variables.join(", ")
        ),
    }
}

/// Checks everything. Takes no lock, so that it can look while an operation runs.
pub async fn examine(engine: &ArcBackup) -> Report {
    let mut checks = machine::configuration(engine);
    if let Err(error) = engine.check_place() {
        // Whatever else is looked at would be made, or missing, in the wrong place.
        checks.push(
            Check::bad("configuration", "place", error.to_string())
                .look_at("arc.toml", OTHER_PLACE),
        );
        return Report::new(checks);
    }
    checks.extend(machine::state(engine).await);
    checks.extend(machine::databases(engine).await);
    checks.extend(machine::arc(engine).await);
    let storages = std::iter::once((
        DATA.to_owned(),
        "storage".to_owned(),
        engine.storage().clone(),
        None,
    ))
    .chain(engine.targets().map(|(target, repository)| {
        (
            format!("target {}", target.name),
            target.key.clone(),
            repository.sink().clone(),
            Some(repository),
        )
    }));
    let probes = storages.map(async |(subject, table, sink, repository)| {
        probe::Probe::new(&subject, &table, &sink, repository)
            .run()
            .await
    });
    let (probed, (read, needs), replaced) = futures::join!(
        futures::future::join_all(probes),
        reading::data(engine),
        set_aside::replaced_files(engine),
    );
    checks.extend(probed.into_iter().flatten());
    let is_listed =
        (checks.iter()).any(|check| check.subject == DATA && check.check == "list" && check.ok);
    // What keeps it from being listed at all is said once.
    if is_listed {
        checks.extend(read);
    }
    checks.extend(room::checks(engine, needs));
    checks.extend(replaced);
    Report::new(checks)
}
