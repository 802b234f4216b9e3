//! `doctor`: whether everything that the configuration names can be reached and used, and what to do where it can't.
//!
//! Each storage is asked for each right that a backup or restore needs, with a small object of its own that is gone
//! afterwards. Nothing else is changed.

mod machine;
mod probe;
mod set_aside;

use arc_backup_core::{Error as CoreError, ErrorKind};
use poem_openapi::Object;

use crate::operations::ArcBackup;

/// What the doctor found.
#[derive(Debug, Clone, PartialEq, Object)]
#[oai(rename = "DoctorReport")]
pub struct Report {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// Each check.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, Default, PartialEq, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Check {
    /// What was checked: `data storage`, `target offsite`, `database arc.db`, …
    pub subject: String,
    /// Which check: `put`, `list`, `clock`, …
    pub check: String,
    /// Whether it went well.
    pub ok: bool,
    /// A state that is no fault, and that not everything works in: `append-only`.
    pub state: Option<String>,
    /// What was found.
    pub detail: String,
    /// The setting to look at.
    pub setting: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
}

impl Check {
    fn good(subject: &str, check: &str, detail: impl Into<String>) -> Self {
        Self {
            subject: subject.to_owned(),
            check: check.to_owned(),
            ok: true,
            detail: detail.into(),
            ..Self::default()
        }
    }

    fn bad(subject: &str, check: &str, detail: impl Into<String>) -> Self {
        Self {
            ok: false,
            ..Self::good(subject, check, detail)
        }
    }

    fn look_at(mut self, setting: impl Into<String>, remedy: impl Into<String>) -> Self {
        self.setting = Some(setting.into());
        self.remedy = Some(remedy.into());
        self
    }

    /// The check that met `error` in a storage whose settings are in `table`.
    fn failed(subject: &str, check: &str, table: &str, error: &CoreError) -> Self {
        let (setting, remedy) = explain(table, error);
        Self::bad(subject, check, error.to_string()).look_at(setting, remedy)
    }
}

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
    let replaced = set_aside::replaced_files(engine);
    let (found, replaced) = futures::join!(futures::future::join_all(probes), replaced);
    checks.extend(found.into_iter().flatten());
    checks.extend(replaced);
    Report {
        ok: checks.iter().all(|check| check.ok),
        checks,
    }
}
