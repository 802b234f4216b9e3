//! `doctor`: whether everything that the configuration names can be reached and used, and what to do where it can't.
//!
//! Each storage is asked for each right that a backup or restore needs, with a small object of its own that is gone
//! afterwards. Nothing else is changed.

mod check;
mod machine;
mod probe;

use arc_backup_core::{Error as CoreError, ErrorKind};
pub use check::{Check, CheckStatus, Report};

use crate::operations::ArcBackup;

/// The setting and remedy for a fault of a storage: the backend's message names the setting where it knows it.
fn explain(table: &str, error: &CoreError) -> (String, String) {
    let text = error.to_string();
    let named = text.split('`').skip(1).step_by(2).find(|word| {
        ["s3_", "azure_", "local_"]
            .iter()
            .any(|start| word.starts_with(start))
    });
    let setting = named.map_or_else(|| table.to_owned(), |name| format!("{table}.{name}"));
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

/// Checks everything. Takes no lock, so that it can look while an operation runs.
pub async fn examine(engine: &ArcBackup) -> Report {
    let mut checks = machine::configuration(engine);
    checks.extend(machine::state(engine).await);
    checks.extend(machine::databases(engine).await);
    checks.extend(machine::arc(engine).await);
    let storages = std::iter::once((
        "data storage".to_owned(),
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
    for found in futures::future::join_all(probes).await {
        checks.extend(found);
    }
    Report::new(checks)
}
