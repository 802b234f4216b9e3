//! Counting the files that restores have set aside. No operation removes them; the operator does.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_backup_core::{AsideAreas, AsideStore, ListOptions, OperationId, Sink};
use jiff::Timestamp;

use crate::config::real_path;
use crate::files::{folder_of, with_suffix};
use crate::operations::ArcBackup;
use crate::repository::own;
use crate::{Error, Result};

/// Timeout for listing the files set aside in the data storage.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);

/// The files that a restore has set aside in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The place, for people.
    pub place: String,
    /// The number of files.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// When they were set aside, if that is known.
    pub since: Option<Timestamp>,
    /// The operation that set them aside, if that is known.
    pub operation_id: Option<String>,
}

impl ArcBackup {
    /// Counts the files that restores have set aside, and returns the failures to do so. Data is
    /// set aside beside the live data, or in the targets if that is not possible. Databases and the
    /// configuration are set aside beside the live ones.
    pub async fn set_aside(&self) -> (Vec<SetAside>, Vec<Error>) {
        let (mut found, mut faults) = (Vec::new(), Vec::new());
        let storages = [&self.storage].into_iter().chain(&self.cold);
        let mut in_targets = false;
        for storage in storages {
            let listed = match storage.aside() {
                Some(aside) => set_aside_beside(storage, aside).await,
                None if in_targets => continue,
                None => {
                    in_targets = true;
                    self.set_aside_in_targets().await
                }
            };
            match listed {
                Ok(more) => found.extend(more),
                Err(error) => faults.push(error),
            }
        }
        let settings = self.settings.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let databases = settings.databases.iter().map(|database| &*database.path);
            let files = databases.chain([&*settings.config_path]);
            let mut found: Vec<_> = files.flat_map(beside).collect();
            if let Some(path) = settings.warehouse_folder() {
                found.extend(beside_folder(&real_path(&path)));
            }
            found
        });
        found.extend(looked.await.unwrap_or_default());
        (found, faults)
    }

    async fn set_aside_in_targets(&self) -> Result<Vec<SetAside>> {
        let folder = own("before-restore");
        let mut found = Vec::new();
        for repository in &self.repositories {
            let mut areas = AsideAreas::default();
            let listing = ListOptions::within(&folder);
            let prefix = listing.prefix.clone();
            (areas.add_listing(repository.sink().list(listing), &prefix)).await?;
            found.extend(areas.into_vec().into_iter().map(|area| SetAside {
                place: format!("{folder}/{}/ in target {}", area.area, repository.name()),
                files: area.files,
                bytes: area.bytes,
                since: moment_of(&area.area),
                operation_id: operation_of(&area.area),
            }));
        }
        Ok(found)
    }
}

async fn set_aside_beside(
    storage: &Arc<dyn Sink>,
    aside: &dyn AsideStore,
) -> Result<Vec<SetAside>> {
    let listed = tokio::time::timeout(LIST_TIMEOUT, aside.list()).await;
    let areas = listed.map_err(|_| {
        Error::Failed(format!(
            "{}: timed out after {} s",
            storage.location(),
            LIST_TIMEOUT.as_secs()
        ))
    })??;
    let place = |area: &str| match OperationId::parse(area) {
        Ok(id) => aside.location(&id),
        // This program did not create it.
        Err(_) => area.to_owned(),
    };
    Ok((areas.into_iter())
        .map(|area| SetAside {
            place: place(&area.area),
            files: area.files,
            bytes: area.bytes,
            since: moment_of(&area.area),
            operation_id: operation_of(&area.area),
        })
        .collect())
}

/// Returns the operation's id at the beginning of a name.
fn operation_of(name: &str) -> Option<String> {
    let digits =
        |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let id = name.get(..24)?;
    let ends = (name[24..].chars().next()).is_none_or(|next| next == '.' || next == '-');
    let mut parts = id.split('-');
    let is_id = ends
        && digits(parts.next()?, 8)
        && digits(parts.next()?, 6)
        && parts.next()?.bytes().all(|byte| byte.is_ascii_hexdigit())
        && parts.next().is_none();
    is_id.then(|| id.to_owned())
}

/// Returns the moment in an operation's id.
fn moment_of(operation_id: &str) -> Option<Timestamp> {
    let named = operation_id.get(..15)?;
    let moment = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", named).ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(moment).ok()
}

/// Finds the replaced versions of the file at `path`, which are beside it.
fn beside(path: &Path) -> Vec<SetAside> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    // Those of the file itself, and of a restore of it that Arc had staged.
    let starts = ["", ".pending-restore"].map(|of| format!("{name}{of}.before-restore"));
    let children = std::fs::read_dir(folder_of(path))
        .into_iter()
        .flatten()
        .flatten();
    let kept = children.filter(|child| {
        let name = child.file_name();
        let name = name.to_string_lossy();
        starts.iter().any(|start| name.starts_with(start))
    });
    let mut found: Vec<_> = kept
        .filter_map(|child| {
            let meta = child.metadata().ok().filter(std::fs::Metadata::is_file)?;
            let changed = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let name = child.file_name().to_string_lossy().into_owned();
            let operation_id = (name.rsplit_once(".before-restore."))
                .and_then(|(_, operation)| operation_of(operation));
            Some(SetAside {
                place: child.path().display().to_string(),
                files: 1,
                bytes: meta.len(),
                since: (operation_id.as_deref().and_then(moment_of))
                    .or_else(|| Timestamp::try_from(changed).ok()),
                operation_id,
            })
        })
        .collect();
    found.sort_by(|a, b| a.place.cmp(&b.place));
    found
}

/// Counts the files in each folder that restores have made beside the folder at `path`.
fn beside_folder(path: &Path) -> Vec<SetAside> {
    let folder = with_suffix(path, ".before-restore");
    let areas = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = areas
        .map(|area| {
            let (files, bytes) = count(&area.path());
            SetAside {
                place: area.path().display().to_string(),
                files,
                bytes,
                since: moment_of(&area.file_name().to_string_lossy()),
                operation_id: operation_of(&area.file_name().to_string_lossy()),
            }
        })
        .filter(|area| area.files > 0)
        .collect();
    found.sort_by(|a, b| a.place.cmp(&b.place));
    found
}

/// The files below a folder, and their bytes. Links are not followed.
fn count(folder: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for child in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match child.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(child.path()),
                Ok(meta) => (files, bytes) = (files + 1, bytes + meta.len()),
                Err(_) => {}
            }
        }
    }
    (files, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against disk space that replaced files take and nobody sees.
    #[test]
    fn replaced_databases_are_found_beside_the_live_one() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [
            "arc.db",
            "arc.db.before-restore",
            "arc.db.before-restore.20260211-143022-a1b2c3d4",
            "arc.db.pending-restore",
            "arc.db.pending-restore.before-restore",
            "other.db.before-restore",
        ] {
            std::fs::write(folder.path().join(name), "12345").expect("written");
        }
        let found = beside(&folder.path().join("arc.db"));
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found
                .iter()
                .all(|one| one.bytes == 5 && one.since.is_some())
        );
        let of = |name: &str| operation_of(name).unwrap_or_default();
        for name in ["", "-wal", ".cold-tier"] {
            let name = format!("20260211-143022-a1b2c3d4{name}");
            assert_eq!(of(&name), "20260211-143022-a1b2c3d4");
        }
        assert_eq!(
            (of("x"), of("20260211-143022-a1b2c3d4e")),
            Default::default()
        );
        let moment = moment_of("20260211-143022-a1b2c3d4").expect("a moment");
        assert_eq!(moment.to_string(), "2026-02-11T14:30:22Z");
    }
}
