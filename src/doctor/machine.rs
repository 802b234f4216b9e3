//! What is on this machine: configuration, state folder, databases.

use super::Check;
use crate::config::Settings;
use crate::operations::{ArcBackup, Reach, SET_URL, examine_arc, without_flush};

pub(super) fn configuration(engine: &ArcBackup) -> Vec<Check> {
    let subject = "configuration";
    let settings = engine.settings();
    let path = settings.config_path.display();
    let mut checks = vec![if settings.config_exists {
        Check::good(subject, "file", format!("{path}"))
    } else {
        let text = format!(
            "none was found ({}): Arc's defaults and the environment are in force",
            Settings::searched()
        );
        Check::warn(subject, "file", text).look_at("arc.toml", super::OTHER_PLACE)
    }];
    checks.extend(settings.warnings.iter().map(|warning| {
        let setting = warning.split('`').nth(1).unwrap_or("backup").to_owned();
        Check::warn(subject, "keys", warning.as_str()).look_at(setting, "correct or remove it")
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
                "`auth.enabled` is false: whoever reaches the service may restore and delete",
            )
            .look_at(
                "auth.enabled",
                "set it to true, or let nobody but administrators reach the service",
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
        // Nothing is made before it is needed.
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

/// Whether a file can be made in `folder`; it is gone again.
fn tempfile_in(folder: &std::path::Path) -> std::io::Result<()> {
    let path = folder.join(format!(".doctor-{}.tmp", std::process::id()));
    crate::private::create_file(&path)?;
    std::fs::remove_file(path)
}

/// Whether the Arc can be reached that is flushed before a backup, or runs and is not flushed.
pub(super) async fn arc(engine: &ArcBackup) -> Option<Check> {
    let settings = engine.settings();
    let Some(arc) = &settings.backup.arc else {
        let seen = without_flush(settings);
        let required = settings.backup.require_flush.then(|| {
            let text = "`backup.require_flush` is true, and `backup.arc_url` is not set: every backup fails";
            Check::bad("Arc", "flush", text).look_at("backup.arc_url", SET_URL)
        });
        return required.or_else(|| {
            let text = format!("{}: backups lack the rows that it holds in memory", seen?);
            Some(Check::warn("Arc", "flush", text).look_at("backup.arc_url", SET_URL))
        });
    };
    Some(match examine_arc(arc).await {
        Reach::Good(detail) => Check::good("Arc", "reach", detail),
        Reach::Bad(detail, setting, remedy) => {
            Check::bad("Arc", "reach", detail).look_at(setting, remedy)
        }
    })
}

pub(super) async fn databases(engine: &ArcBackup) -> Vec<Check> {
    let mut checks = Vec::new();
    for database in engine.settings().databases.clone() {
        let subject = format!("database {}", database.file);
        let remedy = "run as the user that Arc runs as, in Arc's working directory (-C)";
        let path = database.path.clone();
        let read =
            tokio::task::spawn_blocking(move || crate::source::look_at_database(&path)).await;
        let check = match read {
            Ok(Ok(Some(detail))) => Check::good(&subject, "read", detail),
            Ok(Ok(None)) if database.needed_by.is_none() => continue,
            Ok(Ok(None)) => {
                let text = format!("{} does not exist", database.path.display());
                // Arc makes its database when it first starts; one of the others may never be needed.
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
    }
    checks
}
