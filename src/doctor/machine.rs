//! What is on this machine: configuration, state folder, databases.

use super::check::Check;
use crate::config::{Database, searched_places};
use crate::operations::ArcBackup;

/// What to do where the program runs in the wrong folder.
pub(super) const OTHER_FOLDER: &str =
    "run in Arc's working directory (-C DIR), or name the file (--config FILE)";

pub(super) fn configuration(engine: &ArcBackup) -> Vec<Check> {
    let subject = "configuration";
    let settings = engine.settings();
    let path = settings.config_path.display();
    let mut checks = vec![if settings.config_exists {
        Check::good(subject, "file", format!("{path}"))
    } else {
        let text = format!(
            "no file was found ({}): Arc's defaults and the environment apply",
            searched_places()
        );
        Check::warn(subject, "file", text).look_at("arc.toml", OTHER_FOLDER)
    }];
    checks.extend(settings.warnings.iter().map(|warning| {
        let remedy = warning.remedy.as_deref().unwrap_or("correct or remove it");
        Check::warn(subject, "keys", warning.text.as_str())
            .look_at(warning.setting.as_str(), remedy)
    }));
    checks.extend(
        settings
            .not_included
            .iter()
            .map(|text| Check::good(subject, "not included", text.as_str())),
    );
    if !settings.auth.enabled {
        checks.push(
            Check::warn(
                subject,
                "tokens",
                "`auth.enabled` is false: anybody who reaches the service may restore and delete",
            )
            .look_at(
                "auth.enabled",
                "set it to true, or make sure that only administrators can reach the service",
            ),
        );
    }
    checks
}

pub(super) async fn state(engine: &ArcBackup) -> Vec<Check> {
    let subject = "state";
    let folder = engine.settings().backup.state_folder();
    let place = folder.display().to_string();
    let writable = if folder.is_dir() {
        tempfile_in(folder)
    } else {
        // The folder is created when it is first needed.
        let above = crate::operations::existing(folder);
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        rustix::fs::access(above, access).map_err(Into::into)
    };
    let writable = writable.map_err(|error| crate::Error::io("write to", folder, error));
    let mut checks = vec![match writable {
        Ok(()) => Check::good(subject, "write", place),
        Err(error) => Check::bad(subject, "write", error.to_string()).look_at(
            "backup.state_path",
            "set `backup.state_path` to a file in a folder that can be written",
        ),
    }];
    if let Some(marker) = engine.interrupted_restore().await {
        checks.push(
            Check::bad(subject, "restore", marker.to_string())
                .look_at("backup.state_path", marker.remedy()),
        );
    }
    checks
}

/// Creates a file in `folder` and removes it.
fn tempfile_in(folder: &std::path::Path) -> std::io::Result<()> {
    let path = folder.join(format!(".doctor-{}.tmp", std::process::id()));
    crate::files::create_file(&path)?;
    std::fs::remove_file(path)
}

pub(super) async fn databases(engine: &ArcBackup) -> Vec<Check> {
    let mut checks = Vec::new();
    for database in engine.settings().databases.clone() {
        let subject = format!("database {}", database.file);
        let remedy = "run as the user that Arc runs as, in Arc's working directory (-C)";
        let path = database.path.clone();
        let read =
            tokio::task::spawn_blocking(move || crate::source::describe_database(&path)).await;
        let check = match read {
            Ok(Ok(Some(detail))) => Check::good(&subject, "read", detail),
            Ok(Ok(None)) if database.needed_by.is_none() => continue,
            Ok(Ok(None)) => {
                let text = format!("{} does not exist", database.path.display());
                // Arc creates its database at its first start; the others may never be needed.
                if database.setting == "auth.db_path" && engine.settings().auth.enabled {
                    Check::bad(&subject, "read", text).look_at(database.setting.as_str(), remedy)
                } else {
                    Check::good(&subject, "read", text)
                }
            }
            Ok(Err(error)) => {
                Check::bad(&subject, "read", error.to_string()).look_at(&database.setting, remedy)
            }
            Err(error) => Check::bad(&subject, "read", error.to_string()),
        };
        checks.push(check);
        checks.extend(pending(&subject, &database));
    }
    checks
}

/// The folder of Arc's Iceberg warehouse, where that is outside of the storage root.
pub(super) async fn warehouse(engine: &ArcBackup) -> Option<Check> {
    const SUBJECT: &str = "Iceberg warehouse";
    let folder = engine.settings().warehouse_folder()?;
    let path = folder.display();
    Some(match tokio::fs::metadata(&folder).await {
        Ok(meta) if meta.is_dir() => Check::good(SUBJECT, "folder", path.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Check::good(SUBJECT, "folder", format!("{path} does not exist"))
        }
        found => {
            let text =
                found.map_or_else(|error| error.to_string(), |_| "is not a folder".to_owned());
            Check::bad(SUBJECT, "folder", format!("{path}: {text}"))
                .look_at("iceberg.warehouse", "name a folder that can be read")
        }
    })
}

/// Restores of a database that Arc has staged itself.
fn pending(subject: &str, database: &Database) -> Vec<Check> {
    let found = crate::source::pending_restores(&database.path);
    let checks = found.into_iter().map(|path| {
        let text = format!(
            "{}: Arc has staged a restore of its own: it is put in force at Arc's next start",
            path.display()
        );
        Check::warn(subject, "pending restore", text).look_at(
            database.setting.as_str(),
            "restart Arc to put it in force, or remove the file; a restore of metadata moves it away",
        )
    });
    checks.collect()
}
