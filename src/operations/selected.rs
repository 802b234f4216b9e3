//! Whether a backup has what a request selects: a misspelt name must not be a restore of nothing.

use arc_backup_core::{BlockingJob, Scope, Section, Selector};

use crate::manifest::{BackupId, Inventory, Manifest};
use crate::names::shortened;
use crate::nearest::nearest;
use crate::operations::{ArcBackup, DataSelection};
use crate::repository::{Loaded, Repository};
use crate::{Error, Result};

/// Checks by the manifest that the backup has the databases and measurements that are selected.
/// What is selected by paths is known from the inventory alone.
///
/// # Errors
/// [`Error::Invalid`] names the first item that selects nothing, and the name that is nearest.
pub(crate) fn check_names(id: &BackupId, manifest: &Manifest, scope: &Scope) -> Result<()> {
    // Those by Arc may name no database.
    if !scope.includes(&Section::Data) || manifest.databases.is_empty() {
        return Ok(());
    }
    let selection = scope.selection();
    for item in selection.include().iter().chain(selection.exclude()) {
        check_name(id, manifest, item).map_err(Error::Invalid)?;
    }
    Ok(())
}

/// The same where two backups are compared: one of them must have the name.
pub(crate) fn check_names_of_either(
    [a, b]: [(&BackupId, &Manifest); 2],
    scope: &Scope,
) -> Result<()> {
    if !scope.includes(&Section::Data) || a.1.databases.is_empty() || b.1.databases.is_empty() {
        return Ok(());
    }
    let selection = scope.selection();
    for item in selection.include().iter().chain(selection.exclude()) {
        if let (Err(text), Err(_)) = (check_name(a.0, a.1, item), check_name(b.0, b.1, item)) {
            return Err(Error::Invalid(text));
        }
    }
    Ok(())
}

fn check_name(id: &BackupId, manifest: &Manifest, item: &Selector) -> Result<(), String> {
    if !item.is_of_names() {
        return check_path(manifest, item);
    }
    let in_scope = (manifest.databases.iter())
        .filter(|database| item.may_select_in(&database.name))
        .collect::<Vec<_>>();
    let (database, measurement) = item.names();
    if in_scope.is_empty() {
        let known = manifest.databases.iter().map(|database| &database.name);
        let known: Vec<String> = known.cloned().collect();
        return Err(match database {
            Some(name) => format!(
                "{item}: backup {id} has no database {name:?}{}",
                known_names(name, &known)
            ),
            None => format!(
                "{item}: no database of backup {id} matches{}",
                known_names("", &known)
            ),
        });
    }
    // A manifest without measurements does not say which there are.
    let has_it = in_scope.iter().any(|database| {
        database.measurements.is_empty()
            || (database.measurements.iter()).any(|one| item.may_select(&database.name, &one.name))
    });
    if has_it {
        return Ok(());
    }
    let known = (in_scope.iter()).flat_map(|database| &database.measurements);
    let known: Vec<String> = known.map(|one| one.name.clone()).collect();
    Err(match measurement {
        Some(name) => format!(
            "{item}: backup {id} has no measurement {name:?} there{}",
            known_names(name, &known)
        ),
        None => format!(
            "{item}: no measurement of backup {id} matches{}",
            known_names("", &known)
        ),
    })
}

/// A path that is written like a measurement of a database with a slash.
fn check_path(manifest: &Manifest, item: &Selector) -> Result<(), String> {
    let text = item.to_string();
    for database in manifest
        .databases
        .iter()
        .filter(|one| one.name.contains('/'))
    {
        let name = text.strip_prefix(&*database.name);
        if let Some(measurement) = name.and_then(|rest| rest.strip_prefix('.')) {
            return Err(format!(
                "{item}: the name of the database holds a slash, so write the measurement as a path: {}/{measurement}/**",
                database.name
            ));
        }
    }
    Ok(())
}

/// `: did you mean "iot"? It has iot, web`.
fn known_names(name: &str, known: &[String]) -> String {
    let meant = nearest(name, known.iter().map(String::as_str)).filter(|_| !name.is_empty());
    let meant = meant.map_or_else(String::new, |meant| format!(": did you mean {meant:?}?"));
    match known.is_empty() {
        true => format!("{meant}; it has none"),
        false if meant.is_empty() => format!("; it has {}", shortened(known)),
        false => format!("{meant} It has {}", shortened(known)),
    }
}

/// What to write instead of a path as the backup has it: that of Arc's data is meant.
pub(crate) fn without_section(item: &Selector) -> String {
    let text = item.to_string();
    match text.strip_prefix("data/") {
        Some(rest) => format!(": a path begins below `data/`, so write {rest:?}"),
        None => String::new(),
    }
}

/// Whether only the list of files shows that something is selected. Names are in the manifest.
fn needs_list(scope: &Scope) -> bool {
    let items = scope.selection();
    let has_names_alone =
        items.exclude().is_empty() && items.include().iter().all(Selector::is_of_names);
    scope.includes(&Section::Data) && !(has_names_alone && scope.time().is_open())
}

impl ArcBackup {
    /// Checks before an operation begins that its backup has what is selected, by the list of files
    /// where names do not show it. Whatever else is wrong with the list, the operation says.
    ///
    /// # Errors
    /// [`Error::Invalid`] names what selects nothing.
    pub(crate) async fn check_selected(
        &self,
        repository: &Repository,
        id: &BackupId,
        loaded: &Loaded,
        scope: &Scope,
    ) -> Result<()> {
        check_names(id, &loaded.manifest, scope)?;
        if !needs_list(scope) {
            return Ok(());
        }
        let Ok(local) = self.local_inventory(repository, id, loaded).await else {
            return Ok(());
        };
        let (id, scope, job) = (id.clone(), scope.clone(), BlockingJob::begin());
        let checked = tokio::task::spawn_blocking(move || {
            let _job = job;
            check_matches(&id, &local.inventory, &scope)
        });
        match checked.await? {
            Err(error @ Error::Invalid(_)) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Checks by the inventory that each item selects something, and that something is in scope.
///
/// # Errors
/// [`Error::Invalid`] names what selects nothing.
pub(crate) fn check_matches(id: &BackupId, inventory: &Inventory, scope: &Scope) -> Result<()> {
    let Some(selection) = DataSelection::of(scope).filter(|_| scope.includes(&Section::Data))
    else {
        return Ok(());
    };
    let items = scope.selection();
    let mut unseen: Vec<&Selector> = items.include().iter().chain(items.exclude()).collect();
    let mut is_empty = true;
    for record in inventory.records_of(&Section::Data)? {
        if unseen.is_empty() && !is_empty {
            return Ok(());
        }
        let entry = record?.entry;
        unseen.retain(|item| !item.selects(&entry.key));
        // Anchors of schemas are of all times: they alone are nothing of a time range.
        let counts = scope.contains_entry(&Section::Data, &entry) && scope.takes_extra(&entry.key);
        is_empty = is_empty && !counts;
    }
    match unseen.first() {
        Some(item) => Err(Error::Invalid(format!(
            "{item}: nothing in backup {id} matches{}",
            without_section(item)
        ))),
        None if is_empty => Err(Error::Invalid(format!(
            "backup {id} has no file of {selection}: nothing matches"
        ))),
        None => Ok(()),
    }
}
